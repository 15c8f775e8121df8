"""What more images would bring: the threshold and its worth from parts of the held-out scores, and from more of the same.

No model is fitted again. The curve therefore shows how sure the threshold is, not how the scores themselves would fall as the
model learns more good parts: what is foreseen is on the safe side.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inspector.model.batches import Batches
from inspector.model.calibrate import MINIMUM_IMAGES, choose_threshold
from inspector.model.kinds import own_kinds, without
from inspector.model.next_batch import LEAST_BATCHES, Outlook, limit_for, outlook, rate_interval

_PARTS = (0.25, 0.5)
_MULTIPLES = (2, 4)
_REPEATS = 8  # random parts of one size


@dataclass(frozen=True, slots=True)
class Point:
    """What a number of images and batches gives: where the threshold came to lie (lowest and highest), and the interval's upper end.

    `highest_rate`: of false rejects in a next batch, None where nothing can be said. `foreseen`: not measured on a part of the images.
    """

    images: int
    batches: int
    threshold: tuple[float, float]
    highest_rate: float | None
    foreseen: bool


def learning_curve(
    scores: NDArray[np.float64], rate: float, batches: Batches, next_images: int
) -> tuple[Point, ...]:
    """Return points for a quarter, half and all of the images, and for twice and four times as many. Takes a second or two."""
    rng = np.random.default_rng(0)
    whole = outlook(scores, batches)
    # Whole batches are left away where enough remain to tell a spread, else whole families.
    units = batches.batch_of if whole.batches >= 2 * LEAST_BATCHES else batches.family_of
    points = [
        point
        for part in _PARTS
        if (
            point := _measured(
                scores, rate, batches, units=units, part=part, next_images=next_images, rng=rng
            )
        )
        is not None
    ]
    everything = choose_threshold(scores, rate, batches)
    highest = None if everything.interval is None else everything.interval[1]
    value = everything.value
    points.append(Point(len(scores), len(batches.names), (value, value), highest, foreseen=False))
    kept = without(own_kinds(scores, batches, rate), len(scores))
    usual = outlook(scores[kept], batches.part(kept))
    points.extend(_foreseen((whole, usual), rate, batches, value=value, next_images=next_images))
    return tuple(points)


def _measured(
    scores: NDArray[np.float64],
    rate: float,
    batches: Batches,
    *,
    units: NDArray[np.int64],
    part: float,
    next_images: int,
    rng: np.random.Generator,
) -> Point | None:
    """Return the point of random parts of the images, whole units each; None where a part is too small for a threshold."""
    kinds, values, highest, images, numbers = np.unique(units), [], [], [], []
    for _ in range(_REPEATS):
        chosen = np.isin(units, rng.choice(kinds, max(1, round(part * len(kinds))), replace=False))
        if chosen.sum() < MINIMUM_IMAGES:
            continue
        some = batches.part(chosen)
        threshold = choose_threshold(scores[chosen], rate, some)
        values.append(threshold.value)
        images.append(int(chosen.sum()))
        numbers.append(len(some.names))
        interval = rate_interval(outlook(scores[chosen], some), threshold.value, next_images)
        if interval is not None:
            highest.append(interval[1])
    if not values:
        return None
    upper = float(np.median(highest)) if len(highest) == len(values) else None
    return Point(
        round(float(np.mean(images))),
        round(float(np.mean(numbers))),
        (min(values), max(values)),
        upper,
        foreseen=False,
    )


def _foreseen(
    seen: tuple[Outlook, Outlook], rate: float, batches: Batches, *, value: float, next_images: int
) -> Iterator[Point]:
    """Yield the points of more images, were they in more batches of the same spread and otherwise like those known.

    `seen`: all images, and those that are of no kind of their own.
    """
    whole, usual = seen
    for times in _MULTIPLES:
        # As choose_threshold has it: the spread counts where batches are real ones, and no further than the highest score.
        more, limit = _times(whole, times), value
        if batches.source in ("folders", "times"):
            limit = min(value, limit_for(_times(usual, times), rate))
        # From fewer than three batches their spread is not known, and more of it cannot be foreseen.
        known = whole.batches >= LEAST_BATCHES
        interval = rate_interval(more, limit, next_images) if known else None
        yield Point(
            len(more.rests),
            len(batches.names) * times,
            (limit, limit),
            None if interval is None else interval[1],
            foreseen=True,
        )


def _times(seen: Outlook, times: int) -> Outlook:
    """Return what would be seen of so many times as many batches of the same kind."""
    kinds = int(seen.family_of.max()) + 1
    return replace(
        seen,
        rests=np.repeat(seen.rests, times),
        family_of=(seen.family_of[:, None] + kinds * np.arange(times)).reshape(-1),
        batches=seen.batches * times,
    )
