"""Frames on their way from the ring to the engine, and back to the ring. Not thread-safe: the desk guards it."""

from collections import deque
from collections.abc import Iterator

from inspector.engine.worker import Job
from inspector.part import Deciding, Frame
from inspector.ring import RingReader


class Jobs:
    """Every frame taken from a ring is given back to that ring exactly once, whatever becomes of its part."""

    def __init__(self) -> None:
        self._reader: RingReader | None = None
        self._waiting: deque[tuple[Frame, RingReader]] = deque()
        self._working: RingReader | None = None  # the ring of the job that the engine has

    @property
    def has_ring(self) -> bool:
        """Whether a camera writes into a ring."""
        return self._reader is not None

    def use(self, reader: RingReader | None) -> None:
        """Take frames from this ring from now on; those of an earlier one stay valid until they are given back."""
        self._reader = reader

    def new_frames(self) -> Iterator[tuple[Frame, RingReader]]:
        """Yield what came since the last call; each frame has to be put in or given back."""
        reader = self._reader
        if reader is not None:
            for frame in reader.new_frames():
                yield frame, reader

    def put(self, frame: Frame, reader: RingReader, *, wanted: bool) -> None:
        """Queue the frame for the engine, or give it back at once where nobody waits for it."""
        if wanted:
            self._waiting.append((frame, reader))
        else:
            reader.release(frame)

    def oldest(self) -> Frame | None:
        """Return the frame that the engine gets next."""
        return self._waiting[0][0] if self._waiting else None

    def drop_oldest(self) -> None:
        """Give it back unscored."""
        frame, reader = self._waiting.popleft()
        reader.release(frame)

    def take_oldest(self, deadline_ns: int, deciding: Deciding) -> Job:
        """Hand it to the engine, which gives it back with `done`; the deadline is its part's as it is known by now."""
        frame, reader = self._waiting.popleft()
        self._working = reader
        return Job(frame, reader.pixels(frame), deadline_ns, deciding, others_wait=bool(self._waiting))

    def done(self, job: Job) -> None:
        """Give back what the engine had."""
        if self._working is not None:
            self._working.release(job.frame)
            self._working = None
