"""The engine thread: opens and warms engines, then scores one frame after the other, as long as the score can be in time.

There is one engine for each recipe that was wanted lately. A frame goes to that of the recipe that its part came under.
"""

import logging
import os
import select
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inspector.clock import NS_PER_MS, Clock
from inspector.engine.base import Cooling, Engine, Score
from inspector.errors import (
    DeviceLostError,
    EngineError,
    EngineInputError,
    EngineTimeoutError,
    HungError,
    ScoreError,
)
from inspector.part import NOBODY, Deciding, Frame, Reason

log = logging.getLogger(__name__)

REOPEN_MS = 1000.0
STOP_LOOK_MS = 100  # the longest sleep: frames are taken from the ring even if a doorbell got lost
OPEN_LIMIT_MS = 600_000.0  # building a plan for a GPU takes minutes; beyond, the driver hangs
LIMIT_MS = 2_000.0  # all else takes milliseconds, but for an engine that took longer to warm up: a large frame in tiles
# A device that hangs or failed does so again, and for ever.
NEEDS_NEW_PROCESS = (EngineTimeoutError, DeviceLostError)
SPARE = 1.1  # times what these took in the middle must be left, where another frame waits
RECENT = 8  # scores of which the quickest tells what a score takes


@dataclass(frozen=True, slots=True)
class Job:
    """A frame to score: its pixels stay valid until the desk is told the outcome."""

    frame: Frame
    pixels: NDArray[np.uint8]
    t_deadline_ns: int
    deciding: Deciding = NOBODY  # whose engine scores it, and whose threshold it is held to
    others_wait: bool = False  # frames of later parts


@dataclass(frozen=True, slots=True)
class Load:
    """An engine to open, that of this recipe, once those of others are closed: only so many may be open."""

    recipe: int
    close: tuple[int, ...] = ()


class EngineDesk(Protocol):
    """Where the engine thread gets its work and leaves its answers. Every call is short."""

    def next_load(self) -> Load | None:
        """Return which engine to open now, None where all are that are wanted; answered by `on_engine`."""

    def next_job(self) -> Job | None:
        """Take the frames that came; return the oldest that a part waits for. Each job is answered by exactly one of the next two."""

    def on_score(self, job: Job, score: Score, *, engine_ms: float) -> None:
        """Take a frame's score."""

    def on_no_score(self, job: Job, reason: Reason) -> None:
        """Take note that a frame was not scored."""

    def on_tick(self) -> None:
        """Take the frames that came, also without an engine, and do what is due by now: nothing that a part waits for."""

    def on_engine(self, *, ready: bool, why: str, recipe: int | None) -> None:
        """Take note that the engine of this recipe is warm, or could not be opened; with None, that all are lost."""


class EngineThread:
    """The thread "engine". `start` once, `stop` once. Only this thread touches the engines."""

    def __init__(
        self,
        open_engine: Callable[[int], Engine],
        desk: EngineDesk,
        doorbell_fd: int,
        clock: Clock,
        *,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        """`open_engine` takes a recipe's number. `doorbell_fd`: the eventfd that the camera process writes for each frame.

        `prepare` is called on the thread when it begins.
        """
        self.error: BaseException | None = None  # what ended the thread, where that was not `stop`
        self.t_limit_ns: int | None = (
            None  # when what the engine does now has to be done: the watchdog looks at it
        )
        self._open_engine = open_engine
        self._prepare = prepare
        self._desk = desk
        self._clock = clock
        self._doorbell_fd = doorbell_fd
        self._poll = select.epoll()
        # Exclusive: while this thread sleeps nobody else is woken by the doorbell, while it scores the PLC thread is.
        self._poll.register(doorbell_fd, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        self._refused_why = ""  # logged as a warning already
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine")
        self._engines: dict[int, Engine] = {}  # by recipe
        self._recent_ns: defaultdict[int, deque[int]] = defaultdict(lambda: deque(maxlen=RECENT))
        self._limit_ms: defaultdict[int, float] = defaultdict(lambda: LIMIT_MS)  # of a score, by recipe
        self._failed: int | None = None  # the recipe whose engine could not be opened, and when to try again
        self._t_retry_ns = 0

    def start(self) -> None:
        """Start the thread; the desk is told when an engine is ready."""
        self._thread.start()

    def stop(self, timeout_s: float = 1.0) -> None:
        """End the thread and close the engines. HungError where that takes longer; raises what ended it before."""
        self._stopping.set()
        os.eventfd_write(self._doorbell_fd, 1)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise HungError(f"the engine did not stop within {timeout_s:g} s; the station ends without it")
        self._poll.close()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            self._prepare()
            while not self._stopping.is_set():
                try:
                    self._serve()
                except NEEDS_NEW_PROCESS:
                    raise
                except EngineError:  # the desk has heard of it
                    self._stopping.wait(REOPEN_MS / 1000)
        except BaseException as error:  # noqa: BLE001 - kept for the owner, who raises it in `stop`
            self.error = error

    def _serve(self) -> None:
        """Open engines and score until stopped, or until an engine fails as a whole. The desk hears of that first."""
        try:
            while not self._stopping.is_set():
                self._open_next()
                if not self._poll.poll(STOP_LOOK_MS / 1000):
                    self._keep_warm()
                self._hear_doorbell()
                while self._engines and not self._stopping.is_set():
                    if (job := self._desk.next_job()) is None:
                        break
                    self._score(job)
                self._desk.on_tick()
        except BaseException as error:
            self._desk.on_engine(ready=False, why=_why(error), recipe=None)
            if isinstance(error, NEEDS_NEW_PROCESS):
                self.error = error  # before `close`, which may hang like the device
            raise
        finally:
            self._close(*self._engines)

    def _open_next(self) -> None:
        """Open the engine that is wanted, if any. One that cannot be opened leaves the others as they are."""
        load = self._desk.next_load()
        if load is None or (load.recipe == self._failed and self._clock.now_ns() < self._t_retry_ns):
            return
        self._close(*load.close)
        self._recent_ns.pop(load.recipe, None)
        self._limit(OPEN_LIMIT_MS)
        try:
            engine = self._engines[load.recipe] = self._open_engine(load.recipe)
            t_opened_ns = self._clock.now_ns()
            engine.warm_up()  # runs more than once, and so longer than a score takes
            warm_up_ms = (self._clock.now_ns() - t_opened_ns) / NS_PER_MS
            self._limit_ms[load.recipe] = max(LIMIT_MS, warm_up_ms)
        except NEEDS_NEW_PROCESS:
            raise
        except EngineError as error:
            self._failed = load.recipe
            self._t_retry_ns = self._clock.now_ns() + round(REOPEN_MS * NS_PER_MS)
            self._desk.on_engine(ready=False, why=_why(error), recipe=load.recipe)
            if load.recipe in self._engines:
                self._close(load.recipe)
        else:
            self._failed = None
            self._desk.on_engine(ready=True, why=engine.name, recipe=load.recipe)
        finally:
            self.t_limit_ns = None

    def _keep_warm(self) -> None:
        """Let one engine work, which keeps a device's clocks up; a frame that comes meanwhile has to wait for that one run."""
        engine = next(reversed(self._engines.values()), None)
        if isinstance(engine, Cooling):
            self._limit(LIMIT_MS)
            engine.keep_warm()
            self.t_limit_ns = None

    def _close(self, *recipes: int) -> None:
        self._limit(LIMIT_MS)
        for recipe in recipes:
            self._engines.pop(recipe).close()
        self.t_limit_ns = None

    def _limit(self, limit_ms: float) -> None:
        self.t_limit_ns = self._clock.now_ns() + round(limit_ms * NS_PER_MS)

    def _hear_doorbell(self) -> None:
        try:
            os.eventfd_read(self._doorbell_fd)
        except BlockingIOError:
            return  # the poll timed out

    def _score(self, job: Job) -> None:
        engine, recent_ns = self._engines.get(job.deciding.recipe), self._recent_ns[job.deciding.recipe]
        if engine is None:  # of a recipe that made room for another
            self._desk.on_no_score(job, Reason.NOT_READY)
            return
        t_start_ns = self._clock.now_ns()
        if t_start_ns + _needed_ns(recent_ns, job) > job.t_deadline_ns:
            # Who was slow for a while is tried again: a frame that is refused, and has none behind it, makes one of these forgotten.
            if recent_ns and not job.others_wait:
                recent_ns.popleft()
            self._desk.on_no_score(job, Reason.OVERRUN)
            return
        self._limit(self._limit_ms[job.deciding.recipe])
        try:
            score = engine.score(job.pixels, job.frame.pixel_format)
        except (ScoreError, EngineInputError) as error:  # of this frame; the engine itself is well
            # The frame's own fault: of another size than agreed, or no part where it should lie.
            bad = isinstance(error, EngineInputError)
            self._desk.on_no_score(job, Reason.FRAME_BAD if bad else Reason.ENGINE)
            self._tell_refused(job, error)
            return
        except BaseException:
            self._desk.on_no_score(job, Reason.ENGINE)  # the frame goes back to the ring whatever happened
            raise
        finally:
            self.t_limit_ns = None
        took_ns = self._clock.now_ns() - t_start_ns
        recent_ns.append(took_ns)
        self._refused_why = ""
        self._desk.on_score(job, score, engine_ms=took_ns / NS_PER_MS)

    def _tell_refused(self, job: Job, error: EngineError) -> None:
        """Log why a frame has no score; of one after the other for the same reason only the first is a warning."""
        told, self._refused_why = str(error) == self._refused_why, str(error)
        fields = {"frame_id": job.frame.frame_id, "code": error.code, "why": str(error)}
        log.log(logging.INFO if told else logging.WARNING, "score_refused", extra=fields)


def _needed_ns(recent_ns: Sequence[int], job: Job) -> float:
    """Return what a score must be given, by those lately: as much as the quickest took, if nobody else waits.

    Beside others it is what they took in the middle, and some more: on a line faster than the engine each frame gets its turn when it
    is almost too old, and where half of these come out too late the engine works for nothing.
    """
    if not recent_ns:
        return 0
    return SPARE * sorted(recent_ns)[len(recent_ns) // 2] if job.others_wait else min(recent_ns)


def _why(error: BaseException) -> str:
    code = error.code if isinstance(error, EngineError) else EngineError.code
    return f"{code}: {error}"
