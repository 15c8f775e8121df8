"""A scripted engine and a scripted desk for the engine thread."""

import os
import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from inspector.engine.base import Score
from inspector.engine.decoding import Samples
from inspector.engine.worker import Job, Load
from inspector.part import Frame, FrameStatus, Reason

PATIENCE_S = 20.0
FAR_NS = 1 << 62
HEATMAP = np.zeros((1, 1), np.float32)
Answer = float | BaseException | Callable[[], float]


class FakeEngine:
    """Gives the answers of a script: a value, an error to raise, or a function to call; 0.5 when the script is over."""

    name = "fake"

    def __init__(self, *script: Answer) -> None:
        self.script = list(script)
        self.scored: list[int] = []
        self.warm = False
        self.closed = 0

    def warm_up(self) -> None:
        self.warm = True

    def score(self, image: Samples, pixel_format: str | None = None) -> Score:
        assert pixel_format == "Mono8", "the frame's"
        assert self.warm
        assert not self.closed
        self.scored.append(int(image[0, 0]))
        answer = self.script.pop(0) if self.script else 0.5
        if isinstance(answer, BaseException):
            raise answer
        return Score(answer() if callable(answer) else answer, HEATMAP)

    def score_prepared(self, prepared: NDArray[np.uint8]) -> Score:
        raise AssertionError

    def close(self) -> None:
        self.closed += 1


class FakeDesk:
    """Hands out the jobs that the test filed, and insists that each is answered exactly once."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.doorbell_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.answers: dict[int, float | Reason] = {}
        self.engine: list[tuple[bool, str]] = []
        self.loads: list[Load] = [Load(0)]  # the engines to open, one after the other
        self.warm: set[int] = set()
        self._jobs: list[Job] = []
        self._out: Job | None = None

    def on_tick(self) -> None: ...

    def next_load(self) -> Load | None:
        with self._changed:
            while self.loads and self.loads[0].recipe in self.warm:
                self.loads.pop(0)
            if not self.loads:
                return None
            load = self.loads[0]
            self.loads[0] = Load(load.recipe)
            self.warm -= set(load.close)
            return load

    def next_job(self) -> Job | None:
        assert self._out is None, "a job was not answered"
        with self._changed:
            self._out = self._jobs.pop(0) if self._jobs else None
            return self._out

    def on_score(self, job: Job, score: Score, *, engine_ms: float) -> None:
        assert engine_ms >= 0
        self._answer(job, score.value)

    def on_no_score(self, job: Job, reason: Reason) -> None:
        self._answer(job, reason)

    def on_engine(self, *, ready: bool, why: str, recipe: int | None) -> None:
        with self._changed:
            if recipe is None:
                self.loads += [Load(number) for number in self.warm]
                self.warm.clear()
            elif ready:
                self.warm.add(recipe)
            self.engine.append((ready, why))
            self._changed.notify_all()

    def _answer(self, job: Job, answer: float | Reason) -> None:
        assert job is self._out, "answered twice"
        with self._changed:
            self._out = None
            self.answers[job.frame.frame_id] = answer
            self._changed.notify_all()

    def file(self, *frame_ids: int, t_deadline_ns: int = FAR_NS) -> None:
        self.file_jobs(*(job(frame_id, t_deadline_ns) for frame_id in frame_ids))

    def file_jobs(self, *jobs: Job) -> None:
        with self._changed:
            self._jobs += jobs
        os.eventfd_write(self.doorbell_fd, 1)

    def load(self, load: Load) -> None:
        with self._changed:
            self.loads.append(load)
        os.eventfd_write(self.doorbell_fd, 1)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_S), (
                "the desk never heard what the test waits for"
            )


def job(frame_id: int, t_deadline_ns: int = FAR_NS) -> Job:
    frame = Frame(1, frame_id, frame_id, 0, FrameStatus.OK, 0, 4, 4, "Mono8")
    return Job(frame, np.full((4, 4), frame_id, np.uint8), t_deadline_ns)
