"""The PLC's end of Modbus TCP, as the PLC of a line has it: registers and one coil, served between two steps of the event loop.

Written after the MODBUS Application Protocol Specification V1.1b3 and the guide for TCP/IP V1.0b, and on purpose without a line of the
station's own: what both sides got wrong alike, nobody would see. pymodbus' server, which stood here before, took 0.25 ms more for
each request than this does; that was counted as the station's latency, and ended its time at 200 parts a second.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Protocol

HEADER = struct.Struct(">HHHB")  # transaction, protocol (0), bytes that follow the length, unit
LONGEST = 254  # bytes that may follow the length
READ_HOLDING, READ_INPUT, WRITE_COIL, WRITE_ONE, WRITE_MANY = 3, 4, 5, 6, 16
MOST_READ, MOST_WRITTEN = 125, 123  # registers of one request
ON, OFF = 0xFF00, 0


class Refusal(IntEnum):
    """Why a request is refused, by the standard's numbers."""

    FUNCTION = 1
    ADDRESS = 2
    VALUE = 3
    DEVICE = 4  # has no power


class RefusedError(Exception):
    """The request is answered with this exception code."""

    def __init__(self, code: Refusal) -> None:
        super().__init__(code)
        self.code = code


class Memory(Protocol):
    """What is read and written. Raises RefusedError."""

    def read(self, address: int, count: int) -> Sequence[int]:
        """Return registers."""

    def write(self, address: int, words: Sequence[int]) -> None:
        """Change registers, all of them at once."""

    def write_coil(self, address: int, *, on: bool) -> None:
        """Change a coil."""


class Connection(asyncio.Protocol):
    """One client. Each request is answered in the step of the loop that brought its last byte, and in order."""

    def __init__(self, memory: Memory, changed: Callable[["Connection", bool], None]) -> None:
        """`changed(self, is_open)` hears of the begin and the end."""
        self._memory = memory
        self._changed = changed
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (asyncio.Protocol)."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  (of TCP it is)
        end = transport.get_extra_info("socket")
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport = transport
        self._changed(self, True)

    def connection_lost(self, _: Exception | None) -> None:
        """End (asyncio.Protocol)."""
        self._transport = None
        self._changed(self, False)

    def data_received(self, data: bytes) -> None:
        """Answer what is complete (asyncio.Protocol).

        What is no Modbus ends the connection: nobody knows where the next request begins.
        """
        received = self._received + data
        while len(received) >= HEADER.size and self._transport is not None:
            transaction, protocol, length, unit = HEADER.unpack_from(received)
            if protocol or not 2 <= length <= LONGEST:
                self.drop()
                return
            end = HEADER.size - 1 + length
            if len(received) < end:
                break
            reply = answer(received[HEADER.size : end], self._memory)
            received = received[end:]
            self._transport.write(HEADER.pack(transaction, 0, len(reply) + 1, unit) + reply)
        self._received = received

    def drop(self) -> None:
        """End it now, without what was not sent yet."""
        if self._transport is not None:
            self._transport.abort()


def answer(request: bytes, memory: Memory) -> bytes:
    """Return the answer to a request, both without the header."""
    try:
        return _serve(request, memory)
    except RefusedError as refused:
        return bytes((request[0] | 0x80, refused.code))


def _serve(request: bytes, memory: Memory) -> bytes:
    function = request[0]
    if function not in (READ_HOLDING, READ_INPUT, WRITE_COIL, WRITE_ONE, WRITE_MANY):
        raise RefusedError(Refusal.FUNCTION)
    if len(request) < 5:
        raise RefusedError(Refusal.VALUE)
    address, value = struct.unpack_from(">HH", request, 1)
    if function == WRITE_MANY:
        _require(1 <= value <= MOST_WRITTEN and len(request) == 6 + 2 * value and request[5] == 2 * value)
        memory.write(address, struct.unpack_from(f">{value}H", request, 6))
        return request[:5]
    _require(len(request) == 5)
    if function in (READ_HOLDING, READ_INPUT):
        _require(1 <= value <= MOST_READ)
        return struct.pack(f">BB{value}H", function, 2 * value, *memory.read(address, value))
    if function == WRITE_COIL:
        _require(value in (ON, OFF))
        memory.write_coil(address, on=value == ON)
    else:
        memory.write(address, (value,))
    return request


def _require(well_formed: bool) -> None:
    if not well_formed:
        raise RefusedError(Refusal.VALUE)
