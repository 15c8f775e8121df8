"""Chooses scale, taps, method and pooling for a product whose bad parts nobody has seen: `inspector fit --tune`.

a sample of the good images, defects laid on it (sample.py, synthetic.py) -> trials (trials.py), coarse to fine: sizes and depths by
the method `nearest`; other taps, methods and poolings at the best size; two sizes at once -> the best within the time budget
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inspector.errors import ModelError
from inspector.model.backbone import open_backbone
from inspector.model.folds import Folds
from inspector.model.framing import plan
from inspector.model.images import Survey
from inspector.model.options import MAXIMUM, FitOptions, pooling_name
from inspector.model.patches import spec_for
from inspector.model.progress import Progress, counter, silent
from inspector.model.sample import SIDE, draw, drawn
from inspector.model.spec import ModelSpec
from inspector.model.trials import Rig, Trial

SIZES = (96, 160, 256, 384)  # each 1.5 times the one before; what lies between is tried next to the best
_BETWEEN = {96: (128,), 160: (128, 192), 256: (192, 320), 384: (320,)}
_OTHER_METHODS = ("gaussian", "reconstruction")
_OTHER_POOLING = 16.0
_PAIRS = 2
_APART = 1.5  # two sizes are worth a trial together if they differ by this factor: nearer, they see the same
# By backbone: what is tried at every size, and at the best one only. One that is not here has only its own taps.
_TAPS = {
    "efficientnet-lite0": ((("4", "7", "10"), ("7", "10", "14")), (("4", "7", "10", "14"),)),
    "efficientnet-lite2": ((("6", "10", "14"), ("10", "14", "20")), (("6", "10", "14", "20"),)),
}


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was tried, in this order, within which budget (infinite for none), and what was chosen of it."""

    trials: tuple[Trial, ...]
    chosen: Trial
    budget_ms: float

    def facts(self) -> dict[str, object]:
        """Return what the manifest says of it."""
        return {
            "budget_ms": None if math.isinf(self.budget_ms) else self.budget_ms,
            "tried": [
                {
                    "method": trial.candidate.method,
                    "sizes": trial.candidate.sizes,
                    "taps": trial.candidate.taps,
                    "pooling": pooling_name(trial.candidate.pooling),
                    "engine_ms": trial.milliseconds,
                    "auroc": trial.outcome.by_kind if trial.outcome else None,
                    "chosen": trial is self.chosen,
                }
                for trial in self.trials
            ],
        }


def tune(
    paths: Sequence[Path],
    folds: Folds,
    options: FitOptions,
    found: Survey,
    *,
    budget_ms: float = math.inf,
    progress: Progress = silent,
) -> Tuning:
    """Try candidates on the good images; `folds` says which of them are held out together.

    The same images and seed give the same figures, but for the times: near the budget they may decide otherwise on another day.
    Raises ImagesError, and ModelError where nothing keeps the budget.
    """
    check_tuning(options, budget_ms)
    backbone = open_backbone(options.backbone)

    def spec_of(candidate: FitOptions) -> ModelSpec:
        framing = plan(candidate.frame, found, paths, candidate.sizes)
        return spec_for(candidate, framing)

    framing = plan(options.frame, found, paths, (SIDE,))
    sample = draw(paths, folds, framing, options.seed, counter(progress, "sample", drawn(paths)))
    search = _Search(Rig(sample, spec_of), budget_ms, progress)
    everywhere, at_best = _TAPS.get(backbone.name, ((backbone.default_taps,), ()))
    plain = replace(options, method="nearest", pooling=MAXIMUM)

    for size in SIZES:
        search.run([replace(plain, sizes=(size,), taps=(taps,)) for taps in everywhere])
    for size in _BETWEEN[search.best().candidate.sizes[0]]:
        search.run([replace(plain, sizes=(size,), taps=(taps,)) for taps in everywhere])
    search.run(_beside(search.best().candidate, at_best))
    for pair in _pairs(search.trials, budget_ms):
        search.run([pair])
    return Tuning(tuple(search.trials), search.best(), budget_ms)


def check_tuning(options: FitOptions, budget_ms: float) -> None:
    """Raise ModelError for a budget that is none, or where something is chosen already that tuning would choose."""
    if not budget_ms > 0:
        raise ModelError(f"expected a time budget above 0 ms, got {budget_ms:g}; leave it out to have none")
    plain = FitOptions()
    chosen = {
        "--size": options.sizes != plain.sizes,
        "--taps": options.taps != plain.taps,
        "--method": options.method != plain.method,
        "--pooling": options.pooling != plain.pooling,
        "--scale": options.frame.scale is not None,
        "--tiles": options.frame.tile is not None,
    }
    if any(chosen.values()):
        names = ", ".join(name for name, is_chosen in chosen.items() if is_chosen)
        raise ModelError(f"expected --tune to choose, {names} chose already; leave out one of the two")


class _Search:
    """Runs trials, and remembers them. One thread."""

    def __init__(self, rig: Rig, budget_ms: float, progress: Progress) -> None:
        self.trials: list[Trial] = []
        self._rig, self._budget_ms, self._progress = rig, budget_ms, progress

    def run(self, candidates: Sequence[FitOptions]) -> None:
        """Try candidates, all of the same sizes. Of these, features stay in memory only while they are the best single size."""
        if not candidates:
            return
        sizes = candidates[0].sizes
        named = f"{' + '.join(map(str, sizes))} px"
        images = len(self._rig.sample.images)
        self._rig.look(candidates, counter(self._progress, f"{named}: features", images))
        advance = counter(self._progress, f"{named}: trials", len(candidates))
        for candidate in candidates:
            self.trials.append(self._rig.run(candidate, self._budget_ms))
            advance(1)

    def best(self) -> Trial:
        """Return the best: what is more than a plain single size must be clearly better to be taken. Raises ModelError."""
        tried = [trial for trial in self.trials if trial.outcome]
        if not tried:
            fastest = min(trial.milliseconds for trial in self.trials)
            raise ModelError(
                f"expected a time budget that some model keeps, the fastest of {len(self.trials)} takes {fastest:.1f} ms, "
                f"not {self._budget_ms:g}; raise --budget-ms to at least {1.2 * fastest:.0f}"
            )
        plain = max((trial for trial in tried if _is_plain(trial.candidate)), key=_worth)
        return max((trial for trial in tried if trial is plain or _clearly_above(trial, plain)), key=_worth)


def _is_plain(candidate: FitOptions) -> bool:
    return len(candidate.sizes) == 1 and candidate.method == "nearest" and candidate.pooling == MAXIMUM


def _worth(trial: Trial) -> float:
    return trial.outcome.worth if trial.outcome else 0.0


def _clearly_above(trial: Trial, other: Trial) -> bool:
    if trial.outcome is None or other.outcome is None:
        return False
    return trial.outcome.clearly_above(other.outcome)


def _beside(best: FitOptions, at_best: Sequence[tuple[str, ...]]) -> list[FitOptions]:
    """Return what is worth a trial with the size of the best."""
    return [
        *(replace(best, taps=(taps,)) for taps in at_best),
        *(replace(best, method=method) for method in _OTHER_METHODS),
        replace(best, pooling=_OTHER_POOLING),
    ]


def _pairs(trials: Sequence[Trial], budget_ms: float) -> list[FitOptions]:
    """Return the best plain single size together with the best of others, far enough from it and both within the budget."""
    single = sorted(
        (trial for trial in trials if trial.outcome and _is_plain(trial.candidate)), key=_worth, reverse=True
    )
    best, found = single[0], dict[tuple[int, ...], FitOptions]()
    for trial in single[1:]:
        small, large = sorted((best, trial), key=lambda one: one.candidate.sizes)
        if (
            large.candidate.sizes[0] >= _APART * small.candidate.sizes[0]
            and small.milliseconds + large.milliseconds <= budget_ms
        ):
            sizes = small.candidate.sizes + large.candidate.sizes
            taps = small.candidate.taps + large.candidate.taps
            found.setdefault(sizes, replace(best.candidate, sizes=sizes, taps=taps))
    return list(found.values())[:_PAIRS]
