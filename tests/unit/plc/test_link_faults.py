"""The PLC thread when the PLC lost its memory and when the link fails."""

import os
import threading
from dataclasses import replace

import pytest

from inspector.clock import NS_PER_MS, ManualClock
from inspector.errors import PlcError
from inspector.part import Outcome
from inspector.plc.registers import Control
from tests.unit.plc.link_rig import ENABLED, FAR_MS, FakeDesk, Link, clock, configured, linked, verdict
from tests.unit.plc.scripted import (
    PATIENCE_S,
    WRITE,
    CloseConnection,
    Request,
    ScriptedPlc,
    honest,
    reply,
)

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


def test_verdicts_of_before_a_restart_that_lost_the_count_alone_never_reach_the_new_parts(
    desk: FakeDesk,
) -> None:
    """The registers were retained, our heartbeat among them: only the count tells."""
    with ScriptedPlc() as before:
        port = before.port
        before.set_control(replace(ENABLED, part_count=5))
        link = Link(configured(port, poll_ms=2.0), 5000, desk, clock)
        link.start()
        desk.wait_for(lambda: desk.ups == 1)
    desk.wait_for(lambda: bool(desk.downs))
    desk.file(verdict(2), verdict(5, passed=False))
    link.wake()
    with ScriptedPlc(port) as plc:
        plc.words[:] = before.words
        plc.set_control(replace(ENABLED, part_count=2))
        desk.wait_for(lambda: desk.ups == 2)
        link.stop(PATIENCE_S)
        assert plc.writes(2 * 8) == plc.writes(5 * 8) == []
    assert desk.unwritten == [2, 5]
    assert not any(control["plc_restarted"] for control in desk.controls)


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
        plc.bend = lambda request, answer: b"" if request.words else answer
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
    desk.file(verdict(6))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        link.stop()
    assert [verdict.part_id for verdict, _ in desk.written] == [5, 6]
    assert desk.unwritten == [6]


def test_a_pass_that_is_too_old_to_be_sent_is_no_pass_in_the_end(plc: ScriptedPlc, desk: FakeDesk) -> None:
    with linked(plc, desk) as link:
        desk.wait_for(lambda: desk.ups == 1)
        desk.file(verdict(20), verdict(32, passed=False))
        link.deliver()
        desk.wait_for(lambda: len(desk.written) == 2)
        assert plc.slot(20) == [0] * 8
    assert desk.unwritten == [20]
    assert [v.outcome for v, _ in desk.written] == [Outcome.REJECT, Outcome.REJECT]
