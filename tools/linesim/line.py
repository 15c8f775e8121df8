"""The line: conveyor, PLC program and gate on one event loop. It acts; the judge judges."""

import asyncio
import dataclasses
import random
import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count, islice

from inspector.part import PART_ID_MAX
from inspector.plc.registers import State, Status, releases
from tools.linesim.conveyor import NS_PER_S, InputError, Item, deal, spacings_ns
from tools.linesim.faults import CameraSocket, Fault, by_part
from tools.linesim.judge import Judge, Part
from tools.linesim.people import Challenges, Operator
from tools.linesim.plc import Plc
from tools.linesim.products import Products

HEARTBEAT_S = 0.1
CHALLENGE = ("bad", "good", "bad")
POLL_S = 0.02  # of what the station writes, where nobody's latency depends on it


@dataclass(frozen=True, slots=True)
class Plan:
    """What the line is to do."""

    items: Sequence[Item]
    parts: int
    rate_hz: float
    min_spacing_ms: float
    budget_ms: float
    seed: int
    first_part_id: int = 1
    faults: Sequence[Fault] = ()
    software_trigger: bool = False  # the station triggers the camera: it is only told what stands before it
    ready_timeout_s: float = 30.0
    settle_timeout_s: float = 5.0
    gate_ms: float | None = None  # from the trigger to the gate, None: the budget
    challenge: Sequence[str] = CHALLENGE  # as the station has it
    clear_after_ms: float = 500.0  # until somebody looks after a line that stopped

    @property
    def budget_ns(self) -> int:
        """From the trigger to the deadline."""
        return round(self.budget_ms * 1e6)

    @property
    def gate_lag_ns(self) -> int:
        """From the deadline to the gate."""
        return round((self.gate_ms - self.budget_ms) * 1e6) if self.gate_ms else 0


class Line:
    """Runs one plan. `tell(event, fields)` is called for whoever watches; it must not block."""

    def __init__(
        self,
        plan: Plan,
        plc: Plc,
        judge: Judge,
        camera: CameraSocket,
        tell: Callable[..., None],
    ) -> None:
        self.plan, self.plc, self.judge, self.camera, self.tell = plan, plc, judge, camera, tell
        self.uncounted = 0  # parts that passed while the PLC had no power
        self.lags_ns = array("q")  # how late this process itself was at each trigger and gate
        self.problems: list[str] = []  # I5, after `run`
        self.made: list[dict[str, object]] = []  # the faults that came, with the part that each came before
        self.operator = Operator(plc, tell, plan.clear_after_ms)
        self._challenges = Challenges(plc, plan.items, plan.challenge)
        self.products = Products(plc, tell)
        self._faults = by_part(plan.faults)
        self._waiting: deque[Part] = deque()  # for the gate, in the order of their deadlines
        self._pause_ns = 0
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        plc.observer = self
        plc.set_control(dataclasses.replace(plc.control, part_count=plan.first_part_id - 1))

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called for what is going on now."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Let no more parts onto the line; `run` then ends in order."""
        self._stop.set()

    async def run(self) -> None:
        """Wait for the station, run the plan, wait for the last verdicts, and compare the counters."""
        heartbeat = asyncio.create_task(self._beat())
        try:
            await self._wait_until_ready()
            if self._stop.is_set():
                return
            self.camera.check()
            before = self.plc.status()
            await self._convey()
            await self._until(lambda: not self._waiting and not self._tasks, self.plan.budget_ms * 1e-3 + 60)
            if self._failure is not None:
                raise self._failure
            await self._settle(before)
        finally:
            heartbeat.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(heartbeat, *self._tasks, return_exceptions=True)

    async def linger(self, seconds: float) -> None:
        """Keep the PLC as it is until `stop`, at most so long: the station may go first, and in order."""
        self.plc.observer = None
        self._stop.clear()
        await self._stopped_before(time.monotonic_ns() + round(seconds * NS_PER_S))

    # -- what the PLC tells ---------------------------------------------------------------------

    def before_write(self, t_ns: int) -> None:
        """Decide what is due before the memory changes: a verdict after the deadline must not open the gate."""
        self._decide_due(t_ns)

    def slot_written(self, slot: int, words: Sequence[int], t_ns: int) -> None:
        """Pass it on to the judge."""
        self.judge.slot_written(slot, words, t_ns)

    def link_lost(self) -> None:
        """Pass it on to the judge."""
        self.judge.link_lost()
        self.tell("link_lost")

    def count_read_again(self, part_count: int) -> None:
        """Pass it on to the judge."""
        self.judge.unknowable(part_count)

    # -- the conveyor ---------------------------------------------------------------------------

    async def _convey(self) -> None:
        rng = random.Random(self.plan.seed)
        items = islice(deal(self.plan.items, rng), self.plan.parts)
        gaps = spacings_ns(self.plan.rate_hz, self.plan.min_spacing_ms, rng)
        least_ns = round(self.plan.min_spacing_ms * 1e6)
        t_next = time.monotonic_ns()
        t_last = t_next - least_ns
        for index, item in zip(count(1), items, strict=False):
            t_ns = time.monotonic_ns()
            for fault in self._faults.get(index, ()):
                await self._do(fault)
            await self.operator.attend(self._stopped_within)
            self._pause_ns += time.monotonic_ns() - t_ns  # for as long as the belt stood
            t_next += next(gaps) + self._pause_ns
            self._pause_ns = 0
            # Absolute schedule, but a stall of this machine must not push two parts into each other.
            due = max(t_next, t_last + least_ns)
            if await self._stopped_before(due):
                return
            t_last = time.monotonic_ns()
            self.lags_ns.append(t_last - due)
            if self.plc.powered:
                self._count(index, item)
                self._challenges.counted()
            else:
                self.uncounted += 1

    def _count(self, index: int, item: Item) -> None:
        """Do what the PLC does when its sensor sees a part: clear its slot, count it, trigger the camera."""
        self._decide_due(time.monotonic_ns())
        item, challenge = self._challenges.next(item)
        pulse = f"{'image ' if self.plan.software_trigger else 'pulse image='}{item.image}"
        part_id, t_ns = self.plc.count_part()
        self.camera.send(pulse)
        part = Part(index, part_id, item.image, item.good, t_ns, t_ns + self.plan.budget_ns)
        part.challenge = challenge
        part.recipe = self.plc.control.recipe_request
        part.link_lost = not self.plc.connected
        self.judge.counted(part)
        self._waiting.append(part)
        asyncio.get_running_loop().call_at(self._gate_ns(part) / NS_PER_S, self._gate_due)

    # -- the gate -------------------------------------------------------------------------------

    def _gate_due(self) -> None:
        t_ns = time.monotonic_ns()
        if self._waiting and self._gate_ns(self._waiting[0]) <= t_ns:
            self.lags_ns.append(t_ns - self._gate_ns(self._waiting[0]))
        self._decide_due(t_ns)

    def _decide_due(self, t_ns: int) -> None:
        """Decide every part that has come to the gate, by the release rule and nothing else, or by the coil."""
        while self._waiting and self._gate_ns(self._waiting[0]) <= t_ns:
            part = self._waiting.popleft()
            if self.plc.gate_coil is not None:
                opens = self.plc.gate_coil.is_open(self._gate_ns(part))
            else:
                opens = releases(self.plc.slot(part.part_id), part.part_id)
            self._decide(part, released=self.plc.powered and opens)

    def _gate_ns(self, part: Part) -> int:
        """Return when the part is at the gate."""
        return part.deadline_ns + self.plan.gate_lag_ns

    def _decide(self, part: Part, *, released: bool) -> None:
        words = self.plc.slot(part.part_id)
        self.judge.gate_decided(part, released=released, words=words, powered=self.plc.powered)

    # -- faults ---------------------------------------------------------------------------------

    async def _do(self, fault: Fault) -> None:
        if fault.is_outage and not self.plc.powered:
            return  # the power is gone already
        # The log knows parts by the PLC's count. A PLC that is down counts none.
        counts = self.plc.powered and not fault.is_outage
        part_id = self.plc.control.part_count % PART_ID_MAX + 1 if counts else None
        self.made.append({"at_part": fault.at_part, "part_id": part_id, "do": fault.text})
        self.tell("fault", **self.made[-1])
        if fault.target == "camera":
            self.camera.send(" ".join(fault.words))
        elif fault.target == "line":
            self._pause_ns += round(fault.ms * 1e6)
        elif fault.target == "recipe" and "now" in fault.words:
            self.products.ask(int(fault.words[0]))
        elif fault.target == "recipe":
            await self._until(lambda: not self._waiting or self.stopping, 60)  # on an empty line
            await self.products.change(int(fault.words[0]), self._stopped_within)
        elif fault.target == "challenge":
            await self._until(lambda: not self._waiting or self.stopping, 60)  # on an empty line
            await self._challenges.begin(fault.words, self._stopped_within)
        elif fault.text == "plc bin full":
            self.plc.set_control(dataclasses.replace(self.plc.control, bin_full=True))
        elif fault.text == "plc unconfirmed":
            unconfirmed = (self.plc.control.unconfirmed_rejects + 1) & 0xFFFF
            self.plc.set_control(dataclasses.replace(self.plc.control, unconfirmed_rejects=unconfirmed))
        elif fault.is_outage:
            self._decide_due(time.monotonic_ns())
            await self.plc.power_off()
            task = asyncio.create_task(self._power_on_later(fault))
            self._tasks.add(task)
            task.add_done_callback(self._outage_over)

    def _outage_over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """End the run; `run` raises the first error."""
        self._failure = self._failure or error
        self.stop()

    async def _power_on_later(self, fault: Fault) -> None:
        await asyncio.sleep(fault.ms * 1e-3)
        self._decide_due(time.monotonic_ns())
        if fault.words[0] == "restart":
            # The PLC no longer knows which parts are on their way to the gate. Were it to go on, a new part with an
            # old one's id could release the old one.
            while self._waiting:
                self._decide(self._waiting.popleft(), released=False)
            keep_count = "keep" in fault.words
            self.judge.memory_lost(unread=0 if keep_count else self.plc.unread_parts)
            self.plc.forget(keep_count=keep_count)
        await self.plc.power_on()
        self.tell("plc_back")

    # -- before and after -----------------------------------------------------------------------

    async def _wait_until_ready(self) -> None:
        """Wait, with the line empty, until the station keeps saying READY."""
        self.tell("waiting")
        writes = self.plc.status_writes

        def ready() -> bool:
            fresh = self.plc.connected and self.plc.status_writes > writes
            return self._stop.is_set() or (fresh and State.READY in self.plc.status().state)

        if not await self._until(ready, self.plan.ready_timeout_s):
            status = self.plc.status()
            said = (
                f"state {status.state!r}, error {status.error_code}" if self.plc.status_writes else "nothing"
            )
            raise InputError(
                f"expected the station to write READY to {self.plc.host}:{self.plc.port} within "
                f"{self.plan.ready_timeout_s:g} s, it wrote {said}: see the station's log"
            )
        self.tell("ready")

    async def _settle(self, before: Status) -> None:
        """Give the last verdicts and counters time to come, then hold the counters against what was seen (I5)."""

        def settled() -> bool:
            return not self.judge.open_questions() and not self.judge.miscounts(before, self.plc.status())

        await self._until(settled, self.plan.settle_timeout_s)
        self.judge.end()
        self.problems = self.judge.miscounts(before, self.plc.status())

    async def _beat(self) -> None:
        """Keep the PLC's heartbeat going for as long as the line runs, and tell those who watch."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            if self.plc.powered:
                beat = (self.plc.control.plc_heartbeat + 1) & 0xFFFF
                self.plc.set_control(dataclasses.replace(self.plc.control, plc_heartbeat=beat))
            if refused := self.camera.refusal():
                self._fail(
                    InputError(f"expected the camera to take a pulse or fault, it answered: {refused}")
                )
            if self.plc.failure is not None:
                self._fail(self.plc.failure)
            self.tell("progress", state=int(self.plc.status().state), uncounted=self.uncounted)

    async def _until(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Return whether `done` came true in time."""
        t_end = time.monotonic() + timeout_s
        while not done():
            if time.monotonic() > t_end:
                return False
            await asyncio.sleep(POLL_S)
        return True

    async def _stopped_within(self, seconds: float) -> bool:
        """Wait for so long or for the stop; return whether it was the stop."""
        return await self._stopped_before(time.monotonic_ns() + round(seconds * NS_PER_S))

    async def _stopped_before(self, t_ns: int) -> bool:
        """Wait until `t_ns` or the stop, whichever comes first; return whether it was the stop."""
        delay = (t_ns - time.monotonic_ns()) / NS_PER_S
        if delay <= 0:
            return self._stop.is_set()
        try:
            async with asyncio.timeout(delay):
                return await self._stop.wait()
        except TimeoutError:
            return False
