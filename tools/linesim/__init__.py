"""linesim: a conveyor, its PLC and its reject gate in one process. The judge of a station, from outside.

It knows nothing of Inspector but the register map and the camera's trigger socket, keeps its own clock and its own
record, and checks the promises I1 to I5 by what it sees in the registers.

What it simulates:

- Parts of known truth pass at random spacing. At each part's trigger the PLC clears the part's results slot, counts
  the part in the control block, and pulses the camera, in this order.
- The gate decides each part at trigger + budget, by the release rule, on the memory as it was at that moment.
- The PLC can lose power for a while: connections drop, its gate is closed, and the sensor that it reads is dead. Parts
  that pass meanwhile are rejected, not counted, and do not trigger the camera, since the pulse comes from the PLC.

- While the status block asks for a line stop, no part comes; after a while somebody empties the bin and clears the fault.
- A challenge: the PLC raises challenge_mode, waits until the station says that it runs, and lets known parts come. Where
  `inspector challenge` asked for it, they come as soon as the PLC sees that it runs.

What it does not simulate: a sensor wired to the camera past the PLC, bouncing sensors, parts that slip on the belt, a
PLC's scan cycle, and field buses other than Modbus TCP.
"""
