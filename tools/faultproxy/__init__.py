"""faultproxy: stands between a Modbus TCP client and its server, and breaks the link in ways that can be repeated.

It knows nothing of Inspector nor of its registers: only the frames of Modbus TCP, and a schedule of what goes wrong when.
What is not on the schedule passes through untouched, in order, in both directions; each connection of a client is one
connection to the peer.

What it cannot do, since it sits above TCP: lose or reorder packets, or keep a client from connecting without refusing it
(in a black hole a connection is accepted, and then nothing is answered).
"""
