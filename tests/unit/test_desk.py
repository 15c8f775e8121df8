"""The desk with a real ring, a real ledger and real counters; time and the recorder are the test's."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from inspector.camera.base import CameraInfo, DeviceInfo
from inspector.camera.life import CameraEvent
from inspector.camera.replay import ReplayCamera
from inspector.clock import NS_PER_MS, ManualClock
from inspector.desk import Deciding, Desk
from inspector.engine.worker import Job
from inspector.handshake import Timing
from inspector.ledger import Ledger, Rules
from inspector.part import FrameStatus, Outcome, Reason
from inspector.plc.registers import Control, Flag, State
from inspector.recorder.client import Recorder
from inspector.ring import RingReader, RingWriter
from inspector.service.tally import Tally

DECIDING = Deciding(threshold=2.0, recipe=3, model_sha256="m" * 64, config_sha256="c" * 64)
SLOTS = 2
REAL = DeviceInfo("001", "acA1920", "", "Vendor", "id")
# A test producer, and one of ours that was told to look like a camera.
SIMULATED = [
    DeviceInfo("0", "Viky", "", "Machine Vision Games Ltd.", "VikyTL_DEV_red"),
    DeviceInfo("001", "acA1920", "", "Inspector", "id"),
]


class FakeRecorder:
    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def record(self, event: str, /, **fields: Any) -> None:
        self.entries.append({"event": event, **fields})


class Rig:
    """A desk and what surrounds it: the camera's end of the ring, the PLC's count, the engine's hands."""

    def __init__(
        self, folder: Path, *, simulated: bool = False, allowed: bool = False, by_frames: bool = False
    ) -> None:
        self.clock = ManualClock(10**12)
        self.tally = Tally.open(folder / "t.tally")
        self.recorder = FakeRecorder()
        self.ledger = Ledger(
            Rules(
                budget_ns=100 * NS_PER_MS,
                timing=Timing(latency_min_ns=0, latency_max_ns=20 * NS_PER_MS),
                part_source="frame_id" if by_frames else "plc_count",
            )
        )
        self.desk = Desk(
            self.ledger,
            DECIDING,
            tally=self.tally,
            recorder=cast("Recorder", self.recorder),
            clock=self.clock,
            simulated=simulated,
            simulated_allowed=allowed,
        )
        self.wakes = 0
        self.desk.wake_plc = self._woken
        self.count = 0
        self.frame_id = 0
        self.generation = 0
        self.writer: RingWriter | None = None
        self.reader: RingReader | None = None
        self._writers: list[RingWriter] = []

    def _woken(self) -> None:
        self.wakes += 1

    def close(self) -> None:
        for writer in self._writers:
            os.close(writer.fd)
        self.tally.close()

    # -- the camera -------------------------------------------------------------------------------

    def camera_up(self, device: DeviceInfo = REAL) -> RingReader:
        self.generation += 1
        self.frame_id = 0
        self.writer = RingWriter.create(8, 4, "Mono8", channels=1, slots=SLOTS, generation=self.generation)
        self._writers.append(self.writer)
        self.reader = RingReader.attach(self.writer.fd)
        self.desk.on_up(self.generation, self.reader, CameraInfo(device, 8, 4, "Mono8", {}))
        return self.reader

    def frame(self, status: FrameStatus = FrameStatus.OK) -> FrameStatus:
        assert self.writer is not None
        self.frame_id += 1
        pixels = np.full(32, self.frame_id, np.uint8)
        return self.writer.put(self.frame_id, self.clock.now_ns(), pixels, status=status)

    @property
    def held(self) -> int:
        assert self.reader is not None
        return self.reader.held

    # -- the PLC ----------------------------------------------------------------------------------

    def read(self, *, new_parts: int = 0, enabled: bool = True, recipe: int = 0) -> None:
        self.count += new_parts
        t_sent_ns = self.clock.now_ns()
        self.clock.advance_ms(0.1)
        self.desk.on_control(
            Control(enable=enabled, part_count=self.count, recipe_request=recipe),
            t_sent_ns=t_sent_ns,
            t_received_ns=self.clock.now_ns(),
            enabled=enabled,
            plc_restarted=False,
        )

    def get_in_step(self) -> None:
        """Read until the line was empty for long enough."""
        for _ in range(4):
            self.read()
            self.clock.advance_ms(30)
        self.read()
        assert self.ledger.in_step

    def ready(self) -> None:
        self.desk.on_engine(ready=True, why="fake")
        self.camera_up()
        self.get_in_step()
        assert self.desk.ready

    def count_part_with_frame(self) -> None:
        """Let the next part pass the sensor and the camera, both reported."""
        self.clock.advance_ms(50)
        self.read(new_parts=1)
        self.clock.advance_ms(5)
        self.frame()
        self.desk.on_tick()
        self.read()
        self.clock.advance_ms(
            20
        )  # the first part since in step is certain when no other frame came in its time
        self.read()

    # -- the engine -------------------------------------------------------------------------------

    def next_job(self) -> Job:
        job = self.desk.next_job()
        assert job is not None
        return job

    def score(self, value: float = 1.0) -> None:
        self.desk.on_score(self.next_job(), score=value, engine_ms=7.0)

    # -- what came out ----------------------------------------------------------------------------

    def verdicts(self) -> dict[int, Reason]:
        return {verdict.part_id: verdict.reason for verdict in self.desk.take_verdicts()}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.close()


@pytest.fixture
def ready(rig: Rig) -> Rig:
    rig.ready()
    return rig


# -- from frame to verdict ------------------------------------------------------------------------


def test_a_frame_becomes_a_job_and_its_score_a_verdict(ready: Rig) -> None:
    ready.count_part_with_frame()
    job = ready.next_job()
    assert job.pixels.shape == (4, 8)
    assert (job.pixels == 1).all()
    assert job.t_deadline_ns == ready.ledger.next_expiry_ns()
    assert ready.held == 1
    wakes = ready.wakes
    ready.desk.on_score(job, score=2.0, engine_ms=7.0)
    assert ready.wakes == wakes + 1
    assert ready.held == 0
    verdict, *more = ready.desk.take_verdicts()
    assert not more
    assert (verdict.part_id, verdict.outcome, verdict.relative_score) == (1, Outcome.PASS, 1.0)
    assert ready.desk.take_verdicts() == []
    assert ready.desk.next_job() is None


def test_a_score_above_the_threshold_rejects(ready: Rig) -> None:
    ready.count_part_with_frame()
    ready.score(2.001)
    assert ready.verdicts() == {1: Reason.SCORE}


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
    rig.desk.on_engine(ready=True, why="fake")
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
    ready.desk.on_score(job, score=1.0, engine_ms=100.0)
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
    ready.desk.on_engine(ready=False, why="ENG-001: gone")
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
    ready.count_part_with_frame()
    ready.clock.advance_ms(20)
    ready.read(new_parts=1)  # and this one waits for its frame
    ready.desk.on_down("CAM-005: silent")
    assert ready.verdicts() == {2: Reason.CAMERA}
    ready.score()
    assert ready.held == 0
    assert ready.verdicts() == {1: Reason.NONE}


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
    ready.desk.on_score(old_job, score=1.0, engine_ms=1.0)
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


def test_parts_of_a_recipe_that_is_not_loaded_are_rejected(
    ready: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    ready.count_part_with_frame()
    ready.read(recipe=4)
    ready.read(recipe=4)
    ready.score()
    ready.clock.advance_ms(50)
    ready.read(new_parts=1, recipe=4)
    ready.clock.advance_ms(5)
    ready.frame()
    ready.desk.on_tick()
    ready.read(recipe=4)
    assert ready.verdicts() == {1: Reason.NOT_READY, 2: Reason.NOT_READY}
    assert ready.desk.status(1).error_code == 603
    assert [record.msg for record in caplog.records if record.levelname == "ERROR"] == ["recipe_refused"]
    for recipe in (3, 0):
        ready.read(recipe=recipe)
        ready.count_part_with_frame()
        ready.score()
        assert list(ready.verdicts().values()) == [Reason.NONE]
        assert ready.desk.status(1).error_code == 0


def test_an_engine_that_fails_alike_again_and_again_is_one_error(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for why in ("ENG-002: no GPU", "ENG-002: no GPU", "ENG-003: damaged"):
        rig.desk.on_engine(ready=False, why=why)
    rig.desk.on_engine(ready=True, why="fake")
    rig.desk.on_engine(ready=False, why="ENG-003: damaged")
    assert [(record.msg, record.levelname) for record in caplog.records] == [
        ("engine_failed", "ERROR"),
        ("engine_failed", "INFO"),
        ("engine_failed", "ERROR"),
        ("engine_ready", "INFO"),
        ("engine_failed", "ERROR"),
    ]


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
    ready.desk.on_engine(ready=False, why="ENG-001: gone")
    ready.desk.on_down("CAM-005: silent")
    assert ready.desk.status(1).error_code == 501
    ready.camera_up()
    assert ready.desk.status(1).error_code == 501
    ready.desk.on_down("CAM-005: silent")
    ready.desk.on_engine(ready=True, why="fake")
    assert ready.desk.status(1).error_code == 305


# -- simulated cameras (I7) ------------------------------------------------------------------------


@pytest.mark.parametrize("simulated", [*SIMULATED, "replay"], ids=["viky", "simcam", "replay"])
def test_no_simulated_camera_decides_without_permission(
    rig: Rig, simulated: DeviceInfo | str, tmp_path: Path
) -> None:
    if isinstance(simulated, str):
        (tmp_path / "part.png").touch()
        (simulated,) = ReplayCamera.devices(tmp_path)
    rig.desk.on_engine(ready=True, why="fake")
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
    rig.desk.on_engine(ready=True, why="fake")
    assert rig.desk.recipe() == (3, Flag(0))
    rig.camera_up(SIMULATED[0])
    rig.get_in_step()
    rig.count_part_with_frame()
    rig.score()
    assert rig.verdicts() == {1: Reason.NONE}
    assert rig.desk.recipe() == (3, Flag.SIMULATED)
    assert rig.desk.status(1).state & State.SIMULATED
    rig.close()


def test_a_simulated_station_marks_a_real_camera_too(tmp_path: Path) -> None:
    rig = Rig(tmp_path, simulated=True, allowed=True)
    rig.ready()
    assert rig.desk.recipe() == (3, Flag.SIMULATED)
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
        "t_trigger_ns": verdict.t_trigger_ns,
        "t_deadline_ns": verdict.t_deadline_ns,
        "t_decided_ns": verdict.t_decided_ns,
        "t_written_ns": 123,
        "threshold": 2.0,
        "recipe": 3,
        "model": "m" * 64,
        "config": "c" * 64,
        "simulated": False,
    }


def test_without_a_counting_plc_each_frame_is_a_part(tmp_path: Path) -> None:
    rig = Rig(tmp_path, by_frames=True)
    rig.desk.on_engine(ready=True, why="fake")
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
