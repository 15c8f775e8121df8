"""The engine thread: opens and warms the engine, then scores one frame after the other, as long as the score can be in time."""

import logging
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inspector.clock import NS_PER_MS, Clock
from inspector.engine.base import Engine, Score
from inspector.errors import EngineError, EngineInputError, EngineTimeoutError, HungError, ScoreError
from inspector.part import Frame, Reason

log = logging.getLogger(__name__)

REOPEN_MS = 1000.0
STOP_LOOK_MS = 100  # the longest sleep: frames are taken from the ring even if a doorbell got lost
OPEN_LIMIT_MS = 600_000.0  # building a plan for a GPU takes minutes; beyond, the driver hangs
LIMIT_MS = 2_000.0  # all else takes milliseconds
RECENT = 8  # scores of which the quickest tells what a score takes


@dataclass(frozen=True, slots=True)
class Job:
    """A frame to score: its pixels stay valid until the desk is told the outcome."""

    frame: Frame
    pixels: NDArray[np.uint8]
    t_deadline_ns: int


class EngineDesk(Protocol):
    """Where the engine thread gets its work and leaves its answers. Every call is short."""

    def on_tick(self) -> None:
        """Take the frames that came."""

    def next_job(self) -> Job | None:
        """Return the oldest frame that a part waits for; each job is answered by exactly one of the next two."""

    def on_score(self, job: Job, score: Score, *, engine_ms: float) -> None:
        """Take a frame's score."""

    def on_no_score(self, job: Job, reason: Reason) -> None:
        """Take note that a frame was not scored."""

    def on_engine(self, *, ready: bool, why: str) -> None:
        """Take note that the engine is ready, or is not."""


class EngineThread:
    """The thread "engine". `start` once, `stop` once. Only this thread touches the engine."""

    def __init__(
        self, open_engine: Callable[[], Engine], desk: EngineDesk, doorbell_fd: int, clock: Clock
    ) -> None:
        """`doorbell_fd`: the eventfd that the camera process writes for each frame."""
        self.error: BaseException | None = None  # what ended the thread, where that was not `stop`
        self.t_limit_ns: int | None = (
            None  # when what the engine does now has to be done: the watchdog looks at it
        )
        self._open_engine = open_engine
        self._desk = desk
        self._clock = clock
        self._doorbell_fd = doorbell_fd
        self._poll = select.poll()
        self._poll.register(doorbell_fd, select.POLLIN)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine")
        self._recent_ns: deque[int] = deque(maxlen=RECENT)

    def start(self) -> None:
        """Start the thread; the desk is told when the engine is ready."""
        self._thread.start()

    def stop(self, timeout_s: float = 1.0) -> None:
        """End the thread and close the engine. HungError where that takes longer; raises what ended it before."""
        self._stopping.set()
        os.eventfd_write(self._doorbell_fd, 1)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise HungError(f"the engine did not stop within {timeout_s:g} s; the station ends without it")
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    self._serve()
                except EngineTimeoutError:
                    raise  # a hung device hangs again, and for ever: only a new process helps
                except EngineError:  # the desk has heard of it
                    self._stopping.wait(REOPEN_MS / 1000)
        except BaseException as error:  # noqa: BLE001 - kept for the owner, who raises it in `stop`
            self.error = error

    def _serve(self) -> None:
        """Open the engine and score until stopped, or until the engine fails as a whole. The desk hears of that first."""
        engine: Engine | None = None
        try:
            self._limit(OPEN_LIMIT_MS)
            engine = self._open_engine()
            engine.warm_up()
            self.t_limit_ns = None
            self._recent_ns.clear()
            self._desk.on_engine(ready=True, why=engine.name)
            while not self._stopping.is_set():
                self._poll.poll(STOP_LOOK_MS)
                self._hear_doorbell()
                self._desk.on_tick()
                while not self._stopping.is_set() and (job := self._desk.next_job()) is not None:
                    self._score(engine, job)
        except BaseException as error:
            code = error.code if isinstance(error, EngineError) else EngineError.code
            self._desk.on_engine(ready=False, why=f"{code}: {error}")
            if isinstance(error, EngineTimeoutError):
                self.error = error  # before `close`, which may hang like the device
            raise
        finally:
            self._limit(LIMIT_MS)
            if engine is not None:
                engine.close()
            self.t_limit_ns = None

    def _limit(self, limit_ms: float) -> None:
        self.t_limit_ns = self._clock.now_ns() + round(limit_ms * NS_PER_MS)

    def _hear_doorbell(self) -> None:
        try:
            os.eventfd_read(self._doorbell_fd)
        except BlockingIOError:
            return  # the poll timed out

    def _score(self, engine: Engine, job: Job) -> None:
        t_start_ns = self._clock.now_ns()
        if t_start_ns + min(self._recent_ns, default=0) > job.t_deadline_ns:
            # Not in time even if it were as quick as the quickest lately. Each refusal forgets one of these, so that an
            # engine that was slow for a while is tried again.
            if self._recent_ns:
                self._recent_ns.popleft()
            self._desk.on_no_score(job, Reason.OVERRUN)
            return
        self._limit(LIMIT_MS)
        try:
            score = engine.score(job.pixels)
        except (ScoreError, EngineInputError) as error:  # of this frame; the engine itself is well
            self._desk.on_no_score(job, Reason.ENGINE)
            log.warning(
                "score_refused", extra={"frame_id": job.frame.frame_id, "code": error.code, "why": str(error)}
            )
            return
        except BaseException:
            self._desk.on_no_score(job, Reason.ENGINE)  # the frame goes back to the ring whatever happened
            raise
        finally:
            self.t_limit_ns = None
        took_ns = self._clock.now_ns() - t_start_ns
        self._recent_ns.append(took_ns)
        self._desk.on_score(job, score, engine_ms=took_ns / NS_PER_MS)
