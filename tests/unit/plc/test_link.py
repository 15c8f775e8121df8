"""The PLC thread, against a scripted PLC and a scripted desk, with the real clock."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from inspector.clock import NS_PER_MS, ManualClock, SystemClock
from inspector.config.schema import PlcConfig
from inspector.errors import PlcError
from inspector.part import Outcome, Reason, Verdict
from inspector.plc.link import PlcLink, _Heartbeats
from inspector.plc.registers import Control, Flag, State, Status, encode_result
from tests.unit.plc.scripted import (
    PATIENCE_S,
    WRITE,
    CloseConnection,
    Request,
    ScriptedPlc,
    honest,
    reply,
    silent,
)

FAR_MS = 3_600_000.0
clock = SystemClock()
ENABLED = Control(enable=True, part_count=3, plc_heartbeat=1)


class FakeDesk:
    """Writes down what the thread reports, and hands out what the test filed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.controls: list[dict[str, Any]] = []
        self.written: list[tuple[Verdict, int | None]] = []
        self.ups = 0
        self.downs: list[str] = []
        self.ticks = 0
        self.expiry_ns: int | None = None
        self.fails: Exception | None = None
        self._verdicts: list[Verdict] = []

    def on_control(self, control: Control, **fields: Any) -> None:
        self._note(lambda: self.controls.append({"control": control, **fields}))

    def on_link_up(self) -> None:
        self._note(lambda: setattr(self, "ups", self.ups + 1))

    def on_link_down(self, why: str) -> None:
        self._note(lambda: self.downs.append(why))

    def on_tick(self) -> None:
        if self.fails is not None:
            raise self.fails
        if self.expiry_ns is not None and clock.now_ns() >= self.expiry_ns:
            self.expiry_ns = None
            self._note(lambda: setattr(self, "ticks", self.ticks + 1))

    def next_expiry_ns(self) -> int | None:
        return self.expiry_ns

    def take_verdicts(self) -> list[Verdict]:
        taken, self._verdicts = self._verdicts, []
        self._note(lambda: None)
        return taken

    def withdraw(self, verdict: Verdict, reason: Reason) -> Verdict:
        return replace(verdict, outcome=Outcome.REJECT, reason=reason)

    def on_written(self, verdict: Verdict, t_written_ns: int | None) -> None:
        self._note(lambda: self.written.append((verdict, t_written_ns)))

    def status(self, heartbeat: int) -> Status:
        return Status(heartbeat, State.ONLINE | State.READY | State.BUSY | State.FAULT, 303, 2, 10, 4, 3, 1)

    def recipe(self) -> tuple[int, Flag]:
        return 2, Flag.SIMULATED

    def file(self, *verdicts: Verdict) -> None:
        """File verdicts as if they had just become final."""
        self._verdicts = [*self._verdicts, *verdicts]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_S), (
                "the desk never heard what the test waits for"
            )

    def _note(self, change: Callable[[], object]) -> None:
        with self._changed:
            change()
            self._changed.notify_all()

    @property
    def unwritten(self) -> list[int]:
        return [verdict.part_id for verdict, t_ns in self.written if t_ns is None]


def verdict(part_id: int, *, passed: bool = True, deadline_ms: float = FAR_MS) -> Verdict:
    now_ns = clock.now_ns()
    return Verdict(
        part_id,
        Outcome.PASS if passed else Outcome.REJECT,
        Reason.NONE if passed else Reason.SCORE,
        t_trigger_ns=now_ns,
        t_deadline_ns=now_ns + round(deadline_ms * NS_PER_MS),
        t_decided_ns=now_ns,
        relative_score=0.5,
    )


def words(verdict: Verdict) -> list[int]:
    return encode_result(verdict, recipe=2, flags=Flag.SIMULATED)


def configured(port: int, **settings: Any) -> PlcConfig:
    """Everything rare, unless the test wants it otherwise: what happens then has the cause that the test gave."""
    rare: dict[str, Any] = {"poll_ms": FAR_MS, "status_ms": FAR_MS, "heartbeat_timeout_ms": FAR_MS}
    quick: dict[str, Any] = {"reconnect_first_ms": 1.0, "reconnect_max_ms": 10.0}
    return PlcConfig(port=port, **{**rare, **quick, **settings})


class Link(PlcLink):
    """A link that the fixture below finds again, also where its test failed half-way."""

    made: ClassVar[list[PlcLink]] = []

    def start(self) -> None:
        self.made.append(self)
        super().start()


@pytest.fixture(autouse=True)
def no_thread_outlives_its_test() -> Iterator[None]:
    yield
    while Link.made:
        link = Link.made.pop()
        if link._thread.is_alive():
            link.stop(PATIENCE_S)


@contextmanager
def linked(
    plc: ScriptedPlc, desk: FakeDesk, *, timeout_ms: float = 5000, **settings: Any
) -> Iterator[PlcLink]:
    link = Link(configured(plc.port, **settings), timeout_ms, desk, clock)
    link.start()
    try:
        yield link
    finally:
        link.stop(PATIENCE_S)
        assert not link._thread.is_alive()


@pytest.fixture
def plc() -> Iterator[ScriptedPlc]:
    with ScriptedPlc() as plc:
        plc.set_control(ENABLED)
        yield plc


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


# -- verdicts -------------------------------------------------------------------------------------


def test_a_verdict_stands_in_the_slot_of_its_part(plc: ScriptedPlc, desk: FakeDesk) -> None:
    final = verdict(21)
    with linked(plc, desk) as link:
        desk.wait_for(lambda: desk.ups == 1)
        desk.file(final)
        link.wake()
        desk.wait_for(lambda: len(desk.written) == 1)
        assert plc.slot(21) == words(final)
        written, t_written_ns = desk.written[0]
    assert written is final
    assert t_written_ns is not None
    assert final.t_decided_ns < t_written_ns < clock.now_ns()
    assert len(desk.written) == 1


def test_of_several_verdicts_for_one_slot_the_newest_is_written(plc: ScriptedPlc, desk: FakeDesk) -> None:
    final = [verdict(part_id, passed=part_id != 21) for part_id in (5, 21, 36, 37)]
    desk.file(*final)
    with linked(plc, desk):
        desk.wait_for(lambda: len(desk.written) == 4)
        assert plc.writes(5 * 8) == [tuple(words(final[3]))]
        assert plc.slot(36) == words(final[2])
    assert sorted(desk.unwritten) == [5, 21]


@pytest.mark.parametrize("at_once", [True, False])
def test_after_an_outage_no_slot_is_written_that_the_next_part_may_have(
    desk: FakeDesk, at_once: bool
) -> None:
    with ScriptedPlc() as gone:
        port = gone.port
    link = Link(configured(port), 5000, desk, clock)
    final = [verdict(part_id, passed=False) for part_id in range(10, 30)]
    if at_once:
        desk.file(*final)
    link.start()
    for late in [] if at_once else final:
        desk.file(late)
        desk.wait_for(lambda: not desk._verdicts)
    with ScriptedPlc(port) as plc:
        desk.wait_for(lambda: len(desk.written) == 20)
        assert [plc.slot(part_id)[0] for part_id in range(14, 30)] == [0] * 4 + list(range(18, 30))
        link.stop(PATIENCE_S)
    assert sorted(desk.unwritten) == list(range(10, 18))


def test_a_pass_that_can_be_sent_only_after_its_deadline_is_a_reject(
    plc: ScriptedPlc, desk: FakeDesk
) -> None:
    desk.file(verdict(5, deadline_ms=0), verdict(6, passed=False, deadline_ms=0))
    with linked(plc, desk):
        desk.wait_for(lambda: len(desk.written) == 2)
        assert plc.slot(5)[1:3] == [Outcome.REJECT, Reason.LATE]
        assert plc.slot(6)[1:3] == [Outcome.REJECT, Reason.SCORE]
        assert len(plc.writes(5 * 8)) == 1
    assert [each.reason for each, _ in desk.written] == [Reason.LATE, Reason.SCORE]
    assert desk.unwritten == []


def test_a_pass_that_was_never_sent_is_no_pass_in_the_end(desk: FakeDesk) -> None:
    with ScriptedPlc() as gone:
        port = gone.port
    desk.file(verdict(5), verdict(21), verdict(6, passed=False))
    link = Link(configured(port), 5000, desk, clock)
    link.start()
    desk.wait_for(lambda: bool(desk.downs))
    link.stop(PATIENCE_S)
    assert {each.part_id: each.reason for each, _ in desk.written} == {
        5: Reason.LINK,
        21: Reason.LINK,
        6: Reason.SCORE,
    }


def test_rejects_of_the_time_without_a_link_are_written_after_it(desk: FakeDesk) -> None:
    with ScriptedPlc() as gone:
        port = gone.port
    link = Link(configured(port), 5000, desk, clock)
    desk.file(verdict(5, passed=False))
    link.start()
    desk.wait_for(lambda: len(desk.downs) >= 2)
    assert "Connection refused" in desk.downs[0]
    assert desk.written == []
    with ScriptedPlc(port) as plc:
        desk.wait_for(lambda: len(desk.written) == 1)
        assert plc.slot(5)[1] == Outcome.REJECT
        link.stop(PATIENCE_S)
    assert desk.unwritten == []


@pytest.mark.parametrize("passed", [True, False])
def test_a_write_without_acknowledgement_is_written_again_on_the_next_connection(
    plc: ScriptedPlc, desk: FakeDesk, passed: bool
) -> None:
    def swallow_first(request: Request, answer: bytes) -> bytes:
        first = request.address == 40 and not plc.writes(40)
        return b"" if first else answer

    plc.bend = swallow_first
    desk.file(verdict(5, passed=passed))
    with linked(plc, desk, timeout_ms=400):  # far beyond a stall, which would be one more time-out
        desk.wait_for(lambda: len(desk.written) == 1)
    assert len(plc.writes(40)) == 2
    assert plc.connections == 2
    assert desk.unwritten == []
    assert "no answer in 400 ms" in desk.downs[0]


def test_a_pass_whose_time_ran_out_on_the_way_is_not_repeated(plc: ScriptedPlc, desk: FakeDesk) -> None:
    plc.bend = lambda request, answer: b"" if request.address == 40 else answer
    desk.file(verdict(5, deadline_ms=100))
    with linked(plc, desk, timeout_ms=150):
        desk.wait_for(lambda: len(desk.written) == 1)
    assert len(plc.writes(40)) <= 1
    assert desk.unwritten == [5]


# -- the control block ----------------------------------------------------------------------------


def test_the_control_block_is_reported_with_its_times(plc: ScriptedPlc, desk: FakeDesk) -> None:
    t_before_ns = clock.now_ns()
    with linked(plc, desk):
        desk.wait_for(lambda: len(desk.controls) >= 1)
    first = desk.controls[0]
    assert first["control"] == ENABLED
    assert t_before_ns <= first["t_sent_ns"] < first["t_received_ns"] <= clock.now_ns()
    assert (first["enabled"], first["plc_restarted"]) == (True, False)


def test_a_wake_makes_the_thread_read_at_once(plc: ScriptedPlc, desk: FakeDesk) -> None:
    with linked(plc, desk) as link:
        desk.wait_for(lambda: desk.ups == 1)
        plc.set_control(replace(ENABLED, part_count=4))
        link.wake()
        desk.wait_for(lambda: desk.controls[-1]["control"].part_count == 4)


def test_the_thread_wakes_for_a_deadline_by_itself(plc: ScriptedPlc, desk: FakeDesk) -> None:
    with linked(plc, desk) as link:
        desk.wait_for(lambda: desk.ups == 1)
        desk.expiry_ns = clock.now_ns() + 30 * NS_PER_MS
        link.wake()
        desk.wait_for(lambda: desk.ticks == 1)


def test_a_deadline_is_kept_without_a_link(desk: FakeDesk) -> None:
    with ScriptedPlc() as gone:
        port = gone.port
    desk.expiry_ns = clock.now_ns() + 30 * NS_PER_MS
    link = Link(configured(port, reconnect_first_ms=FAR_MS, reconnect_max_ms=FAR_MS), 5000, desk, clock)
    link.start()
    desk.wait_for(lambda: desk.ticks == 1)
    link.stop(PATIENCE_S)
    assert len(desk.downs) == 1


def test_the_watchdog_sees_the_thread_move_while_there_is_nothing_to_do(
    desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inspector.plc.link.LONGEST_SLEEP_MS", 1.0)
    with ScriptedPlc() as gone:
        port = gone.port
    link = Link(configured(port, reconnect_first_ms=FAR_MS, reconnect_max_ms=FAR_MS), 5000, desk, clock)
    link.start()
    desk.wait_for(lambda: bool(desk.downs))
    t_alive_ns = link.t_alive_ns
    desk.wait_for(lambda: link.t_alive_ns > t_alive_ns)
    link.stop(PATIENCE_S)
    assert len(desk.downs) == 1


def test_a_plc_whose_heartbeat_stands_still_does_not_enable(plc: ScriptedPlc, desk: FakeDesk) -> None:
    with linked(plc, desk, poll_ms=2.0, heartbeat_timeout_ms=60.0):
        desk.wait_for(lambda: bool(desk.controls) and not desk.controls[-1]["enabled"])
        assert desk.controls[0]["enabled"]
        heard = len(desk.controls)
        plc.set_control(replace(ENABLED, plc_heartbeat=2))
        desk.wait_for(lambda: any(control["enabled"] for control in desk.controls[heard:]))


def test_a_plc_that_is_not_enabled_does_not_enable(plc: ScriptedPlc, desk: FakeDesk) -> None:
    plc.set_control(replace(ENABLED, enable=False))
    with linked(plc, desk):
        desk.wait_for(lambda: len(desk.controls) >= 1)
    assert not desk.controls[0]["enabled"]


# -- status and heartbeat -------------------------------------------------------------------------


def test_the_status_is_written_with_every_heartbeat(plc: ScriptedPlc, desk: FakeDesk) -> None:
    with linked(plc, desk, status_ms=2.0):
        plc.wait_for(lambda: len(plc.writes(200)) >= 4)
        beats = [written[0] for written in plc.writes(200)]
        assert plc.status() == desk.status(plc.status().heartbeat)
    assert beats[:4] == [1, 2, 3, 4]


def test_the_heartbeat_leaves_out_zero() -> None:
    beats = _Heartbeats(ours=65_534)
    assert [beats.next(), beats.next()] == [65_535, 1]


def test_the_last_status_says_that_the_station_is_gone(plc: ScriptedPlc, desk: FakeDesk) -> None:
    with linked(plc, desk):
        desk.wait_for(lambda: desk.ups == 1)
        assert plc.status().state & State.ONLINE
        beat = plc.status().heartbeat
    assert plc.status() == replace(desk.status(beat + 1), state=State.FAULT)


def test_the_last_verdicts_are_written_before_the_thread_ends(plc: ScriptedPlc, desk: FakeDesk) -> None:
    with linked(plc, desk):
        desk.wait_for(lambda: desk.ups == 1)
        desk.file(verdict(5, passed=False), verdict(6))
    assert (plc.slot(5)[1], plc.slot(6)[1]) == (Outcome.REJECT, Outcome.PASS)
    assert [v.part_id for v, _ in desk.written] == [5, 6]
    assert desk.unwritten == []


# -- a PLC that lost its memory -------------------------------------------------------------------


def forget(plc: ScriptedPlc, control: Control) -> None:
    plc.words[:] = [0] * len(plc.words)
    plc.set_control(control)


def test_a_lost_connection_alone_is_no_restart(plc: ScriptedPlc, desk: FakeDesk) -> None:
    with linked(plc, desk, poll_ms=2.0):
        desk.wait_for(lambda: desk.ups == 1)
        plc.drop()
        desk.wait_for(lambda: desk.ups == 2)
    assert len(desk.downs) == 1
    assert not any(control["plc_restarted"] for control in desk.controls)


def test_a_status_whose_acknowledgement_was_lost_is_no_restart(plc: ScriptedPlc, desk: FakeDesk) -> None:
    def lose_third(request: Request, answer: bytes) -> bytes:
        return (
            b"" if request.address == 200 and request.function == WRITE and request.words[0] == 3 else answer
        )

    plc.bend = lose_third
    with linked(plc, desk, status_ms=2.0, timeout_ms=50):
        desk.wait_for(lambda: desk.ups == 2)
    assert not any(control["plc_restarted"] for control in desk.controls)


def test_a_plc_that_lost_its_memory_is_reported_once(plc: ScriptedPlc, desk: FakeDesk) -> None:
    with linked(plc, desk, poll_ms=2.0):
        desk.wait_for(lambda: desk.ups == 1)
        forget(plc, replace(ENABLED, part_count=2))
        plc.drop()
        desk.wait_for(lambda: desk.ups == 2)
        heard = len(desk.controls)
        desk.wait_for(lambda: len(desk.controls) >= heard + 3)
    assert [c["control"].part_count for c in desk.controls if c["plc_restarted"]] == [2]


@pytest.mark.parametrize("address", [200, 300])
def test_a_restart_is_reported_once_also_if_the_link_breaks_at_once(
    plc: ScriptedPlc, desk: FakeDesk, address: int
) -> None:
    """Reported twice, the parts counted since would be counted twice."""
    broken = threading.Event()

    def break_once(request: Request, answer: bytes) -> bytes:
        writes_status = request.function == WRITE
        if request.address == address and writes_status == (address == 200) and not broken.is_set():
            broken.set()
            raise CloseConnection
        return answer

    with linked(plc, desk, poll_ms=2.0):
        desk.wait_for(lambda: desk.ups == 1)
        with plc.lock:
            forget(plc, replace(ENABLED, part_count=2))
            plc.bend = break_once
            plc.drop()
        desk.wait_for(lambda: desk.ups == 2)
        plc.drop()
        desk.wait_for(lambda: desk.ups == 3)
    assert broken.is_set()
    assert [c["control"].part_count for c in desk.controls if c["plc_restarted"]] == [2]


def test_verdicts_of_before_a_restart_never_reach_the_new_parts(desk: FakeDesk) -> None:
    with ScriptedPlc() as before:
        port = before.port
        before.set_control(ENABLED)
        link = Link(configured(port, poll_ms=2.0), 5000, desk, clock)
        link.start()
        desk.wait_for(lambda: desk.ups == 1)
    desk.wait_for(lambda: bool(desk.downs))
    desk.file(verdict(3), verdict(4, passed=False))
    link.wake()
    with ScriptedPlc(port) as plc:
        plc.set_control(replace(ENABLED, part_count=4))
        desk.wait_for(lambda: desk.ups == 2)
        link.stop(PATIENCE_S)
        assert plc.writes(3 * 8) == plc.writes(4 * 8) == []
    assert desk.unwritten == [3, 4]


# -- faults of the link ---------------------------------------------------------------------------


def test_the_pause_between_attempts_doubles_up_to_its_limit(plc: ScriptedPlc, desk: FakeDesk) -> None:
    still = ManualClock()
    config = configured(plc.port, reconnect_first_ms=50.0, reconnect_max_ms=300.0)
    link = Link(config, 5000, desk, still)
    pauses = []
    for _ in range(5):
        link._lose(PlcError("down"))
        pauses.append((link._t_retry_ns - still.now_ns()) / NS_PER_MS)
    assert pauses == [50, 100, 200, 300, 300]
    link._connect(link._t_retry_ns - 1)
    assert plc.connections == 0
    link._connect(link._t_retry_ns)
    assert desk.ups == 1
    link._lose(PlcError("down"))
    assert link._t_retry_ns - still.now_ns() == 50 * NS_PER_MS
    os.close(link._wake_fd)


def test_a_refusal_is_told_and_tried_again(plc: ScriptedPlc, desk: FakeDesk) -> None:
    plc.bend = lambda request, answer: (
        reply(request, b"\x02", function=0x83) if request.address == 300 else answer
    )
    with linked(plc, desk) as link:
        desk.wait_for(lambda: len(desk.downs) >= 2)
        assert "illegal data address" in desk.downs[0]
        assert desk.ups == 0
        plc.bend = honest
        desk.wait_for(lambda: desk.ups == 1)
        assert link.error is None


@pytest.mark.parametrize("when", ["idle", "leaving"])
def test_stop_does_not_wait_for_a_plc_that_hangs(plc: ScriptedPlc, desk: FakeDesk, when: str) -> None:
    """With a time-out of an hour, only the abort can end the call."""
    link = Link(configured(plc.port), FAR_MS, desk, clock)
    link.start()
    desk.wait_for(lambda: desk.ups == 1)
    desk.file(verdict(5, passed=False), verdict(21), verdict(6))
    if when == "idle":
        plc.bend = silent
        link.wake()
        plc.wait_for(lambda: bool(plc.writes(40)))
    else:
        plc.bend = lambda request, answer: b"" if request.address == 40 else answer
    link.stop(0.5)
    assert link.error is None
    assert sorted(desk.unwritten) == [5, 6, 21]
    assert len(desk.written) == 3


def test_stop_without_a_link_reports_what_was_never_written(desk: FakeDesk) -> None:
    with ScriptedPlc() as gone:
        port = gone.port
    link = Link(configured(port), 5000, desk, clock)
    link.start()
    desk.wait_for(lambda: bool(desk.downs))
    desk.file(verdict(5), verdict(6, passed=False))
    link.stop(PATIENCE_S)
    assert desk.unwritten == [5, 6]


def test_an_error_of_the_program_ends_the_thread_and_is_kept(plc: ScriptedPlc, desk: FakeDesk) -> None:
    link = Link(configured(plc.port), 5000, desk, clock)
    link.start()
    desk.wait_for(lambda: desk.ups == 1)
    desk.fails = ZeroDivisionError("a bug")
    desk.file(verdict(5))
    link.wake()
    link._thread.join(PATIENCE_S)
    assert link.error is desk.fails
    with pytest.raises(ZeroDivisionError, match="a bug"):
        link.stop()
    assert desk.unwritten == [5]
