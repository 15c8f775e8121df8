"""One request in, one answer out: what is well formed is served, everything else is refused by the standard's codes."""

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.plc.modbus import ExceptionCode, Refusal, answer

E = ExceptionCode


class Registers:
    """Ten registers and ten bits, all of which may be written."""

    def __init__(self) -> None:
        self.words = list(range(10))
        self.bits = [False] * 10

    def read_words(self, address: int, count: int) -> Sequence[int]:
        self._check(address, count)
        return self.words[address : address + count]

    def write_words(self, address: int, words: Sequence[int]) -> None:
        self._check(address, len(words))
        self.words[address : address + len(words)] = words

    def read_coils(self, address: int, count: int) -> Sequence[bool]:
        self._check(address, count)
        return self.bits[address : address + count]

    read_inputs = read_coils

    def write_coils(self, address: int, bits: Sequence[bool]) -> None:
        self._check(address, len(bits))
        self.bits[address : address + len(bits)] = bits

    def _check(self, address: int, count: int) -> None:
        if address + count > 10:
            raise Refusal(E.ILLEGAL_DATA_ADDRESS)


@pytest.fixture
def memory() -> Registers:
    return Registers()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("03 0002 0003", "03 06 0002 0003 0004"),
        ("04 0009 0001", "04 02 0009"),
        ("06 0001 abcd", "06 0001 abcd"),
        ("10 0001 0002 04 1111 2222", "10 0001 0002"),
        ("05 0003 ff00", "05 0003 ff00"),
        ("0f 0000 000a 02 0503", "0f 0000 000a"),
        ("01 0000 000a", "01 02 0000"),
        ("02 0000 0003", "02 01 00"),
    ],
)
def test_what_is_well_formed_is_served(memory: Registers, asked: str, said: str) -> None:
    assert answer(bytes.fromhex(asked), memory) == bytes.fromhex(said)


def test_what_was_written_stands_there(memory: Registers) -> None:
    for asked in ("06 0001 abcd", "10 0002 0002 04 1111 2222", "05 0001 ff00", "0f 0002 0009 02 ff01"):
        answer(bytes.fromhex(asked), memory)
    assert memory.words[:5] == [0, 0xABCD, 0x1111, 0x2222, 4]
    assert memory.bits == [False, True] + [False] * 8  # nine bits from 2 do not fit
    answer(bytes.fromhex("0f 0002 0008 01 81"), memory)
    assert memory.bits == [False, True, True, False, False, False, False, False, False, True]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("2b 0e 01 00", E.ILLEGAL_FUNCTION),
        ("17 0000 0001 0000 0001 02 0000", E.ILLEGAL_FUNCTION),
        ("00", E.ILLEGAL_FUNCTION),
        ("83 0000 0001", E.ILLEGAL_FUNCTION),
        ("03", E.ILLEGAL_DATA_VALUE),
        ("03 0000 00", E.ILLEGAL_DATA_VALUE),
        ("03 0000 0001 00", E.ILLEGAL_DATA_VALUE),
        ("03 0000 0000", E.ILLEGAL_DATA_VALUE),
        ("03 0000 007e", E.ILLEGAL_DATA_VALUE),
        ("03 000a 0001", E.ILLEGAL_DATA_ADDRESS),
        ("03 ffff 0002", E.ILLEGAL_DATA_ADDRESS),
        ("01 0000 07d1", E.ILLEGAL_DATA_VALUE),
        ("02 0000 000b", E.ILLEGAL_DATA_ADDRESS),
        ("05 0000 0001", E.ILLEGAL_DATA_VALUE),
        ("05 0000 ff00 00", E.ILLEGAL_DATA_VALUE),
        ("06 0000 00", E.ILLEGAL_DATA_VALUE),
        ("0f 0000 0009 01 ff", E.ILLEGAL_DATA_VALUE),
        ("0f 0000 0000 00", E.ILLEGAL_DATA_VALUE),
        ("10 0000 0001 02", E.ILLEGAL_DATA_VALUE),
        ("10 0000 0001 03 000000", E.ILLEGAL_DATA_VALUE),
        ("10 0000 0002 04 0000", E.ILLEGAL_DATA_VALUE),
        ("10 0000 0000 00", E.ILLEGAL_DATA_VALUE),
        ("10 0009 0002 04 1111 2222", E.ILLEGAL_DATA_ADDRESS),
    ],
)
def test_what_is_not_is_refused_and_changes_nothing(memory: Registers, asked: str, code: int) -> None:
    pdu = bytes.fromhex(asked)
    assert answer(pdu, memory) == bytes([pdu[0] | 0x80, code])
    assert memory.words == list(range(10))
    assert not any(memory.bits)


@given(st.binary(min_size=1, max_size=253))
def test_whatever_comes_is_answered_by_its_function_or_its_refusal(pdu: bytes) -> None:
    said = answer(pdu, Registers())
    assert len(said) <= 253
    assert said[0] & 0x7F == pdu[0] & 0x7F
    assert said[0] == pdu[0] or (len(said) == 2 and said[1] in set(E))


@given(st.integers(0, 9), st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=10))
def test_what_is_written_is_read_back(address: int, words: list[int]) -> None:
    memory = Registers()
    data = struct.pack(f">{len(words)}H", *words)
    wrote = answer(struct.pack(">BHHB", 16, address, len(words), len(data)) + data, memory)
    if address + len(words) > 10:
        assert wrote == bytes([0x90, E.ILLEGAL_DATA_ADDRESS])
    else:
        assert answer(struct.pack(">BHH", 3, address, len(words)), memory) == bytes([3, len(data)]) + data
