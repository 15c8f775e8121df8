"""How sure a figure is, and whether two packs that judged the same images really differ."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.model.proportions import CONFIDENCE

_RESAMPLES = 1000


def bootstrap(
    figure: Callable[[NDArray[np.int64]], float], strata: NDArray[np.int64], seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of a figure of images, drawn anew with replacement within each stratum (percentiles; Efron 1979).

    `figure` takes how often each image was drawn, int64 (n,); `strata` (n,) keeps good ones and each kind of defect as many as they are.
    Draws for which it is NaN, as where no defect of any mask is among them, do not count.
    """
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(strata == kind) for kind in np.unique(strata)]
    values = np.empty(_RESAMPLES)
    for index in range(_RESAMPLES):
        drawn = np.concatenate([rng.choice(group, len(group)) for group in groups])
        values[index] = figure(np.bincount(drawn, minlength=len(strata)))
    low, high = np.nanquantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class Difference:
    """First minus second, its 95 % interval, and the probability of one as large where there is none (two-sided)."""

    value: float
    interval: tuple[float, float]
    p: float


def delong(
    first: tuple[NDArray[np.float64], NDArray[np.float64]],
    second: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> Difference:
    """Compare two AUROCs on the same images; each argument is the scores of the good and of the bad ones, in the same order.

    DeLong, DeLong and Clarke-Pearson, Biometrics 1988: an image's part in the AUROC is the share of the others that it is on the right
    side of, and the variance of the difference is that of the parts' differences.
    """
    parts = [_parts(good, bad) for good, bad in (first, second)]
    of_good, of_bad = (parts[0][side] - parts[1][side] for side in (0, 1))
    value = float(of_bad.mean())
    deviation = math.sqrt(_variance(of_good) / len(of_good) + _variance(of_bad) / len(of_bad))
    margin = _Z * deviation
    if deviation == 0:
        return Difference(value, (value, value), 1.0 if value == 0 else 0.0)
    p = math.erfc(abs(value) / deviation / math.sqrt(2))
    return Difference(value, (value - margin, value + margin), p)


_Z = 1.959963984540054  # of the normal distribution, for 95 %


def _parts(
    good: NDArray[np.float64], bad: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return for each good image the share of bad ones above it, and for each bad one that of good ones below; ties half."""
    ordered_good, ordered_bad = np.sort(good), np.sort(bad)
    above = (
        2 * len(bad)
        - np.searchsorted(ordered_bad, good, "left")
        - np.searchsorted(ordered_bad, good, "right")
    )
    below = np.searchsorted(ordered_good, bad, "left") + np.searchsorted(ordered_good, bad, "right")
    return above / (2 * len(bad)), below / (2 * len(good))


def _variance(values: NDArray[np.float64]) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[int, int, float]:
    """Compare two packs' decisions on the same images: how many only the first rejected, how many only the second, and p.

    Exact and two-sided (McNemar, Psychometrika 1947): where nothing differs, each disagreement falls on either side like a coin.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    total = only_first + only_second
    tail = sum(math.comb(total, k) for k in range(min(only_first, only_second) + 1))
    return only_first, only_second, min(1.0, 2 * tail / 2**total)
