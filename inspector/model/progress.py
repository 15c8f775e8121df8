"""How long work tells how far it is, without knowing who listens."""

from collections.abc import Callable
from typing import Protocol

Advance = Callable[[int], None]

# Stages of a fit.
IMAGES, TUNING, FEATURES, MODEL, HELD_OUT = "images", "tuning", "features", "model", "held-out models"
PRECISION = "precision"
KNOWN, HELD_OUT_DEFECTS = "known defects", "held-out defects"


class Progress(Protocol):
    """Told how far each stage is. Called often, from the working thread."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` steps of `stage` are finished."""
        ...


def silent(stage: str, done: int, total: int) -> None:
    """Report to nobody."""


def uncounted(steps: int) -> None:
    """Count nothing."""


def counter(progress: Progress, stage: str, total: int) -> Advance:
    """Return a function that counts steps of one stage and reports their sum."""
    done = 0
    progress(stage, 0, total)

    def advance(steps: int) -> None:
        nonlocal done
        done += steps
        progress(stage, done, total)

    return advance


def part_of(progress: Progress, number: int, count: int) -> Progress:
    """Return what the work of one of `count` equal parts reports to, so that the stages of all of them count as one."""

    def report(stage: str, done: int, total: int) -> None:
        progress(stage, number * total + done, count * total)

    return report
