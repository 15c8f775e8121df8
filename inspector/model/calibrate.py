"""The threshold, from good images that the model has not seen, and how far that figure can be trusted."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.errors import ImagesError, ModelError

MINIMUM_IMAGES = 20
FOLDS = 5
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Folds:
    """Which fold each image is held out in. `by_batch`: whole batches are held out together."""

    fold_of: NDArray[np.int64]
    count: int
    by_batch: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Threshold:
    """The limit and what it was worth on the held-out images: share above it and that share's 95 % interval."""

    value: float
    rate: float
    interval: tuple[float, float]
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


def choose_folds(batches: Sequence[str], rng: np.random.Generator) -> Folds:
    """Hold out whole batches where there are several, else random fifths of the one batch, with a warning.

    Raises ImagesError below 20 images.
    """
    total = len(batches)
    check_number(total)
    names, batch_of = np.unique(np.array(batches), return_inverse=True)
    sizes = np.bincount(batch_of)
    if len(names) > 1 and total - sizes.max() >= MINIMUM_IMAGES // 2:
        fold_of_batch = _balance(sizes, min(FOLDS, len(names)))
        return Folds(fold_of_batch[batch_of], int(fold_of_batch.max()) + 1, by_batch=True, warnings=())
    reason = (
        "all good images are of one batch"
        if len(names) == 1
        else "all but a few good images are of one batch"
    )
    warning = (
        f"{reason}, so the threshold says little about the next one: on real parts a target of 1 % became 7 to 24 % on new "
        "batches; sort the images into one sub-folder for each day or lot"
    )
    return Folds(rng.permutation(total) % FOLDS, FOLDS, by_batch=False, warnings=(warning,))


def _balance(sizes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Share out batches over folds of about equal size: the largest first, each to the emptiest fold."""
    load = np.zeros(count, np.int64)
    fold_of_batch = np.zeros(len(sizes), np.int64)
    for batch in np.argsort(-sizes, kind="stable"):
        fold = int(load.argmin())
        fold_of_batch[batch] = fold
        load[fold] += sizes[batch]
    return fold_of_batch


def choose_threshold(scores: NDArray[np.float64], false_reject_rate: float) -> Threshold:
    """Return the limit that new good parts exceed at most at the stated rate, if they are like the held-out ones.

    It is the score of rank ceil((n + 1)(1 - rate)) (split conformal prediction, Vovk et al. 2005). Where n is too small to
    have that rank it is the highest score, and a warning says so. A part is rejected when its score is above the limit.
    """
    check_rate(false_reject_rate)
    ordered = np.sort(scores)
    if not np.isfinite(ordered).all() or ordered[-1] <= 0:
        raise ModelError(
            "expected a positive finite score for each held-out image, found others; check the good images"
        )
    count, warnings = len(ordered), []
    rank = math.ceil((count + 1) * (1 - false_reject_rate) - 1e-9)
    if rank > count:
        needed = math.ceil(1 / false_reject_rate)
        warnings.append(
            f"{count} held-out images cannot show a false-reject rate of {false_reject_rate:.2%} (about {needed} are needed): "
            "the threshold is the highest of their scores"
        )
        rank = count
    value = float(ordered[rank - 1])
    above = int((ordered > value).sum())
    return Threshold(value, above / count, clopper_pearson(above, count), tuple(warnings))


def clopper_pearson(events: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the exact interval of a probability after `events` in `trials` (Clopper and Pearson, Biometrika 1934)."""
    tail = (1 - confidence) / 2
    low = 0.0 if events == 0 else _solve(lambda p: 1 - _binomial_cdf(events - 1, trials, p) - tail)
    high = 1.0 if events == trials else _solve(lambda p: tail - _binomial_cdf(events, trials, p))
    return low, high


def _binomial_cdf(events: int, trials: int, p: float) -> float:
    """Return P(X <= events). Logarithms, since the coefficients overflow beyond a thousand trials."""
    log_n = math.lgamma(trials + 1)
    logs = (
        log_n
        - math.lgamma(k + 1)
        - math.lgamma(trials - k + 1)
        + k * math.log(p)
        + (trials - k) * math.log1p(-p)
        for k in range(events + 1)
    )
    return math.fsum(math.exp(value) for value in logs)


def _solve(rising: Callable[[float], float]) -> float:
    """Return the zero of a rising function on (0, 1) by bisection, to 1e-12."""
    low, high = 0.0, 1.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2
