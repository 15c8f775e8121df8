"""From frame to verdict, while time passes and camera, engine and link come and go."""

from pathlib import Path

import pytest

from inspector.camera.life import CameraEvent
from inspector.part import FrameStatus, Outcome, Reason
from inspector.plc.registers import State
from tests.unit.desk.rig import SLOTS, Rig, score_of

# -- from frame to verdict ------------------------------------------------------------------------


def test_a_frame_becomes_a_job_and_its_score_a_verdict(ready: Rig) -> None:
    ready.count_part_with_frame()
    job = ready.next_job()
    assert job.pixels.shape == (4, 8)
    assert (job.pixels == 1).all()
    assert job.t_deadline_ns == ready.ledger.next_expiry_ns()
    assert ready.held == 1
    wakes = ready.wakes
    ready.desk.on_score(job, score_of(2.0), engine_ms=7.0)
    assert ready.wakes == wakes + 1
    assert ready.held == 0
    verdict, *more = ready.desk.take_verdicts()
    assert not more
    assert (verdict.part_id, verdict.outcome, verdict.finding.relative_score) == (1, Outcome.PASS, 1.0)
    assert ready.desk.take_verdicts() == []
    assert ready.desk.next_job() is None


@pytest.mark.parametrize("counted", [True, False])
def test_a_final_verdict_is_delivered_and_one_in_doubt_asks_for_the_count(ready: Rig, counted: bool) -> None:
    delivered: list[str] = []
    ready.desk.deliver = lambda: delivered.append("verdict")
    if counted:
        ready.count_part_with_frame()
    else:
        ready.frame()
        ready.desk.on_tick()
    wakes = ready.wakes
    ready.desk.on_score(ready.next_job(), score_of(1.0), engine_ms=1.0)
    assert (delivered, ready.wakes - wakes) == ((["verdict"], 0) if counted else ([], 1))


def test_frames_wake_the_plc_thread_whoever_took_them(ready: Rig) -> None:
    wakes = ready.wakes
    ready.desk.on_tick()
    assert ready.wakes == wakes
    ready.frame()
    ready.desk.on_tick()
    assert ready.wakes == wakes + 1
    ready.desk.on_tick()
    assert ready.wakes == wakes + 1


def test_a_score_above_the_threshold_rejects(ready: Rig) -> None:
    ready.count_part_with_frame()
    ready.score(2.001)
    assert ready.verdicts() == {1: Reason.SCORE}


def test_a_part_that_is_open_when_the_plc_disables_does_not_pass(ready: Rig) -> None:
    ready.count_part_with_frame()
    ready.read(enabled=False)
    ready.score(1.0)
    assert ready.verdicts() == {1: Reason.NOT_READY}


def test_the_camera_is_triggered_once_for_each_part_where_that_is_ours_to_do(tmp_path: Path) -> None:
    rig = Rig(tmp_path, by_command=True)
    rig.ready()
    rig.read()
    assert rig.shots == 0
    rig.read(new_parts=1)
    rig.read()
    assert rig.shots == 1
    rig.read(new_parts=2)  # which of the two stands before the camera?
    rig.read(new_parts=1, enabled=False)  # it is rejected already
    assert rig.shots == 1
    rig.close()


def test_nobody_triggers_a_camera_that_the_line_triggers(ready: Rig) -> None:
    ready.count_part_with_frame()
    assert ready.shots == 0


def test_a_new_frame_wakes_the_plc_thread(ready: Rig) -> None:
    """Only a read of the count after it makes the frame's part certain."""
    ready.frame()
    wakes = ready.wakes
    ready.desk.on_tick()
    assert ready.wakes == wakes + 1
    ready.desk.on_tick()
    assert ready.wakes == wakes + 1


def test_a_frame_without_pixels_is_no_job(ready: Rig) -> None:
    ready.clock.advance_ms(50)
    ready.read(new_parts=1)
    ready.frame(FrameStatus.INCOMPLETE)
    ready.desk.on_tick()
    assert ready.desk.next_job() is None
    assert ready.verdicts() == {1: Reason.FRAME_BAD}


def test_a_frame_that_was_not_scored_rejects_with_the_reason(ready: Rig) -> None:
    ready.count_part_with_frame()
    ready.desk.on_no_score(ready.next_job(), Reason.OVERRUN)
    assert ready.held == 0
    assert ready.verdicts() == {1: Reason.OVERRUN}


def test_frames_before_the_line_was_empty_go_straight_back(rig: Rig) -> None:
    rig.engine_ready()
    rig.camera_up()
    for _ in range(3 * SLOTS):
        assert rig.frame() is FrameStatus.OK
        rig.desk.on_tick()
    assert rig.held == 0
    assert rig.desk.next_job() is None


# -- time ------------------------------------------------------------------------------------------


def test_without_an_engine_that_asks_the_deadline_rejects_and_the_frame_goes_back(ready: Rig) -> None:
    ready.count_part_with_frame()
    assert ready.held == 1
    ready.clock.advance_ms(100)
    ready.desk.on_tick()
    assert ready.verdicts() == {1: Reason.LATE}
    assert ready.held == 0
    assert ready.desk.next_job() is None


def test_a_score_after_the_deadline_is_discarded(ready: Rig) -> None:
    ready.count_part_with_frame()
    job = ready.next_job()
    ready.clock.advance_ms(100)
    ready.desk.on_tick()
    assert ready.held == 1  # the engine still reads it
    ready.desk.on_score(job, score_of(1.0), engine_ms=100.0)
    assert ready.held == 0
    assert ready.verdicts() == {1: Reason.LATE}
    assert ready.desk.closing() | {"summary": ""} == {
        "summary": "",
        "parts": 1,
        "rejects": 1,
        "discarded_frames": 0,
        "discarded_scores": 1,
    }


def test_frames_keep_coming_through_while_no_engine_runs(ready: Rig) -> None:
    """The engine fails for good with a frame in the queue: no slot may stay taken."""
    ready.frame()  # its part is not counted yet
    ready.desk.on_tick()
    assert ready.held == 1
    ready.engines_lost()
    for _ in range(3 * SLOTS):
        ready.count_part_with_frame()
        ready.clock.advance_ms(120)
        ready.desk.on_tick()
    assert ready.held == 0
    reasons = ready.verdicts()
    assert list(reasons) == list(range(1, 3 * SLOTS + 1))
    assert Reason.NONE not in reasons.values()


# -- camera, engine and link come and go ------------------------------------------------------------


def test_when_the_camera_goes_a_part_that_has_its_frame_is_still_scored(ready: Rig) -> None:
    ready.count_part_with_frame()  # the first since the line was empty is certain only as long as the camera is there
    ready.score()
    assert ready.verdicts() == {1: Reason.NONE}
    ready.count_part_with_frame()
    ready.clock.advance_ms(20)
    ready.read(new_parts=1)  # and this one waits for its frame
    ready.desk.on_down("CAM-005: silent")
    assert ready.verdicts() == {3: Reason.CAMERA}
    ready.score()
    assert ready.held == 0
    assert ready.verdicts() == {2: Reason.NONE}


def test_a_frame_that_came_just_before_the_camera_went_is_not_lost(ready: Rig) -> None:
    ready.clock.advance_ms(50)
    ready.read(new_parts=1)
    ready.clock.advance_ms(5)
    ready.frame()
    ready.desk.on_down("CAM-005: silent")
    assert ready.verdicts() == {}
    assert ready.next_job().frame.frame_id == 1


def test_a_frame_of_the_old_ring_goes_back_to_the_old_ring(ready: Rig) -> None:
    """Both frames have the same sequence number; only the generation tells them apart."""
    ready.count_part_with_frame()
    old_ring = ready.reader
    assert old_ring is not None
    old_job = ready.next_job()
    ready.desk.on_down("CAM-005: silent")
    new_ring = ready.camera_up()
    ready.get_in_step()
    ready.count_part_with_frame()
    assert (old_ring.held, new_ring.held) == (1, 1)
    ready.desk.on_score(old_job, score_of(1.0), engine_ms=1.0)
    assert (old_ring.held, new_ring.held) == (0, 1)
    ready.score()
    assert new_ring.held == 0
    assert ready.verdicts()[2] is Reason.NONE


def test_a_link_that_is_down_rejects(ready: Rig) -> None:
    ready.count_part_with_frame()
    ready.desk.on_link_down("PLC-001: refused")
    assert ready.verdicts() == {1: Reason.LINK}
    assert ready.desk.next_job() is None  # nobody waits for its score any more
    assert ready.held == 0


def test_a_station_that_leaves_rejects_what_is_open(ready: Rig) -> None:
    ready.count_part_with_frame()
    ready.desk.close()
    ready.read(new_parts=1)
    assert ready.verdicts() == {1: Reason.NOT_READY, 2: Reason.NOT_READY}
    assert not ready.desk.status(1).state & State.READY


@pytest.mark.parametrize("level", ["warning", "level 25"])
def test_whatever_the_camera_process_logs_the_station_bears(
    rig: Rig, caplog: pytest.LogCaptureFixture, level: str
) -> None:
    """Names that a log record has itself: logging refuses them with an error that would end the station."""
    rig.desk.on_event(CameraEvent(level, "mode_refused", {"message": "no", "name": "x", "generation": 1}))
    (record,) = caplog.records
    assert (record.msg, record.levelname) == ("mode_refused", "WARNING")
    assert (vars(record)["message_"], vars(record)["generation"]) == ("no", 1)


def test_an_engine_that_fails_alike_again_and_again_is_one_error(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for why in ("ENG-002: no GPU", "ENG-002: no GPU", "ENG-003: damaged"):
        rig.desk.on_engine(ready=False, why=why, recipe=3)
    rig.engine_ready()
    rig.desk.on_engine(ready=False, why="ENG-003: damaged", recipe=3)
    assert [(record.msg, record.levelname) for record in caplog.records] == [
        ("engine_failed", "ERROR"),
        ("engine_failed", "INFO"),
        ("engine_failed", "ERROR"),
        ("engine_ready", "INFO"),
        ("recipe_active", "INFO"),
        ("engine_failed", "ERROR"),
    ]
