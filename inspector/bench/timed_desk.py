"""What stands in the station's desk's place while parts are timed: it decides nothing, and notes when each was where."""

import itertools
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.clock import NS_PER_MS, Clock
from inspector.engine.base import Engine, Score
from inspector.engine.decoding import Samples
from inspector.engine.preprocess import Geometry, input_shape_of, prepare_views
from inspector.engine.worker import Job, Load
from inspector.part import Outcome, Reason, Verdict, next_part_id
from inspector.plc.registers import Flag, State, Status
from inspector.ring import RingReader

WARM_UP = 20  # parts that are not counted: caches, thread pools and the connection settle
FAR_MS = 600_000.0


@dataclass(frozen=True, slots=True)
class PartTimes:
    """Moments on the way of one part, CLOCK_MONOTONIC in nanoseconds, in their order."""

    t_arrival_ns: int  # the frame is in the camera process
    t_scoring_ns: int  # the engine thread has it
    t_prepared_ns: int  # cut and scaled to the graph's input
    t_scored_ns: int
    t_writing_ns: int  # the PLC thread has the verdict
    t_written_ns: int  # the PLC has acknowledged it

    @property
    def stages_ms(self) -> tuple[float, ...]:
        """The five times between them, milliseconds."""
        moments = (
            self.t_arrival_ns, self.t_scoring_ns, self.t_prepared_ns, self.t_scored_ns, self.t_writing_ns, self.t_written_ns,
        )  # fmt: skip
        return tuple((after - before) / NS_PER_MS for before, after in itertools.pairwise(moments))


class StagedEngine:
    """An engine that notes when the frame was prepared. It owns the engine that it wraps."""

    def __init__(self, engine: Engine, views: Sequence[Geometry], clock: Clock) -> None:
        self.name = engine.name
        self.t_scoring_ns = self.t_prepared_ns = 0
        self._engine, self._views, self._clock = engine, views, clock
        self._input = np.empty(input_shape_of(views), np.uint8)

    def warm_up(self) -> None:
        """Warm the engine."""
        self._engine.warm_up()

    def score(self, image: Samples, pixel_format: str | None = None) -> Score:
        """Prepare and score, and note when each began."""
        self.t_scoring_ns = self._clock.now_ns()
        prepare_views(image, self._views, self._input, pixel_format)
        self.t_prepared_ns = self._clock.now_ns()
        return self._engine.score_prepared(self._input)

    def score_prepared(self, prepared: NDArray[np.uint8]) -> Score:
        """Score what is prepared already."""
        return self._engine.score_prepared(prepared)

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()


class TimedDesk:
    """Where engine thread and PLC thread meet while one part after the other is measured: a desk that decides nothing."""

    def __init__(self, reader: RingReader, engine: StagedEngine, clock: Clock, parts: int) -> None:
        self.engine = engine
        self.times: list[PartTimes] = []
        self.over = threading.Event()
        self.failed = ""
        self.next_frame: Callable[[], object] = lambda: None
        self.wake_plc: Callable[[], None] = lambda: None
        self._reader, self._clock = reader, clock
        self._left = parts + WARM_UP
        self._lock = threading.Lock()  # both threads look into the ring
        self._jobs: deque[Job] = deque()
        self._verdicts: list[Verdict] = []
        self._up = {"engine": False, "link": False}
        self._opened = False
        self._part_id = 0
        self._done = 0
        self._moments = (0, 0, 0, 0)
        self._t_writing_ns = 0

    def stop(self) -> None:
        """Ask for no more frames."""
        self._left = 0

    # -- both threads -----------------------------------------------------------------------------

    def on_tick(self) -> None:
        """Take the frames that came."""
        with self._lock:
            self._take()

    def _take(self) -> None:
        for frame in self._reader.new_frames():
            t_far_ns = frame.t_arrival_ns + round(FAR_MS * NS_PER_MS)
            self._jobs.append(Job(frame, self._reader.pixels(frame), t_far_ns))

    def _is_up(self, what: str) -> None:
        """Begin with the first part once engine and PLC are there."""
        with self._lock:
            before = all(self._up.values())
            self._up[what] = True
            begin = all(self._up.values()) and not before
        if begin:
            self.next_frame()

    def _fail(self, why: str) -> None:
        self.failed = self.failed or why
        self.over.set()

    # -- the engine thread ------------------------------------------------------------------------

    def next_load(self) -> Load | None:
        """Return the one engine, once."""
        opened, self._opened = self._opened, True
        return None if opened else Load(0)

    def next_job(self) -> Job | None:
        """Take the frames that came; return the one that waits."""
        with self._lock:
            self._take()
            return self._jobs.popleft() if self._jobs else None

    def on_score(self, job: Job, score: Score, *, engine_ms: float) -> None:  # noqa: ARG002 - of the protocol
        """Let the part pass."""
        t_scored_ns = self._clock.now_ns()
        with self._lock:
            self._reader.release(job.frame)
            self._part_id = next_part_id(self._part_id)
            arrival, engine = job.frame.t_arrival_ns, self.engine
            self._moments = arrival, engine.t_scoring_ns, engine.t_prepared_ns, t_scored_ns
            self._verdicts.append(
                Verdict(self._part_id, Outcome.PASS, Reason.NONE, arrival, job.t_deadline_ns, t_scored_ns)
            )
        self.wake_plc()

    def on_no_score(self, job: Job, reason: Reason) -> None:  # noqa: ARG002 - of the protocol
        """End: every frame must have a score."""
        self._fail(
            f"expected a score of a frame of a good part, got none ({reason.name}); does `inspector check` pass?"
        )

    def on_engine(self, *, ready: bool, why: str, recipe: int | None) -> None:  # noqa: ARG002 - of the protocol
        """Take note that the engine is warm, or failed."""
        if ready:
            self._is_up("engine")
        else:
            self._fail(why)

    # -- the PLC thread ---------------------------------------------------------------------------

    def on_link_up(self) -> None:
        """Take note that the PLC answers."""
        self._is_up("link")

    def on_link_down(self, why: str) -> None:
        """End: the stand-in must answer."""
        self._fail(why)

    def take_verdicts(self) -> list[Verdict]:
        """Return the verdict that waits."""
        with self._lock:
            taken, self._verdicts = self._verdicts, []
        if taken:
            self._t_writing_ns = self._clock.now_ns()
        return taken

    def on_written(self, verdict: Verdict, t_written_ns: int | None) -> None:  # noqa: ARG002 - of the protocol
        """Note the part, and ask for the next."""
        if t_written_ns is None:
            self._fail("expected the stand-in of the PLC to acknowledge a verdict, it did not; try again")
            return
        self._left -= 1
        self._done += 1
        if self._done > WARM_UP:
            self.times.append(PartTimes(*self._moments, self._t_writing_ns, t_written_ns))
        if self._left > 0:
            self.next_frame()
        else:
            self.over.set()

    def next_expiry_ns(self) -> int | None:
        """Return that nothing is due."""
        return None

    def flags(self) -> Flag:
        """Return none."""
        return Flag(0)

    def news(self) -> object:
        """Return that nothing changes."""
        return None

    def status(self, heartbeat: int) -> Status:
        """Return the status of a station that is ready."""
        return Status(heartbeat, State.ONLINE | State.READY, 0, 1, 0, 0, 0, 0)

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Let every other report of the PLC thread go by."""
        if name.startswith("on_"):
            return lambda *_, **__: None
        raise AttributeError(name)
