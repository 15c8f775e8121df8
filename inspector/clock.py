"""The only user of time: monotonic nanoseconds decide, the wall clock only labels.

`SystemClock` is CLOCK_MONOTONIC, which all processes of one machine share, so that a frame's arrival stamped in the
camera process can be compared in the station. `ManualClock` is moved by tests.
"""

import datetime as dt
import time
from typing import Protocol

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


class Clock(Protocol):
    """Monotonic nanoseconds. Any thread."""

    def now_ns(self) -> int:
        """Return nanoseconds since an unspecified start; never goes back."""
        ...


class SystemClock:
    """CLOCK_MONOTONIC of the machine."""

    def now_ns(self) -> int:
        """Return CLOCK_MONOTONIC in nanoseconds."""
        return time.monotonic_ns()


class ManualClock:
    """A clock that stands still until a test moves it. Not thread-safe."""

    def __init__(self, t_ns: int = 0) -> None:
        self._t_ns = t_ns

    def now_ns(self) -> int:
        """Return the time it was last moved to."""
        return self._t_ns

    def advance_ms(self, ms: float) -> None:
        """Move forward; a negative step is refused, since a monotonic clock has none."""
        if ms < 0:
            raise ValueError(f"a monotonic clock only goes forward, not by {ms} ms")
        self._t_ns += round(ms * NS_PER_MS)


def utc_label(age_ns: int = 0) -> str:
    """Return the wall clock `age_ns` ago as ISO 8601 UTC with microseconds: a label for people, never a basis for a decision."""
    moment = dt.datetime.now(dt.UTC) - dt.timedelta(microseconds=age_ns / 1000)
    return moment.isoformat(timespec="microseconds")


def sleep_ms(ms: float) -> None:
    """Pause the calling thread. For back-off and polling loops of start-up only, never in the way of a part."""
    time.sleep(ms / 1000)
