"""Figures of merit, in the field's standard definitions."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_BINS = 1 << 16  # of the pixel scores: bounded memory, and an error of the AUROC below 1e-4


def auroc(good: NDArray[np.float64], bad: NDArray[np.float64]) -> float:
    """Return the probability that a bad one scores above a good one, ties counted half (Mann and Whitney 1947)."""
    values = np.concatenate([good, bad])
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last_rank = np.cumsum(counts)
    mean_rank = last_rank - (counts - 1) / 2
    rank_sum = float(mean_rank[inverse[len(good) :]].sum())
    return (rank_sum - len(bad) * (len(bad) + 1) / 2) / (len(good) * len(bad))


class PixelHistogram:
    """Counts pixel scores by truth, for the AUROC of far more pixels than fit in memory. `top` is the highest score."""

    def __init__(self, top: float) -> None:
        self._scale = (_BINS - 1) / max(top, 1e-12)
        self._counts = np.zeros((2, _BINS), np.int64)

    def add(self, scores: NDArray[np.float32], defect: NDArray[np.bool_]) -> None:
        """Count the pixels of one image; both arrays (h, w)."""
        bins = np.clip(scores * self._scale, 0, _BINS - 1).astype(np.int64)
        for truth in (False, True):
            self._counts[int(truth)] += np.bincount(bins[defect == truth], minlength=_BINS)

    def auroc(self) -> float:
        """Return the probability that a defect pixel scores above a good one."""
        good, bad = self._counts
        below = np.cumsum(good) - good
        return float((bad * (below + good / 2)).sum() / (good.sum() * bad.sum()))


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return p50 and p99."""
    p50, p99 = np.percentile(values, [50, 99])
    return {"p50": float(p50), "p99": float(p99)}
