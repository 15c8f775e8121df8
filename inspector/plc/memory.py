"""The registers that Inspector holds in the server role, and who may change which. Pure: no sockets, no clock, no threads.

Everything can be read: from address 0 to the end of the last block, zeros between the blocks, the same as holding and as input
registers. Only the control blocks can be written, each write within one of them; anything else is refused (exception 2).
"""

from collections.abc import Sequence
from typing import Protocol

from inspector.part import next_part_id, part_distance
from inspector.plc.modbus import ExceptionCode, Refusal
from inspector.plc.registers import (
    CONTROL,
    SLOT_WORDS,
    Control,
    RegisterMap,
    decode_control,
)

BITS = 16  # coils are the vision control signals, discrete inputs those of the vision status
_OFFSET = {field.name: field.offset for field in CONTROL}


class Owner(Protocol):
    """Whom the memory asks and tells. Called in the middle of a request."""

    def refresh(self) -> None:
        """Bring the status up to date: it is about to be read."""

    def may_write_control(self, *, counts: bool) -> None:
        """Raise Refusal where the peer that asks may not write. `counts`: the part count or the PLC's heartbeat."""

    def on_control(self, *, counted: bool) -> None:
        """Take note that the control block was written; `counted`: the part count among it."""

    def may_write_vision(self) -> None:
        """Raise Refusal where the peer that asks may not write the vision control block."""

    def on_vision(self, signals: int) -> None:
        """Take note of the signals that the PLC set."""


class ServedMemory:
    """Implements `modbus.Memory`. One thread."""

    def __init__(self, register_map: RegisterMap, owner: Owner) -> None:
        """All zeros: no verdict, not enabled."""
        self._map = register_map
        self._owner = owner
        blocks = register_map.server_blocks()
        self._control, self._vision = blocks["control"], blocks["vision control"]
        self._refreshed = (blocks["status"], blocks["vision status"])
        self._vision_status = blocks["vision status"]
        self._words = [0] * max(block.stop for block in blocks.values())

    # -- for Inspector ----------------------------------------------------------------------------

    @property
    def control(self) -> Control:
        """The control block as it stands."""
        return decode_control(self._words[self._control.start : self._control.stop], self._map.word_order)

    def put_slot(self, part_id: int, words: Sequence[int]) -> None:
        """Put a verdict into its part's slot."""
        self.put(self._map.slot_address(part_id), words)

    def put(self, address: int, words: Sequence[int]) -> None:
        """Change words of any block."""
        self._words[address : address + len(words)] = words

    def forget(self) -> None:
        """Zero everything that a PLC wrote or could release by: verdicts, and the control blocks. The count stays known."""
        part_count = self.control.part_count
        for block in (self._map.blocks()["results"], self._control, self._vision):
            self.put(block.start, [0] * len(block))
        self.put(self._control.start + _OFFSET["part_count"], [part_count])

    # -- for peers (modbus.Memory) ----------------------------------------------------------------

    def read_words(self, address: int, count: int) -> Sequence[int]:
        """Return registers."""
        if address + count > len(self._words):
            raise Refusal(ExceptionCode.ILLEGAL_DATA_ADDRESS)
        if any(address < block.stop and block.start < address + count for block in self._refreshed):
            self._owner.refresh()
        return self._words[address : address + count]

    def write_words(self, address: int, words: Sequence[int]) -> None:
        """Write within one of the control blocks."""
        end = address + len(words)
        if self._control.start <= address and end <= self._control.stop:
            self._write_control(address, words)
        elif self._vision.start <= address and end <= self._vision.stop:
            self._write_vision(words[0])
        else:
            raise Refusal(ExceptionCode.ILLEGAL_DATA_ADDRESS)

    def read_coils(self, address: int, count: int) -> Sequence[bool]:
        """Return vision control signals."""
        return _bits(self._words[self._vision.start], address, count)

    def read_inputs(self, address: int, count: int) -> Sequence[bool]:
        """Return vision status signals."""
        self._owner.refresh()
        return _bits(self._words[self._vision_status.start], address, count)

    def write_coils(self, address: int, bits: Sequence[bool]) -> None:
        """Set vision control signals."""
        if address + len(bits) > BITS:
            raise Refusal(ExceptionCode.ILLEGAL_DATA_ADDRESS)
        signals = self._words[self._vision.start]
        for bit, is_set in enumerate(bits, address):
            signals = signals | 1 << bit if is_set else signals & ~(1 << bit)
        self._write_vision(signals)

    # -- writes -----------------------------------------------------------------------------------

    def _write_control(self, address: int, words: Sequence[int]) -> None:
        written = range(address - self._control.start, address - self._control.start + len(words))
        counted = _OFFSET["part_count"] in written
        self._owner.may_write_control(counts=counted or _OFFSET["plc_heartbeat"] in written)
        before = self.control.part_count
        self.put(address, words)
        if counted:
            self._clear_slots(before, self.control.part_count)
        self._owner.on_control(counted=counted)

    def _clear_slots(self, before: int, count: int) -> None:
        """Clear the slots of the parts just counted: nothing older than a part can release it. All, where that makes no sense."""
        step = part_distance(before, count) if count else self._map.slots
        if (
            step >= self._map.slots
        ):  # not one by one: where the ids go round, as many parts need not have all slots
            results = self._map.blocks()["results"]
            self.put(results.start, [0] * len(results))
            return
        for i in range(1, step + 1):
            self.put_slot(next_part_id(before, i), [0] * SLOT_WORDS)

    def _write_vision(self, signals: int) -> None:
        self._owner.may_write_vision()
        self.put(self._vision.start, [signals])
        self._owner.on_vision(signals)


def _bits(word: int, address: int, count: int) -> list[bool]:
    if address + count > BITS:
        raise Refusal(ExceptionCode.ILLEGAL_DATA_ADDRESS)
    return [bool(word >> bit & 1) for bit in range(address, address + count)]
