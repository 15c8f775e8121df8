"""Frames on their way from the ring to the engine, and back to the ring. Not thread-safe: the desk guards it."""

from collections import deque
from collections.abc import Iterator

from inspector.engine.worker import Job
from inspector.ledger import Ledger
from inspector.part import Frame
from inspector.ring import RingReader


class Jobs:
    """Every frame taken from a ring is given back to that ring exactly once, whatever becomes of its part."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger  # which says whether a part waits for a frame
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

    def put(self, frame: Frame, reader: RingReader) -> None:
        """Queue the frame for the engine, or give it back at once where no part waits for it."""
        if self._ledger.deadline_of(frame) is None:
            reader.release(frame)
        else:
            self._waiting.append((frame, reader))

    def next(self) -> Job | None:
        """Hand the oldest frame that a part waits for to the engine, which gives it back with `done`; None where there is none."""
        while self._waiting:
            frame, reader = self._waiting.popleft()
            deadline_ns = self._ledger.deadline_of(frame)
            if deadline_ns is not None:
                self._working = reader
                deciding = self._ledger.deciding_of(frame)
                return Job(
                    frame, reader.pixels(frame), deadline_ns, deciding, others_wait=bool(self._waiting)
                )
            reader.release(frame)
        return None

    def drop_decided(self) -> None:
        """Give frames that nobody waits for any more back to the ring, also while no engine asks."""
        while self._waiting:
            frame, reader = self._waiting[0]
            if self._ledger.deadline_of(frame) is not None:
                return
            self._waiting.popleft()
            reader.release(frame)

    def done(self, job: Job) -> None:
        """Give back what the engine had."""
        if self._working is not None:
            self._working.release(job.frame)
            self._working = None
