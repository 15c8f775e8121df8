"""Chooses scale, taps and method for a product whose bad parts nobody has seen: `inspector fit --tune`.

a sample of the good images, defects laid on it (sample.py, synthetic.py) -> trials (trials.py), coarse to fine: sizes and depths by
the method `nearest`; other taps and methods at the best size; two sizes at once -> the best within the time budget
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inspector.errors import ModelError
from inspector.model.backbone import open_backbone
from inspector.model.checkpoint import NOTHING_KEPT, Checkpoint
from inspector.model.choosing import best_of, pairs_of
from inspector.model.folds import Folds
from inspector.model.framing import plan
from inspector.model.images import Survey, read_frame
from inspector.model.options import FitOptions, pooling_name
from inspector.model.patches import spec_for
from inspector.model.progress import Progress, counter, silent
from inspector.model.sample import SIDE, draw, drawn
from inspector.model.spec import ModelSpec
from inspector.model.trials import Rig, Trial
from inspector.model.tried import Kept

SIZES = (96, 160, 256, 384)  # each 1.5 times the one before; what lies between is tried next to the best
BETWEEN = {96: (128,), 160: (128, 192), 256: (192, 320), 384: (320,)}
FRAMES = 3  # that a time is taken on: of 12 megapixels they are 108 MB
# No poolings: on magnetic tiles a power mean of low exponent looked .03 better on synthetic defects and was .03 worse on real ones.
METHODS = ("gaussian", "reconstruction")
# By backbone: what is tried at every size, and at the best one only, where it must be clearly better: deep taps did better on real
# defects in 12 of 15 comparisons, shallow ones on synthetic defects with their sharp edges. Any other backbone has its own taps only.
TAPS = {
    "efficientnet-lite0": (("7", "10", "14"), (("4", "7", "10"), ("4", "7", "10", "14"))),
    "efficientnet-lite2": (("10", "14", "20"), (("6", "10", "14"), ("6", "10", "14", "20"))),
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
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> Tuning:
    """Try candidates on the good images; `folds` says which of them are held out together.

    The same images and seed give the same figures, but for the times: near the budget they may decide otherwise on another day.
    What `checkpoint` has is not tried again, times included. Raises ImagesError, and ModelError where nothing keeps the budget.
    """
    check_tuning(options, budget_ms)
    backbone = open_backbone(options.backbone)

    def spec_of(candidate: FitOptions) -> ModelSpec:
        framing = plan(candidate.frame, found, paths, candidate.sizes)
        return spec_for(candidate, framing)

    framing = plan(options.frame, found, paths, (SIDE,))
    sample = draw(paths, folds, framing, options.seed, counter(progress, "sample", drawn(paths)))
    frames = [read_frame(path, framing.geometry.channels) for path in paths[:FRAMES]]
    search = _Search(Rig(sample, frames, spec_of), budget_ms, progress, Kept(checkpoint))
    taps, others = TAPS.get(backbone.name, (backbone.default_taps, ()))
    plain = replace(options, taps=(taps,))

    for size in SIZES:
        if not search.size(replace(plain, sizes=(size,))):
            break  # larger ones take longer still
    for size in BETWEEN.get(search.best().candidate.sizes[0], ()):
        search.size(replace(plain, sizes=(size,)))
    search.beyond(_beside(search.best().candidate, others))
    for pair in pairs_of(search.sizes, budget_ms):
        search.beyond([pair])
    return Tuning(search.trials, search.best(), budget_ms)


def _beside(best: FitOptions, other_taps: Sequence[tuple[str, ...]]) -> list[FitOptions]:
    """Return what else is worth a trial at the size of the best."""
    return [
        *(replace(best, taps=(taps,)) for taps in other_taps),
        *(replace(best, method=method) for method in METHODS),
    ]


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
    """Runs trials, and remembers them: `sizes` differ in size alone, what is `beyond` in more. One thread."""

    def __init__(self, rig: Rig, budget_ms: float, progress: Progress, kept: Kept) -> None:
        self.sizes: list[Trial] = []
        self._others: list[Trial] = []
        self._rig, self._budget_ms, self._progress, self._kept = rig, budget_ms, progress, kept

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All."""
        return (*self.sizes, *self._others)

    def size(self, candidate: FitOptions) -> bool:
        """Try another size. Return whether it kept the budget."""
        self.sizes += self._run([candidate])
        return self.sizes[-1].outcome is not None

    def beyond(self, candidates: Sequence[FitOptions]) -> None:
        """Try candidates of the same sizes that differ in more than that."""
        self._others += self._run(candidates)

    def best(self) -> Trial:
        """Return the best so far. Raises ModelError."""
        return best_of(self.sizes, self._others, self._budget_ms)

    def _run(self, candidates: Sequence[FitOptions]) -> list[Trial]:
        known = self._kept.take(candidates)
        if known:
            return known
        named = f"{'+'.join(map(str, candidates[0].sizes))} px"
        images = len(self._rig.sample.images)
        self._rig.look(candidates, counter(self._progress, f"{named}: features", images))
        advance = counter(self._progress, f"{named}: trials", len(candidates))
        done = []
        for candidate in candidates:
            done.append(self._rig.run(candidate, self._budget_ms))
            advance(1)
        self._kept.add(done)
        return done
