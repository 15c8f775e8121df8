"""The threshold, from good images that the model has not seen, and how far that figure can be trusted."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inspector.errors import ImagesError, ModelError
from inspector.model.batches import Batches
from inspector.model.kinds import Kind, own_kinds, without
from inspector.model.next_batch import LEAST_BATCHES, limit_for, outlook, rate_interval
from inspector.model.wording import counted

MINIMUM_IMAGES = 20
_WORTH_SAYING = 0.5  # a next batch that may lose more than half is no promise
_PUSH = 0.1  # share of the threshold that one batch may account for before it is named
_USUAL_BATCH = 100  # images of the next batch, where no batch says how large batches are


@dataclass(frozen=True, slots=True)
class Threshold:
    """The limit, and what it is worth.

    `rate`: share of the held-out images above it. `interval`: that of the share in the next batch of `next_images` images, 95 %, or
    None where nothing is known of other batches. `promised`: the interval rests on batches that people or time set apart.
    """

    value: float
    rate: float
    interval: tuple[float, float] | None
    next_images: int
    promised: bool
    warnings: tuple[str, ...]


def check_number(images: int) -> None:
    """Raise ImagesError where there are too few different good images for a threshold worth the name."""
    if images < MINIMUM_IMAGES:
        raise ImagesError(
            f"expected at least {MINIMUM_IMAGES} different good images, found {images}; "
            "add images of good parts, since a threshold cannot come from fewer"
        )


def check_rate(false_reject_rate: float) -> None:
    """Raise ModelError for a rate that is none."""
    if not 0 < false_reject_rate < 0.5:
        raise ModelError(
            f"expected a false-reject rate above 0 and below 0.5, got {false_reject_rate}; 0.01 is one part in a hundred"
        )


def choose_threshold(scores: NDArray[np.float64], false_reject_rate: float, batches: Batches) -> Threshold:
    """Return the limit that a good part of the next batch exceeds with the stated probability at most.

    It is the score of rank ceil((n + 1)(1 - rate)) (split conformal prediction, Vovk et al. 2005), or the limit that takes the
    spread between batches into account, where it is higher. Where n is too small to have that rank it is the highest score,
    and a warning says so. Kinds of their own (kinds.py) do not count for the limit, but for the interval they do. A part is
    rejected when its score is above the limit.
    """
    check_rate(false_reject_rate)
    ordered = np.sort(scores)
    if not np.isfinite(ordered).all() or ordered[-1] <= 0:
        raise ModelError(
            "expected a positive finite score for each held-out image, found others; check the good images"
        )
    kinds = own_kinds(scores, batches, false_reject_rate)
    kept = without(kinds, len(scores))
    value = _limit(scores[kept], batches.part(kept), false_reject_rate)
    seen = outlook(scores, batches)
    dated = batches.source in ("folders", "times")
    next_images = int(np.median(batches.sizes)) if dated else _USUAL_BATCH
    interval = rate_interval(seen, value, next_images)
    rate = float((scores > value).mean())
    promised = dated and interval is not None and interval[1] <= _WORTH_SAYING
    threshold = Threshold(value, rate, interval, next_images, promised, ())
    warnings = (
        *_warnings(threshold, scores[kept], false_reject_rate, batches.part(kept), seen.batches),
        *_unlike(kinds, batches),
    )
    return replace(threshold, warnings=warnings)


def _limit(scores: NDArray[np.float64], batches: Batches, rate: float) -> float:
    """Return the limit for scores that all count.

    The spread between batches raises it only where they are real ones, for whose next the rate is to hold, and never above the
    highest score: what no good part reached is left to the bad ones, and the interval says what that may cost.
    """
    ordered = np.sort(scores)
    rank = min(len(ordered), math.ceil((len(ordered) + 1) * (1 - rate) - 1e-9))
    value, highest = float(ordered[rank - 1]), float(ordered[-1])
    if batches.source in ("folders", "times"):
        value = max(value, min(highest, limit_for(outlook(scores, batches), rate)))
    return value


def _unlike(kinds: tuple[Kind, ...], batches: Batches) -> Iterator[str]:
    for kind in kinds:
        members = np.flatnonzero(kind.members)
        example = f", e.g. {batches.files[members[0]]}" if batches.files else ""
        yield (
            f"{len(members)} images ({kind.name}{example}) are unlike all others: a batch of a kind that the model has not seen "
            "is rejected as a whole; keep examples of every kind among the good images"
        )


def _warnings(
    threshold: Threshold, scores: NDArray[np.float64], rate: float, batches: Batches, judged: int
) -> Iterator[str]:
    count = len(scores)
    if math.ceil((count + 1) * (1 - rate) - 1e-9) > count:
        yield (
            f"{count} held-out images cannot show a false-reject rate of {rate:.2%} (about {math.ceil(1 / rate)} are needed): "
            "the threshold is the highest of their scores"
        )
    if threshold.interval is None or batches.source not in ("folders", "times"):
        yield from _unpromised(batches, judged)
    elif threshold.interval[1] > max(5 * rate, 0.05):
        yield (
            f"{judged} batches differ so much, or say so little, that at a stated rate of {rate:.2%} the next one may lose up to "
            f"{threshold.interval[1]:.0%}; add batches, or find out what changes between them"
        )
    if threshold.promised:
        yield from _outliers(threshold, scores, rate, batches)


def _outliers(
    threshold: Threshold, scores: NDArray[np.float64], rate: float, batches: Batches
) -> Iterator[str]:
    """Name each batch that alone pushes the threshold up: a wrong set-up, or bad parts among the good."""
    for number, name in enumerate(batches.names):
        others = batches.batch_of != number
        limit = limit_for(outlook(scores[others], batches.part(others)), rate)
        if limit < (1 - _PUSH) * threshold.value:
            yield (
                f"batch {name} alone raises the threshold from {limit:.3f} to {threshold.value:.3f}; "
                "check that its parts are good and that nothing was set up otherwise"
            )


def _unpromised(batches: Batches, judged: int) -> Iterator[str]:
    if batches.source in ("folders", "times"):
        yield (
            f"no false-reject rate is promised for the next batch: {counted(judged, 'batch', 'batches')} of at least 5 good images "
            f"cannot tell how batches differ; add images until there are {LEAST_BATCHES}, better 6"
        )
    else:
        yield (
            "no false-reject rate is promised for the next batch, since all good images are of one: on real parts a target of "
            "1 % became 7 to 24 % on new batches; sort the images into one sub-folder for each day or lot"
        )
    if batches.source == "none" and len(np.unique(batches.family_of)) * 2 < len(batches.family_of):
        yield "most good images are near-copies of each other, and count for few; add images of other parts"
