"""Whatever the PLC does to a call, every part gets exactly one record, and what the gate released was a PASS in time.

The daemon's own PLC thread, engine thread, desk, ledger and ring; the PLC is a scripted one, the engine and the camera are hands.
"""

import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.camera.base import CameraInfo, DeviceInfo
from inspector.challenge import ChallengeRules
from inspector.changeover import Changeover, Recipe
from inspector.clock import NS_PER_MS, SystemClock
from inspector.config.schema import PlcConfig
from inspector.desk import Desk
from inspector.engine.base import Score
from inspector.engine.decoding import Samples
from inspector.engine.worker import EngineThread
from inspector.handshake import Timing
from inspector.interlock import StopRules
from inspector.ledger import Ledger
from inspector.open_part import Rules
from inspector.part import Deciding
from inspector.plc.link import PlcLink
from inspector.plc.registers import Control, State, releases
from inspector.recorder.client import Recorder
from inspector.ring import RingReader, RingWriter
from inspector.safeguards import MAGIC, NUMBERS, Safeguards
from inspector.service.kept import KeptNumbers
from inspector.service.tally import Tally
from tests.unit.plc.scripted import (
    PATIENCE_S,
    Bend,
    CloseConnection,
    Request,
    ResetConnection,
    ScriptedPlc,
    reply,
    silent,
)

BUDGET_MS = 2000  # no stall of the machine may look like a fault
CALL_MS = 100
LATENCY_MS = 25
SPACING_MS = 30  # between parts: a frame must not fit its neighbour's time
GOOD, BAD = 0, 1
MANY = 60  # parts in a row: no machine stalls in each of them


class Hands:
    """An engine: the first pixel is the score."""

    name = "hands"

    def warm_up(self) -> None: ...

    def score(self, image: Samples, pixel_format: str | None = None) -> Score:
        return Score(float(image[0, 0]), np.zeros((1, 1), np.float32))

    def score_prepared(self, prepared: NDArray[np.uint8]) -> Score:
        raise NotImplementedError

    def close(self) -> None: ...


class Records:
    """The recorder; the test waits for what it writes."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.verdicts: list[dict[str, Any]] = []

    def record(self, event: str, /, **fields: Any) -> None:
        assert event == "verdict"
        with self._changed:
            self.verdicts.append(fields)
            self._changed.notify_all()

    def of(self, part_id: int) -> list[dict[str, Any]]:
        return [verdict for verdict in self.verdicts if verdict["part_id"] == part_id]

    def wait_for(self, part_id: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.of(part_id), PATIENCE_S), (
                f"no record of part {part_id}"
            )


class Line:
    """A station without processes, its PLC, and a gate that looks at the slot when the part's record is there."""

    def __init__(self, plc: ScriptedPlc, folder: Path) -> None:
        clock = SystemClock()
        self.plc = plc
        self.stopped = False
        self.clock = clock
        self.records = Records()
        self.tally = Tally.open(folder / "line.tally")
        self.released: list[int] = []
        timing = Timing(latency_min_ns=0, latency_max_ns=LATENCY_MS * NS_PER_MS)
        self.kept = KeptNumbers.open(folder / "line.stops", MAGIC, NUMBERS)
        safeguards = Safeguards(StopRules(), ChallengeRules(at_start=False), self.kept, reject_parts=False)
        ledger = Ledger(
            Rules(budget_ns=BUDGET_MS * NS_PER_MS, timing=timing), expectation=safeguards.expectation
        )
        self.desk = Desk(
            ledger,
            Changeover({1: Recipe(Deciding(0.5, 1, "0" * 64, "config"))}, 1, ledger, keep_warm=1),
            safeguards,
            tally=self.tally,
            recorder=cast("Recorder", self.records),
            clock=clock,
            simulated=True,
            simulated_allowed=True,
        )
        config = PlcConfig(
            port=plc.port,
            poll_ms=2.0,
            status_ms=10.0,
            heartbeat_timeout_ms=3_600_000.0,
            reconnect_first_ms=1.0,
        )
        self.doorbell_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.link = PlcLink(config, CALL_MS, self.desk, clock)
        self.desk.wake_plc = self.link.wake
        self.engine = EngineThread(lambda _: Hands(), self.desk, self.doorbell_fd, clock)
        self.ring = RingWriter.create(8, 4, "Mono8", slots=4, generation=1)
        self.count = self.frame_id = self.t_next_ns = 0
        plc.set_control(Control(enable=True))
        self.link.start()
        self.engine.start()
        camera = CameraInfo(DeviceInfo("1", "hands", "", "", ""), 8, 4, "Mono8", {})
        self.desk.on_up(1, RingReader.attach(self.ring.fd), camera)

    def stop(self) -> None:
        """Stop as the station does. A second call does nothing."""
        if self.stopped:
            return
        self.stopped = True
        self.engine.stop(PATIENCE_S)
        self.desk.close()
        self.link.stop(PATIENCE_S)
        self.tally_at_end = self.tally.totals()
        self.tally.close()
        self.kept.close()
        for fd in (self.ring.fd, self.doorbell_fd):
            os.close(fd)

    def wait_until_ready(self) -> None:
        """Wait until the PLC sees that parts can pass: the line must have been empty for a moment."""
        writes = len(self.plc.requests)
        self.plc.wait_for(
            lambda: any(
                request.address == 200 and request.words and request.words[1] & State.READY
                for request in self.plc.requests[writes:]
            )
        )

    def part(self, score: int = GOOD) -> None:
        """Let a part pass the sensor, the camera and, when it has its record, the gate."""
        self.plc.wait_for(lambda: self.clock.now_ns() >= self.t_next_ns)
        self.t_next_ns = self.clock.now_ns() + SPACING_MS * NS_PER_MS
        self.count += 1
        first = self.plc.map.slot_address(self.count)
        with self.plc.lock:
            self.plc.words[first : first + 8] = [0] * 8
            self.plc.set_control(Control(enable=True, part_count=self.count))
        self.frame_id += 1
        self.ring.put(self.frame_id, self.clock.now_ns(), np.full(32, score, np.uint8))
        os.eventfd_write(self.doorbell_fd, 1)
        self.records.wait_for(self.count)
        with self.plc.lock:
            if releases(self.plc.slot(self.count), self.count):
                self.released.append(self.count)

    def until_one_is_released(self) -> None:
        """Let good parts pass until the gate opens: a machine that stalls may cost some of them."""
        released = len(self.released)
        while len(self.released) == released:
            assert self.count < MANY, self.reasons()
            self.part()

    def reasons(self) -> Counter[str]:
        return Counter(record["reason"] for record in self.records.verdicts)

    def check(self, bad: set[int]) -> None:
        """Check the promises from outside, after `stop`."""
        recorded = Counter(record["part_id"] for record in self.records.verdicts)
        assert recorded == dict.fromkeys(range(1, self.count + 1), 1)
        for part_id in self.released:
            (record,) = self.records.of(part_id)
            assert (record["reason"], part_id in bad) == ("NONE", False)
            assert record["t_written_ns"] < record["t_deadline_ns"]
        status = self.plc.status()
        rejects = self.count - self.reasons()["NONE"]
        assert (status.parts, status.rejects) == (self.count, rejects)
        assert not status.state & State.ONLINE


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with ScriptedPlc() as plc:
        line = Line(plc, tmp_path)
        try:
            line.wait_until_ready()
            yield line
        finally:
            line.stop()


def close(request: Request, answer: bytes) -> bytes:
    raise CloseConnection


def reset(request: Request, answer: bytes) -> bytes:
    raise ResetConnection


def half(request: Request, answer: bytes) -> bytes:
    return answer[: len(answer) // 2]


def busy(request: Request, answer: bytes) -> bytes:
    return reply(request, b"\x06", function=request.function | 0x80)


def of_another_call(request: Request, answer: bytes) -> bytes:
    return reply(request, answer[8:], transaction=request.transaction + 1)


def garbage(request: Request, answer: bytes) -> bytes:
    return bytes(range(7, 7 + len(answer)))


class Times:
    """Bend the next `n` requests, then answer honestly."""

    def __init__(self, n: int, bend: Bend) -> None:
        self.left = n
        self._bend = bend

    def __call__(self, request: Request, answer: bytes) -> Any:
        self.left -= 1
        return self._bend(request, answer) if self.left >= 0 else answer


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("fault", [silent, close, reset, half, busy, of_another_call, garbage])
def test_every_part_has_one_record_and_parts_pass_again(line: Line, fault: Bend, times: int) -> None:
    bad = set()

    def bad_part() -> None:
        line.part(BAD)
        bad.add(line.count)

    line.until_one_is_released()
    bad_part()
    line.plc.bend = bending = Times(times, fault)
    line.part()
    bad_part()
    line.part()
    line.wait_until_ready()
    line.until_one_is_released()
    bad_part()
    line.until_one_is_released()
    line.stop()
    assert bending.left < 0
    assert line.plc.connections > 1
    line.check(bad)


def test_a_plc_that_goes_for_good_loses_nobody(line: Line) -> None:
    """Part 2 has no verdict when the link breaks; its record comes when the station leaves."""
    line.part()
    with line.plc.lock:
        line.count += 1
        line.plc.set_control(Control(enable=True, part_count=line.count))
    line.plc.wait_for_requests(3)
    line.plc.close()
    line.stop()
    (record,) = line.records.of(2)
    assert record["t_written_ns"] is None
    assert (len(line.records.verdicts), line.tally_at_end.parts) == (2, 2)


def test_a_plc_that_forgot_all_but_its_count_goes_on(line: Line) -> None:
    """Its registers are zero, its retained count is not: no part is counted twice."""
    line.until_one_is_released()
    with line.plc.lock:
        line.plc.words[:300] = [0] * 300
        line.plc.drop()
    line.wait_until_ready()
    line.until_one_is_released()
    line.stop()
    line.check(set())
