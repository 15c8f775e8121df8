"""Trials of an interrupted tuning, so that it goes on with the next one: the same trials lead to the same candidates."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.model.checkpoint import Arrays, Checkpoint
from inspector.model.options import FitOptions
from inspector.model.outcome import Outcome
from inspector.model.progress import TUNING
from inspector.model.trials import Trial


class Kept:
    """Trials in the order in which they were run: those of an earlier start, then those of this one. One thread."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._earlier = checkpoint.load(TUNING) or {"candidates": np.empty(0, np.str_)}
        self._trials: list[Trial] = []

    def take(self, candidates: Sequence[FitOptions]) -> list[Trial]:
        """Return the trials of these candidates where they came next the last time too, else none."""
        start = len(self._trials)
        known = self._earlier["candidates"][start : start + len(candidates)].tolist()
        if known != [repr(candidate) for candidate in candidates]:
            return []
        found = [
            _trial(candidate, self._earlier, start + place) for place, candidate in enumerate(candidates)
        ]
        self._trials += found
        return found

    def add(self, trials: Sequence[Trial]) -> None:
        """Remember trials that were run, and keep them where that is due."""
        self._trials += trials
        if self._checkpoint.due():
            self._checkpoint.save(TUNING, _arrays(self._trials))


def _trial(candidate: FitOptions, kept: Arrays, place: int) -> Trial:
    above = kept["above"][place]
    outcome = None if np.isnan(above).any() else Outcome(above, kept["kind_of"])
    return Trial(candidate, float(kept["milliseconds"][place]), outcome)


def _arrays(trials: Sequence[Trial]) -> dict[str, NDArray[Any]]:
    """Return trials as arrays: `above` (trials, defects), NaN where one was over the budget."""
    known = [trial.outcome for trial in trials if trial.outcome is not None]
    kind_of = known[0].kind_of if known else np.empty(0, np.int64)
    nothing = np.full(max(1, len(kind_of)), np.nan)
    return {
        "candidates": np.array([repr(trial.candidate) for trial in trials]),
        "milliseconds": np.array([trial.milliseconds for trial in trials]),
        "above": np.stack([nothing if trial.outcome is None else trial.outcome.above for trial in trials]),
        "kind_of": kind_of,
    }
