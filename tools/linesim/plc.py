"""The PLC's memory and its Modbus TCP server: holding registers, written and read by FC 3, 6 and 16.

Every write is stamped in the same step of the event loop that makes it visible, so a stamp is exactly the moment from
which the gate sees the words. FC 4 reads the same memory; other functions are answered with exception 1, addresses
outside the blocks, and writes into the PLC's own control block, with exception 2.
"""

import asyncio
import dataclasses
import time
from collections.abc import Sequence
from typing import Protocol

from inspector.plc.registers import (
    CONTROL,
    SLOT_WORDS,
    STATUS_WORDS,
    Control,
    RegisterMap,
    Status,
    decode_status,
    encode_control,
)
from tools.linesim.conveyor import InputError
from tools.linesim.modbus import Connection, Refusal, RefusedError

PART_ID_MAX = 65535
PART_COUNT = next(f.offset for f in CONTROL if f.name == "part_count")


class Observer(Protocol):
    """Who is told of what happens in the PLC. Called in the event loop; must not block."""

    def before_write(self, t_ns: int) -> None:
        """Hear that a write is about to become visible at `t_ns`."""

    def slot_written(self, slot: int, words: Sequence[int], t_ns: int) -> None:
        """Hear that the words of one slot have become visible at `t_ns`."""

    def link_lost(self) -> None:
        """Hear that the last connection has gone."""

    def count_read_again(self, part_count: int) -> None:
        """Hear that the part count was read for the first time since it began anew at zero."""


@dataclasses.dataclass(slots=True)
class GateCoil:
    """The coil that moves the gate of a line whose PLC cannot track its parts. 1 = let pass.

    The PLC drops it by a timer when it is not written again in time: the station may have died in the middle of a pulse.
    """

    address: int
    hold_ns: int
    _is_on: bool = False
    _t_written_ns: int = 0

    def write(self, *, on: bool, t_ns: int) -> None:
        """Take what the station writes."""
        self._is_on, self._t_written_ns = on, t_ns

    def is_open(self, t_ns: int) -> bool:
        """Return whether the gate is open."""
        return self._is_on and t_ns - self._t_written_ns <= self.hold_ns


class Plc:
    """Memory, server and power switch of the PLC. All methods run in one event loop."""

    def __init__(self, registers: RegisterMap, host: str, port: int) -> None:
        self.registers = registers
        self.host, self.port = host, port
        self.observer: Observer | None = None
        self.powered = False
        self.control = Control(enable=True)
        self.unread_parts = 0  # counted since a client last read the count
        self.status_writes = 0
        self.gate_coil: GateCoil | None = None  # None: the gate follows the release rule
        self.failure: InputError | None = None  # what keeps the two from talking, where a person must mend it
        self._blocks = (
            registers.blocks()
        )  # once: what a write costs here would count as the station's latency
        self._words = [0] * max(block.stop for block in self._blocks.values())
        self._count_is_new = False
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()

    @property
    def connected(self) -> bool:
        """Whether anybody is connected."""
        return bool(self._connections)

    async def power_on(self) -> None:
        """Listen. Port 0 takes a free one and keeps it. Raises InputError where the port cannot be had."""
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                lambda: Connection(self, self._connection_changed), self.host, self.port
            )
        except OSError as error:
            raise InputError(
                f"expected a free port at {self.host}:{self.port}, got none: stop what uses it, or take --port 0"
            ) from error
        self.port = server.sockets[0].getsockname()[1]
        self._server = server
        self.powered = True
        self.set_control(self.control)

    async def power_off(self) -> None:
        """Drop all connections and stop listening."""
        server, self._server, self.powered = self._server, None, False
        if server is not None:
            server.close()
            for connection in list(self._connections):
                connection.drop()
            await server.wait_closed()
            self._connections.clear()
            self._tell_link_lost()

    def forget(self, *, keep_count: bool) -> None:
        """Zero all memory, as a PLC without retained registers does when power returns."""
        self._words[:] = [0] * len(self._words)
        if not keep_count:
            self.control = Control(enable=True)
            self.unread_parts = 0
            self._count_is_new = True
        self.set_control(self.control)

    def set_control(self, control: Control) -> None:
        """Write the control block, as the PLC's own program does."""
        self._store_control(control, encode_control(control, self.registers.word_order))

    def _store_control(self, control: Control, words: list[int]) -> None:
        self.control = control
        first = self.registers.control_address
        self._words[first : first + len(words)] = words

    def count_part(self) -> tuple[int, int]:
        """Clear the slot of the next part, then count the part. Return its id and the moment, in nanoseconds.

        In this order nothing older than the part can release it.
        """
        part_id = self.control.part_count % PART_ID_MAX + 1
        self._clear_slot(part_id)
        # Encoded first: a PLC has its words in no time, and its clock begins with the sensor's edge.
        control = dataclasses.replace(self.control, part_count=part_id)
        words = encode_control(control, self.registers.word_order)
        t_ns = time.monotonic_ns()
        self._store_control(control, words)
        self.unread_parts += 1
        return part_id, t_ns

    def _clear_slot(self, part_id: int) -> None:
        first = self.registers.slot_address(part_id)
        self._words[first : first + SLOT_WORDS] = [0] * SLOT_WORDS

    def slot(self, part_id: int) -> tuple[int, ...]:
        """Return the eight words in the slot of `part_id`, as they stand now."""
        first = self.registers.slot_address(part_id)
        return tuple(self._words[first : first + SLOT_WORDS])

    def status(self) -> Status:
        """Return the status block that the station wrote last; all zero before it did."""
        first = self.registers.status_address
        return decode_status(self._words[first : first + STATUS_WORDS], self.registers.word_order)

    # -- what the station asks (modbus.Memory) ----------------------------------------------------

    def read(self, address: int, count: int) -> Sequence[int]:
        """Return registers. A read of the count is noted."""
        self._require_power()
        if address + count > len(self._words):
            raise RefusedError(Refusal.ADDRESS)
        if address <= self.registers.control_address + PART_COUNT < address + count:
            self._count_read(self.control.part_count)
        return self._words[address : address + count]

    def write(self, address: int, words: Sequence[int]) -> None:
        """Take results or status, all words in this step of the loop."""
        self._require_power()
        end, blocks = address + len(words), self._blocks
        block = next((blocks[name] for name in ("results", "status") if address in blocks[name]), range(0))
        if end > block.stop:
            raise RefusedError(Refusal.ADDRESS)
        t_ns = time.monotonic_ns()
        if self.observer is not None:
            self.observer.before_write(t_ns)
        self._words[address:end] = words
        if block == blocks["status"]:
            self.status_writes += 1
        elif self.observer is not None:
            self._tell_slots(address - block.start, len(words), t_ns)

    def write_coil(self, address: int, *, on: bool) -> None:
        """Take the gate's coil, where it has one."""
        self._require_power()
        if self.gate_coil is None:
            raise RefusedError(Refusal.FUNCTION)
        if address != self.gate_coil.address:
            raise RefusedError(Refusal.ADDRESS)
        t_ns = time.monotonic_ns()
        if self.observer is not None:
            self.observer.before_write(t_ns)
        self.gate_coil.write(on=on, t_ns=t_ns)

    def _require_power(self) -> None:
        if not self.powered:
            raise RefusedError(Refusal.DEVICE)  # a request that was taken in before the power went

    def _count_read(self, part_count: int) -> None:
        self.unread_parts = 0
        if self._count_is_new:
            self._count_is_new = False
            if self.observer is not None:
                self.observer.count_read_again(part_count)

    def _tell_slots(self, offset: int, count: int, t_ns: int) -> None:
        assert self.observer is not None  # noqa: S101  (the one caller asked)
        for slot in range(offset // SLOT_WORDS, (offset + count - 1) // SLOT_WORDS + 1):
            first = self.registers.results_address + slot * SLOT_WORDS
            self.observer.slot_written(slot, self._words[first : first + SLOT_WORDS], t_ns)

    def _connection_changed(self, connection: Connection, is_open: bool) -> None:
        if is_open:
            self._connections.add(connection)
        elif connection in self._connections:
            self._connections.remove(connection)
            if not self._connections:
                self._tell_link_lost()

    def _tell_link_lost(self) -> None:
        if self.observer is not None:
            self.observer.link_lost()
