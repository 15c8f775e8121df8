"""A desk with a real ring, a real ledger and real counters; time and the recorder are the test's."""

import os
from pathlib import Path
from typing import Any, cast

import numpy as np

from inspector.camera.base import CameraInfo, DeviceInfo
from inspector.challenge import ChallengeRules
from inspector.changeover import Changeover, Features, Recipe
from inspector.clock import NS_PER_MS, ManualClock
from inspector.desk import Desk
from inspector.engine.base import Score
from inspector.engine.worker import Job
from inspector.handshake import Timing
from inspector.interlock import StopRules
from inspector.ledger import Ledger
from inspector.open_part import Rules
from inspector.part import Deciding, FrameStatus, Reason
from inspector.plc.registers import Control
from inspector.recorder.client import Recorder
from inspector.ring import RingReader, RingWriter
from inspector.safeguards import MAGIC, NUMBERS, Safeguards
from inspector.service.kept import KeptNumbers
from inspector.service.tally import Tally

DECIDING = Deciding(threshold=2.0, recipe=3, model_sha256="a1b2c3d4" + "0" * 56, config_sha256="c" * 64)
SLOTS = 2
REAL = DeviceInfo("001", "acA1920", "", "Vendor", "id")
# A test producer, and one of ours that was told to look like a camera.
SIMULATED = [
    DeviceInfo("0", "Viky", "", "Machine Vision Games Ltd.", "VikyTL_DEV_red"),
    DeviceInfo("001", "acA1920", "", "Inspector", "id"),
]


def score_of(value: float) -> Score:
    return Score(value, np.zeros((1, 1), np.float32))


class FakeRecorder:
    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def record(self, event: str, /, **fields: Any) -> None:
        self.entries.append({"event": event, **fields})


class Rig:
    """A desk and what surrounds it: the camera's end of the ring, the PLC's count, the engine's hands."""

    def __init__(
        self,
        folder: Path,
        *decidings: Deciding,
        simulated: bool = False,
        allowed: bool = False,
        by_frames: bool = False,
        by_command: bool = False,
        features: dict[int, Features] | None = None,
        lag_ms: float = 0.0,
        stops: StopRules | None = None,
        challenges: ChallengeRules | None = None,
        reject_parts: bool = False,
        lost: bool = False,
    ) -> None:
        """`decidings`: of each recipe, `features` of those that the camera is set for; recipe 3 is the first, or `lost`."""
        self.clock = ManualClock(10**12)
        self.tally = Tally.open(folder / "t.tally")
        self.recorder = FakeRecorder()
        kept = KeptNumbers.open(folder / "t.stops", MAGIC, NUMBERS)
        self.safeguards = Safeguards(
            stops or StopRules(), challenges or ChallengeRules(), kept, reject_parts=reject_parts
        )
        self._kept = kept
        self.ledger = Ledger(
            Rules(
                budget_ns=100 * NS_PER_MS,
                timing=Timing(
                    0, 20 * NS_PER_MS, count_lag_ns=round(lag_ms * NS_PER_MS), by_command=by_command
                ),
                part_source="frame_id" if by_frames else "plc_count",
            ),
            expectation=self.safeguards.expectation,
            withheld=lambda: self.safeguards.rejecting,
        )
        recipes = [Recipe(d, (features or {}).get(d.recipe, {})) for d in decidings or (DECIDING,)]
        self.changeover = Changeover({r.number: r for r in recipes}, 3, self.ledger, keep_warm=2, lost=lost)
        self.changeover.change_camera = self._change_camera
        self.camera_told: list[Features] = []
        self.desk = Desk(
            self.ledger,
            self.changeover,
            self.safeguards,
            tally=self.tally,
            recorder=cast("Recorder", self.recorder),
            clock=self.clock,
            simulated=simulated,
            simulated_allowed=allowed,
        )
        self.wakes = 0
        self.desk.wake_plc = self._woken
        self.shots = 0
        self.desk.trigger_camera = self._shoot
        self.count = 0
        self.frame_id = 0
        self.generation = 0
        self.writer: RingWriter | None = None
        self.reader: RingReader | None = None
        self._writers: list[RingWriter] = []

    def _change_camera(self, features: Features) -> int:
        self.camera_told.append(features)
        return self.generation + len(self.camera_told)

    def _shoot(self) -> None:
        self.shots += 1

    def _woken(self) -> None:
        self.wakes += 1

    def close(self) -> None:
        for writer in self._writers:
            os.close(writer.fd)
        self.tally.close()
        self._kept.close()

    # -- the camera -------------------------------------------------------------------------------

    def camera_up(self, device: DeviceInfo = REAL) -> RingReader:
        self.generation += 1
        self.frame_id = 0
        self.writer = RingWriter.create(8, 4, "Mono8", slots=SLOTS, generation=self.generation)
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

    def read(self, *, new_parts: int = 0, enabled: bool = True, recipe: int = 0, **control: Any) -> None:
        self.count += new_parts
        t_sent_ns = self.clock.now_ns()
        self.clock.advance_ms(0.1)
        self.desk.on_control(
            Control(enable=enabled, part_count=self.count, recipe_request=recipe, **control),
            t_sent_ns=t_sent_ns,
            t_received_ns=self.clock.now_ns(),
            enabled=enabled,
            plc_restarted=False,
        )

    def get_in_step(self, recipe: int = 0) -> None:
        """Read until the line was empty for long enough."""
        for _ in range(4):
            self.read(recipe=recipe)
            self.clock.advance_ms(30)
        self.read(recipe=recipe)
        assert self.ledger.in_step

    def ready(self) -> None:
        self.engine_ready()
        self.camera_up()
        self.get_in_step()
        assert self.desk.ready

    def count_part_with_frame(self, recipe: int = 0) -> None:
        """Let the next part pass the sensor and the camera, both reported."""
        self.clock.advance_ms(50)
        self.read(new_parts=1, recipe=recipe)
        self.clock.advance_ms(5)
        self.frame()
        self.desk.on_tick()
        self.read(recipe=recipe)
        self.clock.advance_ms(
            20
        )  # the first part since in step is certain when no other frame came in its time
        self.read(recipe=recipe)

    # -- the engine -------------------------------------------------------------------------------

    def engine_ready(self, recipe: int = 3) -> None:
        self.desk.on_engine(ready=True, why="fake", recipe=recipe)

    def engines_lost(self, why: str = "ENG-001: gone") -> None:
        self.desk.on_engine(ready=False, why=why, recipe=None)

    def next_job(self) -> Job:
        job = self.desk.next_job()
        assert job is not None
        return job

    def score(self, value: float = 1.0) -> None:
        self.desk.on_score(self.next_job(), score_of(value), engine_ms=7.0)

    # -- what came out ----------------------------------------------------------------------------

    def verdicts(self) -> dict[int, Reason]:
        return {verdict.part_id: verdict.reason for verdict in self.desk.take_verdicts()}
