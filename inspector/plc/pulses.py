"""When the gate of a line whose PLC cannot track lets a part pass. Pure: no I/O, no clock of its own.

A part is at the gate from `trigger + delay` for `width`. What these are, the caller chooses: nanoseconds, or counts of an encoder on
the belt; only one of them at a time. The coil means one of two things:

    pass     1 = let pass   the gate is closed, and opens for a part with a PASS. Silence rejects.
    reject   1 = reject     the gate is open, and closes for a part with a REJECT. Silence releases.

Two rules hold in both. Windows of one kind that touch are one pulse. For as long as a part to be rejected is at the gate, nothing
is released, though a part with a PASS be there too: a gate cannot tell them apart, and only one of the two mistakes lets a bad
part out.
"""

from collections import deque
from dataclasses import dataclass
from typing import Literal

Means = Literal["pass", "reject"]


@dataclass(frozen=True, slots=True)
class Window:
    """A part at the gate: from `start`, until before `end`."""

    part_id: int
    start: int
    end: int
    release: bool


class Pulses:
    """The windows of the parts under way. Not thread-safe: the link guards it."""

    def __init__(self, *, means: Means, delay: int, width: int) -> None:
        """`means`: of the coil's 1. `delay`, `width`: in the caller's unit, above 0."""
        self._means = means
        self._delay = delay
        self._width = width
        self._windows: list[Window] = []

    def add(self, part_id: int, trigger: int, *, release: bool, now: int) -> Window:
        """Take a part with a verdict; return its window. A PASS that comes when its window has begun releases nothing."""
        start = trigger + self._delay
        window = Window(part_id, start, start + self._width, release and now < start)
        self._windows.append(window)
        return window

    def level(self, at: int) -> bool:
        """Return what the coil must be."""
        here = [window for window in self._windows if window.start <= at < window.end]
        rejects = any(not window.release for window in here)
        return rejects if self._means == "reject" else bool(here) and not rejects

    def next_change(self, after: int) -> int | None:
        """Return where the level may change next, None where no part is under way."""
        edges = (edge for window in self._windows for edge in (window.start, window.end))
        return min((edge for edge in edges if edge > after), default=None)

    def slipped(self, since: int, at: int, *, level: bool) -> list[Window]:
        """Return the parts to be rejected that were at the gate after `since` and up to `at`, where a coil of this level releases."""
        if level != (self._means == "pass"):
            return []
        return [
            window
            for window in self._windows
            if not window.release and window.start <= at and window.end > since
        ]

    def forget(self, before: int) -> None:
        """Forget the parts that had left the gate by then."""
        self._windows = [window for window in self._windows if window.end > before]

    def clear(self) -> None:
        """Forget every part: nothing is released any more."""
        self._windows.clear()


class Confirmations:
    """Rejected parts that a sensor behind the gate has not seen yet. Times are nanoseconds. Not thread-safe."""

    def __init__(self, within_ns: int) -> None:
        """`within_ns`: from the moment the part is at the gate."""
        self._within_ns = within_ns
        self._open: deque[tuple[int, int]] = (
            deque()
        )  # part, until when; in the order in which they reach the gate

    def expect(self, part_id: int, t_gate_ns: int) -> None:
        """Expect a rejected part that has reached the gate."""
        self._open.append((part_id, t_gate_ns + self._within_ns))

    def seen(self, parts: int = 1) -> int:
        """Take so many parts that the sensor saw: the oldest that are expected. Return how many nobody expected."""
        while parts and self._open:
            self._open.popleft()
            parts -= 1
        return parts

    def overdue(self, now_ns: int) -> list[int]:
        """Return the parts that should have been seen by now, each once."""
        late = []
        while self._open and self._open[0][1] <= now_ns:
            late.append(self._open.popleft()[0])
        return late

    def next_ns(self) -> int | None:
        """Return when `overdue` is needed next."""
        return self._open[0][1] if self._open else None

    def clear(self) -> None:
        """Expect nothing any more."""
        self._open.clear()
