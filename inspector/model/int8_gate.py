"""Is a model with its backbone in int8 as good as the one in float32? Settled on a sample before the model is fitted.

Both are fitted on one part of the sample's good images and score the others, and synthetic defects laid on them, which neither saw;
a graph that answers every part alike fails on those. The int8 model is fitted on int8 features from the first, and its threshold is
calibrated on its own scores: so the two need not give the same numbers, but the same decisions.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspector.engine.base import one_line
from inspector.engine.preprocess import to_input
from inspector.errors import GraphError, ModelError, ScoreError
from inspector.model.agreement import Agreement, agreement, common_factor
from inspector.model.folds import Folds
from inspector.model.framing import Framing
from inspector.model.int8 import quantised
from inspector.model.options import FLOAT32, INT8, FitOptions
from inspector.model.progress import PRECISION, Advance, Progress, counter
from inspector.model.sample import Sample, draw, drawn
from inspector.model.spec import ModelSpec
from inspector.model.trials import Rig

log = logging.getLogger(__name__)

# Another seed of the bank, all else the same, moves relative scores by a deviation of .018 to .037 and turns decisions up to .058 from
# the threshold (magnetic tiles, two kinds of solar cells); int8 by .019 to .025 and up to .049. What chance makes anyway is no reason
# to stay slow, and more than that is.
DEVIATION_BOUND = 0.03
FLIP_BOUND = 0.06
RANGED = 32  # good images that the ranges are taken from
_WHOLE_SAMPLE = (
    512 * 512
)  # pixels of an input of which a whole sample is kept in memory, 0.6 GB: of larger ones less


@dataclass(frozen=True, slots=True)
class Settled:
    """The spec to fit with, its precision ("float32" or "int8"), and why. `found` is None where nothing was compared."""

    spec: ModelSpec
    precision: str
    why: str
    found: Agreement | None = None

    def facts(self) -> dict[str, object]:
        """Return what the manifest says of it."""
        return {
            "taken": self.precision,
            "why": self.why,
            "deviation_bound": DEVIATION_BOUND,
            "flip_bound": FLIP_BOUND,
            "found": self.found and asdict(self.found),
        }


def settled_precision(
    spec: ModelSpec,
    options: FitOptions,
    paths: Sequence[Path],
    folds: Folds,
    framing: Framing,
    *,
    progress: Progress,
) -> Settled:
    """Return what to fit by these options on these good images: see `settle`.

    Raises ModelError where nothing but int8 is wanted and cannot be had; ImagesError for images that cannot be read.
    """
    if options.precision == FLOAT32:
        return Settled(spec, FLOAT32, "nothing else was asked for")
    if any(branch.tile for branch in spec.branches):
        settled = Settled(spec, FLOAT32, "a graph in tiles stays in float32")
    else:
        share = min(1.0, _WHOLE_SAMPLE / (spec.height * spec.width))
        advance = counter(progress, PRECISION, drawn(paths, share))
        sample = draw(paths, folds, framing, options.seed, advance, share=share)
        settled = settle(spec, options, sample, counter(progress, PRECISION, 2 * len(sample.images)))
    if options.precision == INT8 and settled.precision != INT8:
        raise ModelError(
            f"expected int8 to decide as float32 does, {settled.why}; choose --precision float32"
        )
    return settled


def settle(spec: ModelSpec, options: FitOptions, sample: Sample, advance: Advance) -> Settled:
    """Return which of the two to fit. Advances twice for each image of the sample.

    The same images and seed settle it in the same way on the same kind of CPU. Raises ModelError where the method has no use for
    the sample.
    """
    seen = seen_alone(spec)
    shown = (sample.images[index] for index in range(0, sample.good, math.ceil(sample.good / RANGED)))
    good = [to_input(image, seen.geometry) for image in shown]
    rounded = quantised(seen, good)
    if rounded is seen:
        return Settled(spec, FLOAT32, "nothing of this backbone can be computed in int8")
    exact = _scores(seen, options, sample, advance)
    try:
        other = _scores(rounded, options, sample, advance)
    except (GraphError, ScoreError) as error:
        return Settled(spec, FLOAT32, f"int8 gives no scores: {one_line(error)}")
    found = compared(exact, other, sample, options.false_reject_rate)
    settled = _judged(replace(spec, backbone=rounded.backbone), spec, found)
    log.info("int8_settled", extra=settled.facts())
    return settled


def compared(
    exact: NDArray[np.float64], other: NDArray[np.float64], sample: Sample, rate: float
) -> Agreement:
    """Compare the scores of a sample's judged images, NaN for the others, at the threshold that rejects `rate` of the good ones."""
    judged = sample.fold_of >= 0
    good = judged & (sample.kind_of < 0)
    threshold = float(np.quantile(exact[good], 1 - rate, method="higher"))
    return agreement(exact[judged], other[judged], threshold, factor=common_factor(exact[good], other[good]))


def agrees(found: Agreement) -> bool:
    """Whether the two are the same model, as far as decisions go."""
    return found.finite and found.deviation <= DEVIATION_BOUND and found.farthest_flip <= FLIP_BOUND


def seen_alone(spec: ModelSpec) -> ModelSpec:
    """Return the spec for images that have been through region and alignment already, as a sample's have."""
    framing = replace(spec.geometry, roi=None, frame=None, aspect=None, alignment=None)
    return replace(spec, framing=framing)


def _judged(rounded: ModelSpec, exact: ModelSpec, found: Agreement) -> Settled:
    told = (
        f"int8 and float32 differ on {found.images} images by a deviation of {found.deviation:.3f} of the relative scores "
        f"(at most {DEVIATION_BOUND:g} is allowed), and decisions turn up to {found.farthest_flip:.3f} from the threshold "
        f"(at most {FLIP_BOUND:g} is allowed)"
    )
    if agrees(found):
        return Settled(rounded, INT8, told, found)
    return Settled(exact, FLOAT32, told, found)


def _scores(spec: ModelSpec, options: FitOptions, sample: Sample, advance: Advance) -> NDArray[np.float64]:
    """Return each judged image's score by models of this spec that saw neither it nor its group."""
    taps = tuple(tuple(tap.name for tap in branch.taps) for branch in spec.branches)
    sizes = tuple(round(math.sqrt(branch.height * branch.width)) for branch in spec.branches)
    candidate = replace(options, taps=taps, sizes=sizes)
    rig = Rig(sample, (), lambda _: spec)
    rig.look([candidate], advance)
    return rig.scores(candidate)
