"""A Modbus TCP server whose every answer a test can bend: nothing but this file stands between the test and the bytes."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from inspector.plc.registers import (
    CONTROL_WORDS,
    STATUS_WORDS,
    Control,
    RegisterMap,
    Status,
    decode_status,
    encode_control,
)

PATIENCE_S = 20.0  # a test that waits longer has failed
READ, WRITE = 3, 16


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came."""

    transaction: int
    unit: int
    function: int
    address: int
    count: int
    words: tuple[int, ...] = ()


class CloseConnection(Exception):  # noqa: N818 - a command
    """Raised by `bend`: close without an answer."""


class ResetConnection(Exception):  # noqa: N818 - a command
    """Raised by `bend`: send a TCP reset."""


Bend = Callable[[Request, bytes], "bytes | list[bytes | float]"]


def honest(request: Request, answer: bytes) -> bytes:
    """Answer as the standard says."""
    return answer


def silent(request: Request, answer: bytes) -> bytes:
    """Take the request and never answer."""
    return b""


class ScriptedPlc:
    """Registers, a thread that serves them, and `bend`, which turns an honest answer into what is sent (floats are pauses, s)."""

    def __init__(self, port: int = 0) -> None:
        self.words = [0] * 400
        self.map = RegisterMap()
        self.requests: list[Request] = []
        self.connections = 0
        self.bend: Bend = honest
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._peer: socket.socket | None = None
        self._thread = threading.Thread(target=self._accept, name="scripted-plc")
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Go away: connection and port."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self.drop()
        self._thread.join(PATIENCE_S)
        self._listener.close()

    def drop(self) -> None:
        """Close the connection, if there is one."""
        peer = self._peer
        if peer is not None:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)

    @property
    def lock(self) -> threading.Condition:
        """Held, no request is served: for changes that the client must see at once or not at all."""
        return self._changed

    def set_control(self, control: Control) -> None:
        """Write the control block, as the PLC's program does."""
        with self._changed:
            self.words[300 : 300 + CONTROL_WORDS] = encode_control(control)

    def slot(self, part_id: int) -> list[int]:
        """Return the eight words of the part's slot."""
        first = self.map.slot_address(part_id)
        return self.words[first : first + 8]

    def status(self) -> Status:
        """Return the status block that stands in the registers."""
        return decode_status(self.words[200 : 200 + STATUS_WORDS])

    def writes(self, address: int) -> list[tuple[int, ...]]:
        """Return what was written to `address` so far."""
        return [r.words for r in self.requests if r.function == WRITE and r.address == address]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition()` holds; it is asked again after each request and each connection."""
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_S), "the PLC never saw what the test waits for"

    def wait_for_requests(self, more: int) -> None:
        """Wait until so many more requests have come."""
        goal = len(self.requests) + more
        self.wait_for(lambda: len(self.requests) >= goal)

    # -- the server -------------------------------------------------------------------------------

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with peer:
                with self._changed:
                    self._peer = peer
                    self.connections += 1
                    self._changed.notify_all()
                if self._closing.is_set():
                    return
                self._serve(peer)
                self._peer = None

    def _serve(self, peer: socket.socket) -> None:
        with contextlib.suppress(CloseConnection, OSError):
            while header := peer.recv(7, socket.MSG_WAITALL):
                transaction, _, length, unit = struct.unpack(">HHHB", header)
                body = peer.recv(length - 1, socket.MSG_WAITALL)
                request = _request(transaction, unit, body)
                with self._changed:
                    try:
                        pieces = self.bend(request, self._answer(request))
                    except ResetConnection:
                        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        return
                    finally:
                        self.requests.append(request)
                        self._changed.notify_all()
                for piece in [pieces] if isinstance(pieces, bytes) else pieces:
                    if isinstance(piece, bytes):
                        peer.sendall(piece)
                    else:
                        self._closing.wait(piece)

    def _answer(self, request: Request) -> bytes:
        at = slice(request.address, request.address + request.count)
        if request.function == READ:
            words = self.words[at]
            return reply(request, struct.pack(f">B{len(words)}H", 2 * len(words), *words))
        self.words[at] = request.words
        return reply(request, struct.pack(">HH", request.address, request.count))


def reply(
    request: Request, data: bytes, *, function: int | None = None, transaction: int | None = None
) -> bytes:
    """Return an answer to `request`: its header, its function or another one, and `data`."""
    pdu = bytes([request.function if function is None else function]) + data
    tid = request.transaction if transaction is None else transaction
    return struct.pack(">HHHB", tid, 0, len(pdu) + 1, request.unit) + pdu


def _request(transaction: int, unit: int, body: bytes) -> Request:
    function, address, count = struct.unpack(">BHH", body[:5])
    words = struct.unpack(f">{count}H", body[6:]) if function == WRITE else ()
    return Request(transaction, unit, function, address, count, words)
