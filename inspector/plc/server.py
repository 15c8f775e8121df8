"""A Modbus TCP server for one thread that also has other things to do: it is asked to `serve`, and returns.

Why it is our own and not pymodbus's: the PLC thread must decide at deadlines between two requests, so it cannot live in a
library's event loop; requests sent in one packet must each be answered, in order, which that server does not do; peers must be
refused before a byte of theirs is read, and counted, and dropped when they are silent; and the moment of our last answer
to a peer must be known, since it says when that peer can have begun its next request. The protocol itself is a page
(`modbus.py`); the library's interface for it has changed in every minor version of this year.

It is strict. A header that is no Modbus, half a request that is not completed in time, or a peer that does not take its answers
ends the connection at once, with a reset: after any of them nobody knows where the next request begins.
"""

import fcntl
import ipaddress
import logging
import select
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from inspector.clock import NS_PER_MS, Clock
from inspector.errors import PlcListenError
from inspector.plc.modbus import HEADER, LONGEST_PDU, ExceptionCode, refused

log = logging.getLogger(__name__)

_LARGEST = 2048  # bytes taken from a peer at once
_TURN = 8  # requests of one peer before the others have their turn
_BACKLOG = 8
_TOLD = 64  # refused addresses that are remembered, so that each is logged once
_SIOCGIFADDR = 0x8915
_ANY_UNIT = (0, 255)  # what the standard has a client send to a server that is no gateway


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the server listens, and to whom."""

    address: str  # of this machine: an IP address or the name of an interface
    port: int
    unit_id: int
    peers: Sequence[str]  # addresses and networks that may connect
    connections: int  # at most
    idle_ms: float  # without a request for so long a peer is dropped
    frame_ms: float  # half a request may wait so long for its other half


@dataclass(slots=True, eq=False)
class Peer:
    """One connection. Times are monotonic nanoseconds."""

    host: str
    socket: socket.socket
    t_heard_ns: int  # when its last request came
    # It can have begun its next request no earlier than this: when our last answer was about to leave, and nothing more had come.
    t_answered_ns: int
    t_half_ns: int | None = None  # since when half a request waits
    received: bytearray = field(default_factory=bytearray)

    def request(self) -> tuple[int, int, bytes] | None:
        """Return transaction, unit and request of the next complete one, None if there is none. ValueError: no Modbus."""
        if len(self.received) < HEADER.size:
            return None
        transaction, protocol, length, unit = HEADER.unpack_from(self.received)
        if protocol != 0 or not 2 <= length <= LONGEST_PDU + 1:
            raise ValueError(f"protocol {protocol}, length {length}")
        end = HEADER.size + length - 1
        if len(self.received) < end:
            return None
        pdu = bytes(self.received[HEADER.size : end])
        del self.received[:end]
        return transaction, unit, pdu


class Handler(Protocol):
    """Who answers. Called by `serve`, in its thread."""

    def on_request(self, peer: Peer, pdu: bytes, t_received_ns: int) -> bytes:
        """Return the answer to a request, both without the header."""

    def on_closed(self, peer: Peer, why: str) -> None:
        """Take note that a connection is over."""


class ModbusServer:
    """Listening socket and connections. One thread; `open` once, `close` at the end."""

    def __init__(self, listening: Listening, handler: Handler, clock: Clock, wake_fd: int) -> None:
        """`wake_fd`: an eventfd that ends a wait."""
        self.refused = 0
        self._listening = listening
        self._networks = [ipaddress.ip_network(peer, strict=False) for peer in listening.peers]
        self._handler = handler
        self._clock = clock
        self._wake_fd = wake_fd
        self._poll = select.poll()
        self._poll.register(wake_fd, select.POLLIN)
        self._listener: socket.socket | None = None
        self._peers: dict[int, Peer] = {}
        self._waiting: list[Peer] = []  # with requests that wait for their turn
        self._told: set[str] = set()
        self._t_nobody_ns = 0  # when for certain nobody waited to be let in: who does now came later

    @property
    def port(self) -> int:
        """The port it listens at; 0 before `open`."""
        return int(self._listener.getsockname()[1]) if self._listener is not None else 0

    @property
    def peers(self) -> list[Peer]:
        """The connections, oldest first."""
        return list(self._peers.values())

    def open(self) -> None:
        """Listen. Raises PlcListenError where the address is not this machine's, or the port is taken."""
        wanted = self._listening
        try:
            host = address_of(wanted.address)
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._listener = socket.create_server((host, wanted.port), family=family, backlog=_BACKLOG)
        except OSError as error:
            raise PlcListenError(
                f"cannot listen at {wanted.address} port {wanted.port} ({error.strerror or error}); see plc.server.address "
                "and plc.port: the address must be this machine's, the port free, and below 1024 it needs CAP_NET_BIND_SERVICE"
            ) from error
        self._t_nobody_ns = self._clock.now_ns()
        self._listener.setblocking(False)
        self._poll.register(self._listener, select.POLLIN)

    def close(self) -> None:
        """Drop all connections and stop listening."""
        for peer in self.peers:
            self.drop(peer, "the station stops")
        if self._listener is not None:
            self._poll.unregister(self._listener)
            self._listener.close()
            self._listener = None

    def serve(self, wait_ms: float) -> bool:
        """Answer what came, or wait so long for something to come; return whether `wake_fd` ended the wait."""
        woken = False
        self._waiting, waiting = [], self._waiting
        t_before_ns = self._clock.now_ns()
        ready = [fd for fd, _ in self._poll.poll(0 if waiting else wait_ms)]
        if self._listener is None or self._listener.fileno() not in ready:
            self._t_nobody_ns = t_before_ns
        for fd in ready:
            if fd == self._wake_fd:
                woken = True
            elif self._listener is not None and fd == self._listener.fileno():
                self._accept()
            elif (peer := self._peers.get(fd)) is not None and peer not in waiting:
                self._receive(peer)
        for peer in waiting:
            if peer.socket.fileno() in self._peers:
                self._answer(peer, self._clock.now_ns())
        self._drop_the_silent()
        return woken

    def drop(self, peer: Peer, why: str) -> None:
        """End a connection with a reset, so that nothing that still waits to be sent arrives later."""
        with suppress(OSError):
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        log.info("peer_dropped", extra={"peer": peer.host, "why": why})
        self._end(peer, why)

    # -- connections ------------------------------------------------------------------------------

    def _accept(self) -> None:
        if self._listener is None:
            return
        try:
            end, (host, *_) = self._listener.accept()
        except OSError:  # the peer has gone already
            return
        host = host.partition("%")[0].removeprefix("::ffff:")
        if not self._is_allowed(host):
            end.close()
            self._tell_refused(host)
            return
        if len(self._peers) >= self._listening.connections:
            self.drop(min(self.peers, key=lambda peer: peer.t_heard_ns), "one too many, and silent longest")
        end.setblocking(False)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Its first request may have been sent before we let it in.
        peer = Peer(host, end, t_heard_ns=self._clock.now_ns(), t_answered_ns=self._t_nobody_ns)
        self._peers[end.fileno()] = peer
        self._poll.register(end, select.POLLIN)
        log.debug("peer_connected", extra={"peer": host})

    def _is_allowed(self, host: str) -> bool:
        return any(ipaddress.ip_address(host) in network for network in self._networks)

    def _tell_refused(self, host: str) -> None:
        self.refused += 1
        if host not in self._told and len(self._told) < _TOLD:
            self._told.add(host)
            log.warning("peer_refused", extra={"peer": host, "why": "not in plc.server.peers"})

    def _drop_the_silent(self) -> None:
        now_ns = self._clock.now_ns()
        for peer in self.peers:
            if peer.t_half_ns is not None and now_ns - peer.t_half_ns > self._listening.frame_ms * NS_PER_MS:
                self.drop(peer, f"sent half a request and nothing more for {self._listening.frame_ms:g} ms")
            elif now_ns - peer.t_heard_ns > self._listening.idle_ms * NS_PER_MS:
                self.drop(peer, f"no request for {self._listening.idle_ms:g} ms")

    def _end(self, peer: Peer, why: str) -> None:
        if self._peers.pop(peer.socket.fileno(), None) is None:
            return
        self._poll.unregister(peer.socket)
        peer.socket.close()
        log.debug("peer_disconnected", extra={"peer": peer.host, "why": why})
        self._handler.on_closed(peer, why)

    # -- requests ---------------------------------------------------------------------------------

    def _receive(self, peer: Peer) -> None:
        try:
            data = peer.socket.recv(_LARGEST)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(peer, error.strerror or str(error))
            return
        if not data:
            self._end(peer, "closed by the peer")
            return
        peer.received += data
        self._answer(peer, self._clock.now_ns())

    def _answer(self, peer: Peer, t_received_ns: int) -> None:
        """Answer what is complete, a few at a time; the rest when the others had their turn."""
        try:
            for _ in range(_TURN):
                request = peer.request()
                if request is None:
                    peer.t_half_ns = (peer.t_half_ns or t_received_ns) if peer.received else None
                    return
                peer.t_half_ns = None
                peer.t_heard_ns = t_received_ns
                if not self._send(peer, *request, t_received_ns):
                    return
        except ValueError as error:
            self.drop(peer, f"what it sent is no Modbus: {error}")
            return
        self._waiting.append(peer)

    def _send(self, peer: Peer, transaction: int, unit: int, pdu: bytes, t_received_ns: int) -> bool:
        """Answer one request; return whether the connection goes on."""
        if unit == self._listening.unit_id or unit in _ANY_UNIT:
            said = self._handler.on_request(peer, pdu, t_received_ns)
        else:
            said = refused(pdu, ExceptionCode.GATEWAY_TARGET_FAILED)
        frame = HEADER.pack(transaction, 0, len(said) + 1, unit) + said
        if peer.socket.fileno() not in self._peers:  # dropped by what it asked for
            return False
        t_before_ns = self._clock.now_ns()  # once it is sent, the next request may be on its way already
        try:
            waited = not peer.received and not _has_more(peer.socket)
            whole = peer.socket.send(frame) == len(frame)
        except BlockingIOError:
            whole = False
        except OSError as error:
            self._end(peer, error.strerror or str(error))
            return False
        if not whole:
            self.drop(peer, "it does not take its answers")
        elif waited:
            peer.t_answered_ns = t_before_ns
        return whole


def _has_more(end: socket.socket) -> bool:
    """Return whether bytes have come that were not taken yet: of a peer that did not wait for its answer. Raises OSError."""
    try:
        return bool(end.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False


def address_of(name: str) -> str:
    """Return the address that `name` stands for: itself, or the IPv4 address of that interface. Raises OSError."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        asked = struct.pack("256s", name.encode()[:15])
        return socket.inet_ntoa(fcntl.ioctl(any_socket, _SIOCGIFADDR, asked)[20:24])
