"""The PLC thread, against a scripted PLC and a scripted desk, with the real clock."""

import threading
from dataclasses import replace
from functools import partial
from itertools import count

import pytest

from inspector.clock import NS_PER_MS, SystemClock
from inspector.part import Outcome, Reason
from inspector.plc.base import Heartbeats
from inspector.plc.registers import State
from tests.unit.plc.link_rig import ENABLED, FAR_MS, FakeDesk, Link, clock, configured, linked, verdict, words
from tests.unit.plc.scripted import PATIENCE_S, Request, ScriptedPlc

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


def test_a_pass_whose_time_ends_while_it_is_looked_at_is_not_lost(
    plc: ScriptedPlc, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    final = verdict(21)
    looks = count(final.t_deadline_ns - 1)  # the second one is late
    filed = threading.Event()

    class AtTheEdge(SystemClock):
        def now_ns(self) -> int:
            taken = filed.is_set() and not desk._verdicts
            return next(looks) if taken else clock.now_ns()

    with linked(plc, desk) as link:
        desk.wait_for(lambda: desk.ups == 1)
        monkeypatch.setattr(link._slots, "_clock", AtTheEdge())
        desk.file(final)
        filed.set()
        link.deliver()
        desk.wait_for(lambda: len(desk.written) == 1)
    assert desk.unwritten == []
    assert plc.slot(21)[0] == 21


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
        first = request.address == 40 and bool(request.words) and not plc.writes(40)
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
    plc.bend = lambda request, answer: b"" if request.address == 40 and request.words else answer
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


def test_the_control_block_was_read_between_the_times_that_are_reported(
    plc: ScriptedPlc, desk: FakeDesk
) -> None:
    """A count is that of no later moment than the answer's, and of none before the question: parts are told apart by it."""
    served: list[int] = []

    def bend(request: Request, answer: bytes) -> bytes:
        if request.address == plc.map.control_address:
            served.append(clock.now_ns())
        return answer

    plc.bend = bend
    with linked(plc, desk, poll_ms=2.0):
        desk.wait_for(lambda: len(desk.controls) >= 5)
    for control, t_served_ns in zip(desk.controls, served, strict=False):
        assert control["t_sent_ns"] <= t_served_ns <= control["t_received_ns"]


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


def test_a_heartbeat_that_stops_is_told_once_and_again_when_it_goes_on(
    plc: ScriptedPlc, desk: FakeDesk
) -> None:
    with linked(plc, desk, poll_ms=2.0, heartbeat_timeout_ms=60.0):
        desk.wait_for(lambda: len(desk.heartbeats) == 1)
        plc.wait_for_requests(20)
        plc.set_control(replace(ENABLED, plc_heartbeat=2))
        desk.wait_for(lambda: len(desk.heartbeats) == 2)
    (stopped, still_ms), (goes_on, stood_ms) = desk.heartbeats
    assert (stopped, goes_on) == (False, True)
    assert 60 < still_ms < stood_ms


def test_a_link_that_was_down_gives_the_heartbeat_its_time_again() -> None:
    told: list[tuple[bool, float]] = []
    beats = Heartbeats(100.0, lambda beats, still_ms: told.append((beats, still_ms)))
    ms = NS_PER_MS
    beats.heard(7, 0)
    beats.link_was_down()
    beats.heard(7, 500 * ms)  # it may have gone on, and round
    assert beats.beats(600 * ms)
    assert not beats.beats(601 * ms)
    beats.link_was_down()
    beats.heard(7, 900 * ms)  # it had stopped before, and there is no sign of it
    assert not beats.beats(900 * ms)
    beats.heard(8, 1000 * ms)
    assert beats.beats(1000 * ms)
    assert told == [(False, 101.0), (True, 500.0)]


def test_a_heartbeat_has_its_time_again_after_an_outage(plc: ScriptedPlc, desk: FakeDesk) -> None:
    with linked(plc, desk) as link:
        desk.wait_for(lambda: desk.ups == 1)
        t_ns = clock.now_ns()
        plc.drop()
        link.wake()
        desk.wait_for(lambda: desk.ups == 2)
        assert link._beats.t_plc_changed_ns > t_ns


# -- status and heartbeat -------------------------------------------------------------------------


def test_the_status_is_written_with_every_heartbeat(plc: ScriptedPlc, desk: FakeDesk) -> None:
    with linked(plc, desk, status_ms=2.0):
        plc.wait_for(lambda: len(plc.writes(200)) >= 4)
        beats = [written[0] for written in plc.writes(200)]
        assert plc.status() == desk.status(plc.status().heartbeat)
    assert beats[:4] == [1, 2, 3, 4]


def test_what_cannot_wait_for_the_heartbeat_is_told_at_once_and_once(
    plc: ScriptedPlc, desk: FakeDesk
) -> None:
    with linked(plc, desk, poll_ms=2.0) as link:  # and its status rarely
        desk.wait_for(lambda: desk.ups == 1)
        for recipe in (1, 2):
            told = len(plc.writes(200)) + 1
            desk.told_at_once = recipe
            link.wake()
            plc.wait_for(partial(lambda n: len(plc.writes(200)) == n, told))
            plc.wait_for_requests(2)  # reads, and no second one
            assert len(plc.writes(200)) == told


def test_the_heartbeat_leaves_out_zero() -> None:
    beats = Heartbeats(1000.0, lambda *_: None, ours=65_534)
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
