"""The desk passes on what stops and challenges need, and shows what has become of it."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inspector.challenge import ChallengeRules
from inspector.interlock import StopRules
from inspector.part import Expected, Reason
from inspector.plc.registers import State
from tests.unit.desk.rig import DECIDING, Rig

ROW_OF_TWO = StopRules(rejects_in_a_row=2)


def decide(rig: Rig, value: float, *, written: bool = True) -> Reason:
    """Let one part pass sensor, camera and engine; 2 is the threshold."""
    rig.count_part_with_frame()
    rig.score(value)
    (verdict,) = rig.desk.take_verdicts()
    rig.desk.on_written(verdict, 1 if written else None)
    return verdict.reason


def state(rig: Rig) -> State:
    return rig.desk.status(1).state


def started(folder: Path, **settings: Any) -> Rig:
    rig = Rig(folder, **settings)
    rig.ready()
    return rig


def logged(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    return [vars(record) for record in caplog.records if record.message == event]


# -- stops -----------------------------------------------------------------------------------------


def test_rejects_in_a_row_stop_the_line_until_the_plc_clears_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rig = started(tmp_path, stops=ROW_OF_TWO)
    with caplog.at_level(logging.INFO):
        assert [decide(rig, 5.0), decide(rig, 5.0)] == [Reason.SCORE] * 2
        assert state(rig) >= State.LINE_STOP | State.FAULT | State.READY
        assert rig.desk.status(1).error_code == 802
        assert "line stop" in rig.desk.summary()
        assert decide(rig, 1.0) is Reason.NONE  # judged as ever
        assert state(rig) & State.LINE_STOP
        rig.read(clear_fault=True)
    assert not state(rig) & (State.LINE_STOP | State.FAULT)
    assert rig.desk.status(1).error_code == 0
    assert [entry["code"] for entry in logged(caplog, "fault_latched")] == ["LIN-002"]
    assert [entry["causes"] for entry in logged(caplog, "fault_cleared")] == ["REJECTS_IN_A_ROW"]
    rig.close()


def test_no_part_passes_while_the_line_must_stand_where_that_is_configured(tmp_path: Path) -> None:
    rig = started(tmp_path, reject_parts=True)
    assert decide(rig, 1.0) is Reason.NONE
    rig.read(bin_full=True)
    rig.clock.advance_ms(50)
    rig.read(new_parts=1, bin_full=True)
    assert rig.verdicts() == {2: Reason.NOT_READY}
    rig.close()


def test_from_the_moment_of_a_line_stop_no_part_passes_though_no_read_has_come_since(tmp_path: Path) -> None:
    rig = started(tmp_path, reject_parts=True)
    rig.count_part_with_frame()  # its score is all that it waits for
    rig.desk.on_unconfirmed(77)
    rig.score(1.0)
    assert rig.verdicts() == {1: Reason.NOT_READY}
    rig.close()


def test_a_fault_that_is_there_now_is_shown_before_what_is_latched(ready: Rig) -> None:
    ready.desk.on_unconfirmed(3)
    assert ready.desk.status(1).error_code == 804
    ready.desk.on_down("CAM-005: silent")
    assert ready.desk.status(1).error_code == 305
    ready.camera_up()
    assert ready.desk.status(1).error_code == 804


def test_a_camera_that_stays_away_stops_the_line_and_a_plc_that_does_not(tmp_path: Path) -> None:
    rig = started(tmp_path, stops=StopRules(fault_ns=10**9))
    rig.desk.on_link_down("no answer")
    for _ in range(3):
        rig.clock.advance_ms(600)
        rig.desk.on_tick()
    rig.desk.on_link_up()
    assert not state(rig) & State.LINE_STOP
    rig.desk.on_down("CAM-005: silent")
    for _ in range(3):
        rig.clock.advance_ms(600)
        rig.desk.on_tick()
    assert state(rig) & State.LINE_STOP
    rig.close()


# -- challenges ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "reasons", "result"),
    [
        ([5.0, 1.0, 5.0], [Reason.SCORE, Reason.NONE, Reason.SCORE], "passed"),
        ([1.0, 1.0, 5.0], [Reason.CHALLENGE, Reason.NONE, Reason.SCORE], "failed"),
        ([5.0, 5.0, 5.0], [Reason.SCORE] * 3, "failed"),
    ],
)
def test_a_challenge_of_the_plc(
    ready: Rig,
    caplog: pytest.LogCaptureFixture,
    values: list[float],
    reasons: list[Reason],
    result: str,
) -> None:
    assert decide(ready, 1.0) is Reason.NONE
    ready.read(challenge_mode=True)
    assert state(ready) & State.CHALLENGE
    with caplog.at_level(logging.INFO):
        for value, reason in zip(values, reasons, strict=True):
            ready.clock.advance_ms(50)
            ready.read(new_parts=1, challenge_mode=True)
            ready.clock.advance_ms(5)
            ready.frame()
            ready.desk.on_tick()
            ready.read(challenge_mode=True)
            ready.score(value)
            ready.clock.advance_ms(20)
            ready.read(challenge_mode=True)
            (verdict,) = ready.desk.take_verdicts()
            assert (verdict.reason, verdict.expected is None) == (reason, False)
            ready.desk.on_written(verdict, 1)
    (entry,) = logged(caplog, "challenge")
    assert (entry["result"], entry["model"]) == (result, DECIDING.model_sha256)
    assert bool(state(ready) & State.LINE_STOP) == (result == "failed")
    assert ready.desk.status(1).error_code == (0 if result == "passed" else 807)
    assert not state(ready) & State.CHALLENGE
    ready.read()
    assert decide(ready, 1.0) is Reason.NONE


def test_a_command_can_ask_for_one_and_follow_it(ready: Rig) -> None:
    ticket = ready.desk.ask_challenge("anna")
    assert ticket is not None
    assert ready.desk.ask_challenge("ben") is None
    ready.read()
    assert ready.desk.challenge_progress(ticket).begun
    assert decide(ready, 5.0) is Reason.SCORE
    (part,) = ready.desk.challenge_progress(ticket).parts
    assert (part.verdict.expected, part.right) == (Expected.BAD, True)
    ready.desk.withdraw_challenge(ticket)
    report = ready.desk.challenge_progress(ticket).report
    assert report is not None
    assert report.why == "the command ended after 1 of 3 parts"


def test_what_became_of_a_challenge_is_told_also_where_no_plc_is_heard(
    ready: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    ticket = ready.desk.ask_challenge("anna")
    assert ticket is not None
    ready.desk.withdraw_challenge(ticket)
    with caplog.at_level(logging.INFO):
        ready.desk.tell()
        ready.desk.tell()
    assert [(entry["result"], entry["asked_by"]) for entry in logged(caplog, "challenge")] == [
        ("void", "anna")
    ]


def test_a_good_part_whose_pass_the_plc_never_acknowledged_shows_nothing(ready: Rig) -> None:
    ticket = ready.desk.ask_challenge("anna")
    assert ticket is not None
    ready.read()
    assert decide(ready, 5.0) is Reason.SCORE
    assert decide(ready, 1.0, written=False) is Reason.NONE
    assert [part.right for part in ready.desk.challenge_progress(ticket).parts] == [True, False]
    assert state(ready) & State.LINE_STOP


def test_a_challenge_is_due_for_each_new_product_where_that_is_configured(tmp_path: Path) -> None:
    rules = ChallengeRules(sequence=(Expected.BAD,), at_start=True)
    rig = Rig(tmp_path, DECIDING, replace(DECIDING, recipe=4), challenges=rules)
    rig.ready()
    assert state(rig) & State.CHALLENGE_DUE
    assert rig.desk.ask_challenge("anna") is not None
    rig.read()
    assert decide(rig, 5.0) is Reason.SCORE
    assert not state(rig) & State.CHALLENGE_DUE
    rig.read(recipe=4)
    assert not state(rig) & State.CHALLENGE_DUE  # nothing decides yet
    rig.engine_ready(4)
    assert state(rig) & State.CHALLENGE_DUE
    rig.close()


def test_a_station_that_stops_fails_no_challenge(ready: Rig) -> None:
    ready.read(challenge_mode=True)
    ready.clock.advance_ms(50)
    ready.read(new_parts=1, challenge_mode=True)
    ready.desk.close()
    (verdict,) = ready.desk.take_verdicts()
    ready.desk.on_written(verdict, 1)
    assert verdict.reason is Reason.NOT_READY
    assert not state(ready) & State.LINE_STOP


# -- the PLC's side --------------------------------------------------------------------------------


def test_link_and_heartbeat_are_told_apart_once_each(ready: Rig, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        ready.desk.on_link_up()
        ready.desk.on_heartbeat(beats=False, still_ms=3000.4)
        assert ready.desk.status(1).error_code == 605
        ready.clock.advance_ms(100)
        ready.read(new_parts=2, enabled=False)
        ready.desk.on_heartbeat(beats=True, still_ms=4000.0)
        assert ready.desk.status(1).error_code == 0
        for _ in range(3):
            ready.desk.on_link_down("no answer in 50 ms")
            ready.clock.advance_ms(100)
        assert ready.desk.status(1).error_code == 601
        ready.desk.on_link_up()
    assert ready.desk.status(1).error_code == 0
    told = [record.message for record in caplog.records if record.message.startswith(("link", "heart"))]
    assert told == ["link_up", "heartbeat_lost", "heartbeat_back", "link_down", "link_up"]
    assert [entry["code"] for entry in logged(caplog, "heartbeat_lost")] == ["PLC-005"]
    (back,) = logged(caplog, "heartbeat_back")
    assert (back["still_ms"], back["rejected"]) == (4000, 2)
    first, again = logged(caplog, "link_up")
    assert "down_ms" not in first
    assert again["down_ms"] == 300


def test_a_foreign_writer_makes_the_station_not_ready(ready: Rig, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        ready.desk.on_foreign_writer(present=True)
        assert not state(ready) & State.READY
        assert ready.desk.status(1).error_code == 606
        ready.desk.on_foreign_writer(present=False)
    assert state(ready) & State.READY
    assert [record.message for record in caplog.records] == ["foreign_writer", "foreign_writer_gone"]


def test_a_disk_that_stands_is_a_fault_but_parts_pass(ready: Rig) -> None:
    ready.safeguards.disk_stands = lambda: True
    assert state(ready) & (State.FAULT | State.READY) == State.FAULT | State.READY
    assert ready.desk.status(1).error_code == 704
    ready.safeguards.disk_stands = lambda: False
    assert ready.desk.status(1).error_code == 0


def test_enable_is_told_when_it_changes(ready: Rig, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for enabled in (True, False, False, True):
            ready.read(enabled=enabled)
    assert [record.message for record in caplog.records] == ["plc_disabled", "plc_enabled"]
