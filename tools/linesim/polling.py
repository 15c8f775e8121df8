"""A PLC that is the Modbus client (pymodbus), for a station in the server role.

Its program goes round in cycles: write the control block in one write, wait for the acknowledgement, read the results and the
status. The memory that its gate looks at is its own copy. A slot in it is cleared when its part is counted, and filled again
only by a read that was sent after the write that counts the part was acknowledged: nothing older than the part can release it.
"""

import asyncio
import logging
import time
from contextlib import suppress

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from inspector.part import part_distance
from inspector.plc.registers import SLOT_WORDS, STATUS, STATUS_WORDS, RegisterMap, encode_control
from tools.linesim.conveyor import InputError
from tools.linesim.plc import Plc

RETRY_S = 0.05  # between attempts to reach the station
ANSWER_S = 0.2  # a PLC that waits longer learns too late that its link is down: parts go on coming
REFUSALS = 20  # in a row are no fault that passes
READ_SLOTS = 15  # in one request: 125 words at most
# It tells of connections lost, which is what we do on purpose, and dumps the traffic before them.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
HEARTBEAT = next(field.offset for field in STATUS if field.name == "heartbeat")


class PollingPlc(Plc):
    """Memory, client and power switch of the PLC. All methods run in one event loop."""

    def __init__(
        self, registers: RegisterMap, host: str, port: int, *, unit_id: int, cycle_ms: float
    ) -> None:
        """`host`, `port`: the station's. `cycle_ms`: pause between two rounds, unless there is a part to count."""
        super().__init__(registers, host, port)
        self._unit_id = unit_id
        self._cycle_s = cycle_ms * 1e-3
        self._client: AsyncModbusTcpClient | None = None
        self._task: asyncio.Task[None] | None = None
        self._due = asyncio.Event()  # a part is to be counted: the next round begins at once
        self._not_told: dict[int, int] = {}  # by slot: the part whose count the station has not acknowledged
        self._heartbeat: int | None = None
        self._refusals = 0  # in a row

    @property
    def connected(self) -> bool:
        """Whether the station answers."""
        return self._client is not None

    async def power_on(self) -> None:
        """Begin to poll; the station need not listen yet."""
        self.powered = True
        self.set_control(self.control)
        self._task = asyncio.create_task(self._run())

    async def power_off(self) -> None:
        """Drop the connection."""
        self.powered = False
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            self._lose()

    def forget(self, *, keep_count: bool) -> None:
        """Zero all memory, as a PLC without retained registers does when power returns."""
        self._not_told.clear()
        super().forget(keep_count=keep_count)

    def count_part(self) -> tuple[int, int]:
        """Clear the slot of the next part, count it, and have the count written now."""
        part_id, t_ns = super().count_part()
        self._not_told[part_id % self.registers.slots] = part_id
        self._due.set()
        return part_id, t_ns

    # -- rounds ---------------------------------------------------------------------------------

    async def _run(self) -> None:
        while self.powered and self.failure is None:
            client = AsyncModbusTcpClient(
                self.host, port=self.port, timeout=ANSWER_S, retries=0, reconnect_delay=0
            )
            try:
                if await client.connect():
                    await self._rounds(client)
            except (ModbusException, OSError):
                pass  # whoever broke the connection: try again
            except InputError as error:
                self._refusals += 1
                self.failure = error if self._refusals >= REFUSALS else None
            finally:
                client.close()
                self._lose()
            await asyncio.sleep(RETRY_S)

    async def _rounds(self, client: AsyncModbusTcpClient) -> None:
        while self.powered:  # asyncio.wait_for may swallow a cancellation that comes with the answer
            self._due.clear()
            await self._write_control(client)
            self._client = client
            await self._read_results(client)
            await self._read_status(client)
            self._refusals = 0
            with suppress(TimeoutError):
                async with asyncio.timeout(self._cycle_s):
                    await self._due.wait()

    async def _write_control(self, client: AsyncModbusTcpClient) -> None:
        control, told = self.control, set(self._not_told.items())
        words = encode_control(control, self.registers.word_order)
        at = self.registers.control_address
        _checked(await client.write_registers(at, words, device_id=self._unit_id), "write its control block")
        self._not_told = dict(self._not_told.items() - told)
        self._count_read(control.part_count)
        self.unread_parts = part_distance(control.part_count, self.control.part_count)

    async def _read_results(self, client: AsyncModbusTcpClient) -> None:
        for first in range(0, self.registers.slots, READ_SLOTS):
            slots = range(first, min(first + READ_SLOTS, self.registers.slots))
            at = self.registers.results_address + first * SLOT_WORDS
            words = await self._read(client, at, len(slots) * SLOT_WORDS)
            t_ns = time.monotonic_ns()
            for n, slot in enumerate(slots):
                self._take_slot(slot, words[n * SLOT_WORDS : (n + 1) * SLOT_WORDS], t_ns)

    def _take_slot(self, slot: int, words: list[int], t_ns: int) -> None:
        at = self.registers.results_address + slot * SLOT_WORDS
        if slot in self._not_told or self._words[at : at + SLOT_WORDS] == words:
            return
        if self.observer is not None:
            self.observer.before_write(t_ns)
        self._words[at : at + SLOT_WORDS] = words
        if self.observer is not None:
            self.observer.slot_written(slot, words, t_ns)

    async def _read_status(self, client: AsyncModbusTcpClient) -> None:
        at = self.registers.status_address
        words = await self._read(client, at, STATUS_WORDS)
        self._words[at : at + STATUS_WORDS] = words
        if words[HEARTBEAT] != self._heartbeat:
            self._heartbeat = words[HEARTBEAT]
            self.status_writes += 1

    async def _read(self, client: AsyncModbusTcpClient, address: int, count: int) -> list[int]:
        answer = await client.read_holding_registers(address, count=count, device_id=self._unit_id)
        return list(_checked(answer, f"read {count} registers from {address}").registers)

    def _lose(self) -> None:
        if self._client is not None:
            self._client = None
            self._tell_link_lost()


def _checked(answer: ModbusPDU, wanted: str) -> ModbusPDU:
    """Return the answer. Raises InputError where the station refused."""
    if answer.isError():
        raise InputError(
            f"expected the station to let the PLC {wanted}, it answered {answer}: see plc.registers and plc.server"
        )
    return answer
