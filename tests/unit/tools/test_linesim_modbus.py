"""The simulated PLC's Modbus: what it answers, what it refuses, and how it takes bytes that come as they like."""

import asyncio
import struct
from collections.abc import Sequence
from unittest.mock import Mock

import pytest

from tools.linesim.modbus import Connection, Refusal, RefusedError, answer


class Words:
    """Eight registers and a coil."""

    def __init__(self) -> None:
        self.words = list(range(100, 108))
        self.coil: bool | None = None

    def read(self, address: int, count: int) -> Sequence[int]:
        if address + count > len(self.words):
            raise RefusedError(Refusal.ADDRESS)
        return self.words[address : address + count]

    def write(self, address: int, words: Sequence[int]) -> None:
        if address + len(words) > len(self.words):
            raise RefusedError(Refusal.ADDRESS)
        self.words[address : address + len(words)] = words

    def write_coil(self, address: int, *, on: bool) -> None:
        self.coil = on


def wire() -> tuple[Words, Connection, Mock, list[bool]]:
    memory, transport, changes = Words(), Mock(spec=asyncio.Transport), list[bool]()
    connection = Connection(memory, lambda _, is_open: changes.append(is_open))
    connection.connection_made(transport)
    return memory, connection, transport, changes


def request(pdu: bytes, transaction: int = 7) -> bytes:
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, 1) + pdu


@pytest.mark.parametrize("function", [3, 4])
def test_registers_are_read(function: int) -> None:
    reply = answer(struct.pack(">BHH", function, 2, 3), Words())
    assert reply == struct.pack(">BB3H", function, 6, 102, 103, 104)


def test_one_register_and_many_are_written() -> None:
    memory = Words()
    one = struct.pack(">BHH", 6, 1, 55)
    assert answer(one, memory) == one
    assert answer(struct.pack(">BHHBHH", 16, 4, 2, 4, 66, 77), memory) == struct.pack(">BHH", 16, 4, 2)
    assert memory.words == [100, 55, 102, 103, 66, 77, 106, 107]


def test_a_coil_is_written() -> None:
    memory = Words()
    for value, on in ((0xFF00, True), (0, False)):
        pdu = struct.pack(">BHH", 5, 0, value)
        assert answer(pdu, memory) == pdu
        assert memory.coil is on


@pytest.mark.parametrize(
    ("pdu", "code"),
    [
        (b"\x01\x00\x00\x00\x01", Refusal.FUNCTION),
        (b"\x03\x00\x00\x00", Refusal.VALUE),  # too short
        (b"\x03\x00\x00\x00\x00", Refusal.VALUE),  # no register at all
        (b"\x03\x00\x00\x00\x7e", Refusal.VALUE),  # 126 registers
        (b"\x03\x00\x07\x00\x02", Refusal.ADDRESS),
        (b"\x05\x00\x00\x12\x34", Refusal.VALUE),  # neither on nor off
        (b"\x10\x00\x00\x00\x02\x04\x00\x01", Refusal.VALUE),  # half of its words
        (b"\x10\x00\x00\x00\x02\x02\x00\x01\x00\x02", Refusal.VALUE),  # says less than it brings
        (b"\x10\x00\x07\x00\x02\x04\x00\x01\x00\x02", Refusal.ADDRESS),
    ],
)
def test_what_is_wrong_is_refused_and_changes_nothing(pdu: bytes, code: Refusal) -> None:
    memory = Words()
    assert answer(pdu, memory) == bytes([pdu[0] | 0x80, code])
    assert memory.words == list(range(100, 108))
    assert memory.coil is None


def test_bytes_may_come_one_by_one_and_requests_together() -> None:
    _, connection, transport, _ = wire()
    pdu = struct.pack(">BHH", 3, 0, 1)
    both = request(pdu, 7) + request(pdu, 8)
    for byte in both:
        connection.data_received(bytes([byte]))
    connection.data_received(both)
    replies = [struct.unpack_from(">H", call.args[0])[0] for call in transport.write.call_args_list]
    assert replies == [7, 8, 7, 8]


@pytest.mark.parametrize("header", [b"\x00\x01\x00\x09\x00\x06\x01", b"\x00\x01\x00\x00\x01\x00\x01"])
def test_what_is_no_modbus_ends_the_connection(header: bytes) -> None:
    _, connection, transport, _ = wire()
    connection.data_received(header + bytes(300))
    transport.abort.assert_called_once_with()
    transport.write.assert_not_called()


def test_begin_and_end_are_told() -> None:
    _, connection, transport, changes = wire()
    connection.connection_lost(None)
    connection.drop()
    assert changes == [True, False]
    transport.abort.assert_not_called()
