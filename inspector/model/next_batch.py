"""What held-out scores say of the next batch, which nobody has seen: its own level, and then its own parts.

Batches are drawn from the life of a line, and parts from their batch: a model with random effects. An image's logarithmic score is
its batch's level plus a rest. The next batch's level lies off the mean by spread * sqrt(1 + 1 / K) * t, where t has K - 1 degrees of
freedom (the textbook prediction from K batches); its rests are like those seen, each family weighted at random (Bayesian bootstrap,
Rubin 1981), with one more family whose score is beyond all seen (as in conformal prediction); and of its N images a whole number is
rejected. Intervals that take all images for exchangeable know nothing of the first part, and held in 1 to 5 of 10 batches where
this one held in 96 or more of 100 (simulated: 2 to 20 batches of 30 to 100, level spread of 0 to 1 times that within,
normal, gamma and Student tails). See Dunn, Wasserman and Ramdas, JASA 2023, and Menssen and Schaarschmidt, Statistics in Medicine 2022.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.model.batches import LEAST, Batches
from inspector.model.proportions import CONFIDENCE

# From fewer batches the spread between them is anybody's guess: an interval would reach from nothing to everything.
LEAST_BATCHES = 3
# With few batches the threshold pays for the spread that was seen; that the spread is hardly known stands in the interval instead.
# Else three batches would push the threshold where no defect reaches it.
_LEAST_FREEDOM = 4
_LEVELS, _DRAWS = 20_001, 2_000


@dataclass(frozen=True, slots=True)
class Outlook:
    """Held-out logarithmic scores taken apart. Made by `outlook`.

    `rests` float64 (n,), sorted, each with the mean level added; `family_of` int64 (n,) of each rest; `spread`: standard deviation
    of the batches' levels; `batches`: how many it was taken from; `together`: correlation of rests within a family;
    `clutch`: images of one family in one batch, as an image meets them.
    """

    rests: NDArray[np.float64]
    family_of: NDArray[np.int64]
    spread: float
    batches: int
    together: float
    clutch: float


def outlook(scores: NDArray[np.float64], batches: Batches) -> Outlook:
    """Take held-out scores (n,) apart into the batches' levels and the rests. Batches below 5 images count as one."""
    logs = np.log(np.maximum(scores, 1e-6 * float(scores.max())))
    batch_of = _pooled(batches.batch_of)
    sizes = np.bincount(batch_of)
    levels = np.bincount(batch_of, weights=logs) / sizes
    large = sizes >= LEAST
    spread = float(levels[large].std(ddof=1)) if large.sum() > 1 else 0.0
    rests = logs - levels[batch_of] + logs.mean()
    order = np.argsort(rests, kind="stable")
    clutch_of = np.unique(np.stack([batch_of, batches.family_of]), axis=1, return_inverse=True)[1].reshape(-1)
    clutches = np.bincount(clutch_of)
    return Outlook(
        rests[order],
        np.unique(batches.family_of, return_inverse=True)[1][order].astype(np.int64),
        spread,
        int(large.sum()),
        _correlation(rests, clutch_of),
        float(np.square(clutches).sum() / clutches.sum()),
    )


def limit_for(seen: Outlook, rate: float) -> float:
    """Return the score that an image of the next batch exceeds with probability `rate`, levels included; inf where n is too small.

    Below three batches the levels are unknown, and only the rests count.
    """
    count = len(seen.rests)
    if math.ceil((count + 1) * (1 - rate) - 1e-9) > count:
        return math.inf
    levels = np.zeros(1)
    if seen.batches >= LEAST_BATCHES:
        levels = _levels(seen, _LEVELS, max(seen.batches - 1, _LEAST_FREEDOM), np.random.default_rng(0))

    def exceeded(limit: float) -> float:
        above = count - np.searchsorted(seen.rests, limit - levels, side="right")
        return float((above + 1).mean()) / (count + 1)

    low, high = float(seen.rests[0]), float(seen.rests[-1] + levels.max())
    if exceeded(high) > rate:
        return math.inf
    while high - low > 1e-9 * max(1.0, abs(high)):
        middle = (low + high) / 2
        low, high = (low, middle) if exceeded(middle) <= rate else (middle, high)
    return math.exp(high)


def rate_interval(
    seen: Outlook, limit: float, images: int, confidence: float = CONFIDENCE
) -> tuple[float, float] | None:
    """Return the interval of the share above `limit` in the next batch of `images`; None below three batches."""
    if seen.batches < LEAST_BATCHES:
        return None
    rng = np.random.default_rng(0)
    levels = _levels(seen, _DRAWS, seen.batches - 1, rng)
    kinds = int(seen.family_of.max()) + 1
    # Images that come in clutches count for fewer (design effect, Kish 1965).
    independent = max(1, round(images / (1 + (seen.clutch - 1) * seen.together)))
    shares = np.empty(_DRAWS)
    for draw, first in enumerate(np.searchsorted(seen.rests, math.log(limit) - levels, side="right")):
        weights = rng.exponential(size=kinds + 1)
        beyond = (
            float(weights[kinds]) * len(seen.rests) / kinds
        )  # the family that was not seen, of usual size
        tail, total = weights[seen.family_of[first:]].sum(), weights[seen.family_of].sum()
        shares[draw] = rng.binomial(independent, (tail + beyond) / (total + beyond)) / independent
    low, high = np.quantile(shares, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _pooled(batch_of: NDArray[np.int64]) -> NDArray[np.int64]:
    """Put the images of all batches that are too small to have a level of their own into one."""
    small = np.bincount(batch_of)[batch_of] < LEAST
    pooled = np.unique(np.where(small, -1, batch_of), return_inverse=True)[1]
    return pooled.reshape(-1).astype(np.int64)


def _levels(seen: Outlook, draws: int, freedom: int, rng: np.random.Generator) -> NDArray[np.float64]:
    scale = seen.spread * math.sqrt(1 + 1 / seen.batches)
    return scale * rng.standard_t(freedom, draws)


def _correlation(rests: NDArray[np.float64], clutch_of: NDArray[np.int64]) -> float:
    """Return the correlation within clutches by analysis of variance, 0 to 1; 1 where it cannot be told."""
    sizes = np.bincount(clutch_of)
    count, groups = len(rests), len(sizes)
    if groups in (1, count):
        return 1.0
    means = np.bincount(clutch_of, weights=rests) / sizes
    between = float((sizes * np.square(means - rests.mean())).sum()) / (groups - 1)
    within = float(np.square(rests - means[clutch_of]).sum()) / (count - groups)
    usual = (count - float(np.square(sizes).sum()) / count) / (groups - 1)
    if between + (usual - 1) * within <= 0:
        return 1.0
    return min(1.0, max(0.0, (between - within) / (between + (usual - 1) * within)))
