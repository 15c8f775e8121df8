"""The choice among trials: which is best, and which two sizes are worth a trial together."""

from collections.abc import Sequence
from dataclasses import replace

from inspector.errors import ModelError
from inspector.model.options import MAXIMUM, FitOptions
from inspector.model.trials import Trial

PAIRS = 2  # that are tried, at most
APART = 1.5  # the factor between the two sizes of a pair, at least: nearer, they see the same


def best_of(trials: Sequence[Trial], budget_ms: float) -> Trial:
    """Return the best trial that kept the budget. Raises ModelError where none did.

    Among plain ones (one size, the method `nearest`, the maximum) it is the one that tells most apart. Anything else must be clearly
    better than that one: of twenty trials, chance makes some look best.
    """
    tried = [trial for trial in trials if trial.outcome]
    if not tried:
        fastest = min(trial.milliseconds for trial in trials)
        raise ModelError(
            f"expected a time budget that some model keeps, the fastest tried takes {fastest:.1f} ms, not {budget_ms:g}; "
            f"raise --budget-ms to at least {1.2 * fastest:.1f}"
        )
    plain = max((trial for trial in tried if is_plain(trial.candidate)), key=_worth)
    return max((trial for trial in tried if trial is plain or _clearly_above(trial, plain)), key=_worth)


def pairs_of(trials: Sequence[Trial], budget_ms: float) -> list[FitOptions]:
    """Return the best plain size together with the best of the others that are far enough from it, if both fit into the budget."""
    tried = [trial for trial in trials if trial.outcome and is_plain(trial.candidate)]
    best, *others = sorted(tried, key=_worth, reverse=True)
    pairs: dict[tuple[int, ...], FitOptions] = {}
    for other in others:
        small, large = sorted((best, other), key=lambda trial: trial.candidate.sizes)
        sizes = small.candidate.sizes + large.candidate.sizes
        taps = small.candidate.taps + large.candidate.taps
        in_time = small.milliseconds + large.milliseconds <= budget_ms
        if sizes[1] >= APART * sizes[0] and in_time and sizes not in pairs:
            pairs[sizes] = replace(best.candidate, sizes=sizes, taps=taps)
    return list(pairs.values())[:PAIRS]


def is_plain(candidate: FitOptions) -> bool:
    """Whether it is one size by the method `nearest` and the maximum."""
    return len(candidate.sizes) == 1 and candidate.method == "nearest" and candidate.pooling == MAXIMUM


def _worth(trial: Trial) -> float:
    return trial.outcome.worth if trial.outcome else 0.0


def _clearly_above(trial: Trial, other: Trial) -> bool:
    return bool(trial.outcome and other.outcome and trial.outcome.clearly_above(other.outcome))
