"""The choice among trials: which is best, and which two sizes are worth a trial together."""

from collections.abc import Sequence
from dataclasses import replace

from inspector.errors import ModelError
from inspector.model.options import FitOptions
from inspector.model.trials import Trial

PAIRS = 3  # that are tried, at most
# Did best on average over real defects of three products, on splits and seeds that it was not chosen on: magnetic tiles .814 against
# .788 of 256 alone, solar cells .961 against .954 (mono) and .911 against .913 (poly). A small size sees what is uneven, a large one
# what is fine.
USUAL = (96, 256)
APART = 1.5  # the factor between the two sizes of a pair, at least: nearer, they see the same


def best_of(plain: Sequence[Trial], others: Sequence[Trial], budget_ms: float) -> Trial:
    """Return the best trial that kept the budget. Raises ModelError where no plain one did.

    `plain` ones differ in size alone. The usual pair of sizes stays unless another trial is clearly better on the same defects: of a
    dozen trials chance makes some look best, and synthetic defects are not the real ones. Where the pair is too slow, the default
    size takes its place, and where that is too slow too, the best of the others.
    """
    kept = [trial for trial in plain if trial.outcome]
    if not kept:
        fastest = min(trial.milliseconds for trial in plain)
        raise ModelError(
            f"expected a time budget that some model keeps, the fastest tried takes {fastest:.1f} ms, not {budget_ms:g}; "
            f"raise --budget-ms to at least {1.2 * fastest:.1f}"
        )
    pair = [trial for trial in others if trial.outcome and _is_usual(trial.candidate)]
    default = [trial for trial in kept if trial.candidate.sizes == FitOptions().sizes]
    base = max(pair or default or kept, key=_worth)
    return max([base, *(trial for trial in (*kept, *others) if _clearly_above(trial, base))], key=_worth)


def pairs_of(plain: Sequence[Trial], budget_ms: float) -> list[FitOptions]:
    """Return the pairs worth a trial that fit into the budget: the usual one, and the best size with others far enough from it."""
    best = best_of(plain, [], budget_ms)
    others = sorted(
        (trial for trial in plain if trial.outcome and trial is not best), key=_worth, reverse=True
    )
    couples = [(best, other) for other in others]
    usual = tuple(trial for trial in plain if trial.outcome and trial.candidate.sizes[0] in USUAL)
    if len(usual) == len(USUAL):
        couples.insert(0, (usual[0], usual[1]))
    pairs: list[FitOptions] = []
    for couple in couples:
        small, large = sorted(couple, key=lambda trial: trial.candidate.sizes)
        sizes = small.candidate.sizes + large.candidate.sizes
        in_time = small.milliseconds + large.milliseconds <= budget_ms
        if sizes[1] >= APART * sizes[0] and in_time and all(sizes != pair.sizes for pair in pairs):
            taps = small.candidate.taps + large.candidate.taps
            pairs.append(replace(best.candidate, sizes=sizes, taps=taps))
    return pairs[:PAIRS]


def _is_usual(candidate: FitOptions) -> bool:
    return candidate.sizes == USUAL and candidate.method == FitOptions().method


def _worth(trial: Trial) -> float:
    return trial.outcome.worth if trial.outcome else 0.0


def _clearly_above(trial: Trial, other: Trial) -> bool:
    return bool(trial.outcome and other.outcome and trial.outcome.clearly_above(other.outcome))
