"""What the desk tells: its status block, the mark of simulated cameras, the record of every verdict."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inspector.camera.base import DeviceInfo
from inspector.camera.replay import ReplayCamera
from inspector.engine.base import Score
from inspector.part import FrameStatus, Outcome, Reason
from inspector.plc.registers import Flag, State
from tests.unit.desk.rig import DECIDING, SIMULATED, SLOTS, Rig

# -- the status block ------------------------------------------------------------------------------


def test_the_status_shows_the_counters_over_all_runs(ready: Rig) -> None:
    before = ready.desk.status(1)
    assert (before.parts, before.rejects, before.late, before.lost) == (0, 0, 0, 0)
    for value in (1.0, 5.0):
        ready.count_part_with_frame()
        ready.score(value)
    ready.count_part_with_frame()
    ready.clock.advance_ms(100)
    ready.desk.on_tick()  # LATE
    ready.read(new_parts=1)
    ready.clock.advance_ms(100)
    ready.desk.on_tick()  # FRAME_LOST
    status, totals = ready.desk.status(7), ready.tally.totals()
    assert (status.heartbeat, status.parts, status.rejects, status.late, status.lost) == (7, 4, 3, 1, 1)
    assert (totals.parts, totals.rejects, totals.last_part_id) == (4, 3, 4)
    assert ready.desk.summary() == "ready, PLC down, 4 parts, 3 rejected"


def test_the_status_shows_what_the_station_can_do_now(rig: Rig) -> None:
    assert rig.desk.status(1).state == State.ONLINE
    assert rig.desk.status(1).active_recipe == 0
    rig.ready()
    assert rig.desk.status(1).state == State.ONLINE | State.READY
    assert rig.desk.status(1).active_recipe == 3
    rig.read(new_parts=1)
    assert rig.desk.status(1).state == State.ONLINE | State.READY | State.BUSY


@pytest.mark.parametrize(
    ("why", "number"),
    [("CAM-003: no camera fits", 303), ("the camera process ended (killed by signal 9)", 301)],
)
def test_the_error_code_is_the_camera_processs_own(ready: Rig, why: str, number: int) -> None:
    ready.desk.on_down(why)
    status = ready.desk.status(1)
    assert (status.error_code, status.state & State.FAULT) == (number, State.FAULT)
    ready.camera_up()
    assert ready.desk.status(1).error_code == 0
    assert not ready.desk.status(1).state & State.FAULT


def test_each_source_clears_its_own_error_and_the_oldest_is_shown(ready: Rig) -> None:
    ready.engines_lost()
    ready.desk.on_down("CAM-005: silent")
    assert ready.desk.status(1).error_code == 501
    ready.camera_up()
    assert ready.desk.status(1).error_code == 501
    ready.desk.on_down("CAM-005: silent")
    ready.engine_ready()
    assert ready.desk.status(1).error_code == 305


# -- simulated cameras (I7) ------------------------------------------------------------------------


@pytest.mark.parametrize("simulated", [*SIMULATED, "replay"], ids=["viky", "simcam", "replay"])
def test_no_simulated_camera_decides_without_permission(
    rig: Rig, simulated: DeviceInfo | str, tmp_path: Path
) -> None:
    if isinstance(simulated, str):
        (tmp_path / "part.png").touch()
        (simulated,) = ReplayCamera.devices(tmp_path)
    rig.engine_ready()
    rig.camera_up(simulated)
    for _ in range(4):
        rig.read()
        rig.clock.advance_ms(30)
    for _ in range(3 * SLOTS):
        rig.clock.advance_ms(50)
        rig.read(new_parts=1)
        assert rig.frame() is FrameStatus.OK  # its ring does not fill up
        rig.desk.on_tick()
        assert rig.desk.next_job() is None
    assert set(rig.verdicts().values()) == {Reason.CAMERA}
    status = rig.desk.status(1)
    assert status.state == State.ONLINE | State.FAULT
    assert status.error_code == 306


def test_a_simulated_camera_marks_every_verdict_where_it_is_allowed(tmp_path: Path) -> None:
    rig = Rig(tmp_path, allowed=True)
    rig.engine_ready()
    assert rig.desk.flags() == Flag(0)
    rig.camera_up(SIMULATED[0])
    rig.get_in_step()
    rig.count_part_with_frame()
    rig.score()
    assert rig.verdicts() == {1: Reason.NONE}
    assert rig.desk.flags() == Flag.SIMULATED
    assert rig.desk.status(1).state & State.SIMULATED
    rig.close()


def test_a_simulated_station_marks_a_real_camera_too(tmp_path: Path) -> None:
    rig = Rig(tmp_path, simulated=True, allowed=True)
    rig.ready()
    assert rig.desk.flags() == Flag.SIMULATED
    assert rig.desk.status(1).state & State.SIMULATED
    rig.close()


# -- the record (I6) -------------------------------------------------------------------------------


def test_the_record_of_a_verdict_names_what_decided(ready: Rig) -> None:
    ready.count_part_with_frame()
    ready.score()
    (verdict,) = ready.desk.take_verdicts()
    assert ready.recorder.entries == []
    ready.desk.on_written(verdict, 123)
    (entry,) = ready.recorder.entries
    assert entry == {
        "event": "verdict",
        "part_id": 1,
        "outcome": "PASS",
        "reason": "NONE",
        "score": 1.0,
        "relative_score": 0.5,
        "frame_id": 1,
        "engine_ms": 7.0,
        "x": 0,
        "y": 0,
        "defect": None,
        "confidence": pytest.approx(math.nan, nan_ok=True),
        "view": None,
        "views": None,
        "t_trigger_ns": verdict.t_trigger_ns,
        "t_deadline_ns": verdict.t_deadline_ns,
        "t_decided_ns": verdict.t_decided_ns,
        "t_written_ns": 123,
        "threshold": 2.0,
        "recipe": 3,
        "model": "a1b2c3d4" + "0" * 56,
        "config": "c" * 64,
        "simulated": False,
        "expected": None,
    }


def test_the_record_of_a_reject_says_where_and_which_defect_it_is(tmp_path: Path) -> None:
    rig = Rig(tmp_path, replace(DECIDING, defects=("dent", "rust")))
    rig.ready()
    confidences = np.array([0.25, 0.625], np.float32)
    heatmap = np.array([[1, 1], [1, 3]], np.float32)
    try:
        for value in (3.0, 1.5):
            rig.count_part_with_frame()
            score = Score(value, heatmap, (100.0, 0.0, 7.0, 0.0, 100.0, 3.0), confidences)
            rig.desk.on_score(rig.next_job(), score, engine_ms=7.0)
        for verdict in rig.desk.take_verdicts():
            rig.desk.on_written(verdict, 123)
        rejected, passed = (entry for entry in rig.recorder.entries if entry["event"] == "verdict")
        assert (rejected["outcome"], rejected["x"], rejected["y"]) == ("REJECT", 157, 153)
        assert (rejected["defect"], rejected["confidence"]) == ("rust", 0.625)
        assert (passed["outcome"], passed["defect"]) == ("PASS", None)
    finally:
        rig.close()


def test_the_record_of_a_part_with_several_views_says_which_decided_and_what_each_gave(
    tmp_path: Path,
) -> None:
    rig = Rig(tmp_path, replace(DECIDING, threshold=1.25, views=("left", "top")))
    rig.ready()
    heatmap = np.array([[1, 1], [1, 3]], np.float32)
    views = Score(0.5, heatmap), Score(2.0, heatmap, (1.0, 0.0, 60.0, 0.0, 1.0, 30.0))
    try:
        rig.count_part_with_frame()
        rig.desk.on_score(
            rig.next_job(),
            Score(2.0, heatmap, views[1].cells_to_frame, view=1, views=views),
            engine_ms=7.0,
        )
        rig.count_part_with_frame()
        rig.desk.on_no_score(rig.next_job(), Reason.ENGINE)
        for verdict in rig.desk.take_verdicts():
            rig.desk.on_written(verdict, 123)
        rejected, none = (entry for entry in rig.recorder.entries if entry["event"] == "verdict")
        assert (rejected["outcome"], rejected["relative_score"]) == ("REJECT", 1.6)
        assert (rejected["view"], rejected["views"]) == ("top", {"left": 0.4, "top": 1.6})
        assert (rejected["x"], rejected["y"]) == (61, 31)
        assert (none["reason"], none["view"], none["views"]) == ("ENGINE", None, None)
    finally:
        rig.close()


def test_without_a_counting_plc_each_frame_is_a_part(tmp_path: Path) -> None:
    rig = Rig(tmp_path, by_frames=True)
    rig.engine_ready()
    rig.camera_up()
    rig.read()
    rig.frame()
    rig.desk.on_tick()
    rig.score()
    assert rig.verdicts() == {1: Reason.NONE}
    rig.close()


def test_a_crash_leaves_known_which_parts_were_undecided(ready: Rig) -> None:
    """The newest part is decided first: its frame came incomplete while the one before still waits for its score."""
    ready.count_part_with_frame()
    ready.clock.advance_ms(10)
    ready.read(new_parts=1)
    ready.clock.advance_ms(2)
    assert ready.frame(FrameStatus.INCOMPLETE) is FrameStatus.INCOMPLETE
    ready.desk.on_tick()
    ready.read()
    totals = ready.tally.totals()
    assert (totals.parts, totals.last_part_id, totals.undecided) == (1, 2, (1,))


def test_a_withdrawn_pass_is_counted_as_the_reject_it_became(ready: Rig) -> None:
    ready.count_part_with_frame()
    ready.score()
    (passed,) = ready.desk.take_verdicts()
    withdrawn = ready.desk.withdraw(passed, Reason.LATE)
    assert (withdrawn.part_id, withdrawn.outcome, withdrawn.reason) == (1, Outcome.REJECT, Reason.LATE)
    status = ready.desk.status(1)
    assert (status.parts, status.rejects, status.late) == (1, 1, 1)
