"""Waiting for the thing itself: the one place of the tests that looks again and again."""

import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")
LOOK_S = 0.005
PATIENCE_S = (
    30.0  # far beyond any stall of a shared machine: running out of it is a failure, not a measurement
)


def wait_for(look: Callable[[], Seen | None], what: str, timeout_s: float = PATIENCE_S) -> Seen:
    """Return the first true answer of `look`; AssertionError naming `what` where none comes."""
    t_end = time.monotonic() + timeout_s
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < t_end, f"waited {timeout_s:g} s for {what}"
        time.sleep(LOOK_S)
