"""Modbus TCP on the wire: the MBAP header, and no more of a frame's inside than the faults need.

Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3. Header: transaction id, protocol (0), length of what
follows, unit id; then the PDU, whose first byte is the function code.
"""

import asyncio
import struct

HEADER = struct.Struct(">HHHB")
LENGTH_MIN, LENGTH_MAX = 2, 254  # unit id and PDU
WRITE_FUNCTIONS = frozenset({5, 6, 15, 16, 22, 23})
EXCEPTION_BIT = 0x80


class FramingError(Exception):
    """What came is not Modbus TCP."""


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """Return the next whole frame, header included; None where the stream ended. FramingError where it is no frame."""
    try:
        header = await reader.readexactly(HEADER.size)
        _, protocol, length, _ = HEADER.unpack(header)
        if protocol != 0 or not LENGTH_MIN <= length <= LENGTH_MAX:
            raise FramingError(f"expected a Modbus TCP header, got: {header.hex(' ')}")
        return header + await reader.readexactly(length - 1)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def transaction(frame: bytes) -> int:
    """Return the frame's transaction id."""
    return int.from_bytes(frame[:2], "big")


def with_transaction(frame: bytes, number: int) -> bytes:
    """Return the frame with another transaction id, modulo 65536."""
    return (number & 0xFFFF).to_bytes(2, "big") + frame[2:]


def is_write(request: bytes) -> bool:
    """Return whether the request changes the server's memory."""
    return request[HEADER.size] in WRITE_FUNCTIONS


def question(request: bytes) -> bytes:
    """Return what two requests share whose answers could be taken for one another: unit, function, address and count."""
    return request[6 : HEADER.size + 5]


def exception_reply(request: bytes, code: int) -> bytes:
    """Return the server's refusal of this request, with an exception code."""
    number, _, _, unit = HEADER.unpack(request[: HEADER.size])
    return HEADER.pack(number, 0, 3, unit) + bytes([request[HEADER.size] | EXCEPTION_BIT, code])
