"""The choice among trials: which is best, and which two sizes are worth a trial together."""

from collections.abc import Sequence
from dataclasses import replace

from inspector.errors import ModelError
from inspector.model.options import FitOptions
from inspector.model.trials import Trial

PAIRS = 3  # that are tried, at most
APART = 1.5  # the factor between the two sizes of a pair, at least: nearer, they see the same


def best_of(plain: Sequence[Trial], others: Sequence[Trial], budget_ms: float) -> Trial:
    """Return the best trial that kept the budget. Raises ModelError where no plain one did.

    `plain` ones differ in size alone. The usual size stays unless another trial is clearly better on the same defects: of a dozen
    trials chance makes some look best. Where the usual size is too slow, the best of the others takes its place.
    """
    kept = [trial for trial in plain if trial.outcome]
    if not kept:
        fastest = min(trial.milliseconds for trial in plain)
        raise ModelError(
            f"expected a time budget that some model keeps, the fastest tried takes {fastest:.1f} ms, not {budget_ms:g}; "
            f"raise --budget-ms to at least {1.2 * fastest:.1f}"
        )
    usual = [trial for trial in kept if trial.candidate.sizes == FitOptions().sizes]
    base = max(usual or kept, key=_worth)
    return max([base, *(trial for trial in (*kept, *others) if _clearly_above(trial, base))], key=_worth)


def pairs_of(plain: Sequence[Trial], budget_ms: float) -> list[FitOptions]:
    """Return the best size together with the best of the others that are far enough from it, if both fit into the budget."""
    best = best_of(plain, [], budget_ms)
    others = sorted(
        (trial for trial in plain if trial.outcome and trial is not best), key=_worth, reverse=True
    )
    pairs = []
    for other in others:
        small, large = sorted((best, other), key=lambda trial: trial.candidate.sizes)
        sizes = small.candidate.sizes + large.candidate.sizes
        in_time = small.milliseconds + large.milliseconds <= budget_ms
        if sizes[1] >= APART * sizes[0] and in_time:
            pairs.append(
                replace(best.candidate, sizes=sizes, taps=small.candidate.taps + large.candidate.taps)
            )
    return pairs[:PAIRS]


def _worth(trial: Trial) -> float:
    return trial.outcome.worth if trial.outcome else 0.0


def _clearly_above(trial: Trial, other: Trial) -> bool:
    return bool(trial.outcome and other.outcome and trial.outcome.clearly_above(other.outcome))
