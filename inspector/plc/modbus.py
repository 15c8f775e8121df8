"""What a Modbus server answers: one request in, one answer out. Pure: no sockets, no clock.

After the MODBUS Application Protocol Specification V1.1b3 (functions 1 to 6, 15 and 16) and the Messaging on TCP/IP
Implementation Guide V1.0b (the header of seven bytes). Every request is refused unless it is exactly as long as it says.
"""

import struct
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Protocol

HEADER = struct.Struct(">HHHB")  # transaction, protocol (0), bytes that follow the length, unit
LONGEST_PDU = 253
READ_WORDS_MAX, WRITE_WORDS_MAX = 125, 123
READ_BITS_MAX, WRITE_BITS_MAX = 2000, 1968
_ON, _OFF = 0xFF00, 0x0000
_FAILED = 0x80  # added to the function code of a refusal


class ExceptionCode(IntEnum):
    """Why a request is refused, by the standard's numbers and names."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_DATA_ADDRESS = 2
    ILLEGAL_DATA_VALUE = 3
    SERVER_DEVICE_BUSY = 6
    GATEWAY_TARGET_FAILED = 11  # no such unit


class Refusal(Exception):  # noqa: N818 - an answer, no error of ours
    """The request is answered with this exception code."""

    def __init__(self, code: ExceptionCode) -> None:
        super().__init__(code)
        self.code = code


class Memory(Protocol):
    """What is read and written. Each call is one step: nothing is seen half-done. Raises Refusal."""

    def read_words(self, address: int, count: int) -> Sequence[int]:
        """Return registers (functions 3 and 4)."""

    def write_words(self, address: int, words: Sequence[int]) -> None:
        """Change registers (functions 6 and 16)."""

    def read_coils(self, address: int, count: int) -> Sequence[bool]:
        """Return the bits that the peer may write (function 1)."""

    def read_inputs(self, address: int, count: int) -> Sequence[bool]:
        """Return the bits that it may only read (function 2)."""

    def write_coils(self, address: int, bits: Sequence[bool]) -> None:
        """Change bits (functions 5 and 15)."""


def answer(pdu: bytes, memory: Memory) -> bytes:
    """Return the answer to a request, both without the header: function code and data. `pdu` has one byte at least."""
    serve = _FUNCTIONS.get(pdu[0])
    if serve is None:
        return refused(pdu, ExceptionCode.ILLEGAL_FUNCTION)
    if len(pdu) < 5:
        return refused(pdu, ExceptionCode.ILLEGAL_DATA_VALUE)
    address, value = struct.unpack_from(">HH", pdu, 1)
    try:
        return serve(memory, pdu, address, value)
    except Refusal as refusal:
        return refused(pdu, refusal.code)


def refused(pdu: bytes, code: ExceptionCode) -> bytes:
    """Return the answer that refuses a request."""
    return bytes([pdu[0] | _FAILED, code])


def _read_words(memory: Memory, pdu: bytes, address: int, count: int) -> bytes:
    _require(len(pdu) == 5 and 1 <= count <= READ_WORDS_MAX)
    words = memory.read_words(address, count)
    return struct.pack(f">BB{count}H", pdu[0], 2 * count, *words)


def _read_coils(memory: Memory, pdu: bytes, address: int, count: int) -> bytes:
    _require(len(pdu) == 5 and 1 <= count <= READ_BITS_MAX)
    return _packed(pdu[0], memory.read_coils(address, count))


def _read_inputs(memory: Memory, pdu: bytes, address: int, count: int) -> bytes:
    _require(len(pdu) == 5 and 1 <= count <= READ_BITS_MAX)
    return _packed(pdu[0], memory.read_inputs(address, count))


def _write_coil(memory: Memory, pdu: bytes, address: int, value: int) -> bytes:
    _require(len(pdu) == 5 and value in (_ON, _OFF))
    memory.write_coils(address, [value == _ON])
    return pdu


def _write_word(memory: Memory, pdu: bytes, address: int, value: int) -> bytes:
    _require(len(pdu) == 5)
    memory.write_words(address, [value])
    return pdu


def _write_coils(memory: Memory, pdu: bytes, address: int, count: int) -> bytes:
    size = (count + 7) // 8
    _require(1 <= count <= WRITE_BITS_MAX and len(pdu) == 6 + size and pdu[5] == size)
    memory.write_coils(address, [bool(pdu[6 + i // 8] >> i % 8 & 1) for i in range(count)])
    return pdu[:5]


def _write_words(memory: Memory, pdu: bytes, address: int, count: int) -> bytes:
    _require(1 <= count <= WRITE_WORDS_MAX and len(pdu) == 6 + 2 * count and pdu[5] == 2 * count)
    memory.write_words(address, struct.unpack_from(f">{count}H", pdu, 6))
    return pdu[:5]


_FUNCTIONS: dict[int, Callable[[Memory, bytes, int, int], bytes]] = {
    1: _read_coils,
    2: _read_inputs,
    3: _read_words,
    4: _read_words,
    5: _write_coil,
    6: _write_word,
    15: _write_coils,
    16: _write_words,
}


def _require(well_formed: bool) -> None:
    if not well_formed:
        raise Refusal(ExceptionCode.ILLEGAL_DATA_VALUE)


def _packed(function: int, bits: Sequence[bool]) -> bytes:
    value = sum(bit << i for i, bit in enumerate(bits))
    size = (len(bits) + 7) // 8
    return bytes([function, size]) + value.to_bytes(size, "little")
