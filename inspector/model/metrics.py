"""Figures of merit, in the field's standard definitions."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

FALSE_POSITIVES_MAX = 0.3  # share of good pixels up to which the overlap of regions is averaged
_BINS = 1 << 12  # of the pixel scores: bounded memory, and errors below 1e-3 also where most scores are alike


def auroc(good: NDArray[np.float64], bad: NDArray[np.float64]) -> float:
    """Return the probability that a bad one scores above a good one, ties counted half (Mann and Whitney 1947)."""
    ordered = np.sort(good)
    below, up_to = np.searchsorted(ordered, bad, "left"), np.searchsorted(ordered, bad, "right")
    return float((below + up_to).sum()) / (2 * len(good) * len(bad))


class PixelScores:
    """Counts pixel scores by truth, image by image, for figures over far more pixels than fit in memory.

    `images`: how many there will be. `sample` float32 (any shape): scores of the kind to count, which the bins are cut by.
    """

    def __init__(self, images: int, sample: NDArray[np.float32]) -> None:
        self._edges = np.unique(np.quantile(sample, np.linspace(0, 1, _BINS)))
        shape = images, len(self._edges) + 1
        self._good, self._bad, self._overlap = (np.zeros(shape, np.float32) for _ in range(3))
        self._added = 0
        self.regions = 0  # of defects, in all images so far

    def add(self, scores: NDArray[np.float32], defect: NDArray[np.bool_]) -> None:
        """Count the pixels of one image; both arrays (h, w). Regions are connected also at their corners."""
        bins = np.searchsorted(self._edges, scores, "right")
        width = self._good.shape[1]
        count, labels = cv2.connectedComponents(defect.astype(np.uint8), connectivity=8)
        region_of = labels[defect]
        weights = 1.0 / np.bincount(region_of, minlength=count)[region_of]
        self._good[self._added] = np.bincount(bins[~defect], minlength=width)
        self._bad[self._added] = np.bincount(bins[defect], minlength=width)
        self._overlap[self._added] = np.bincount(bins[defect], weights=weights, minlength=width)
        self.regions += count - 1
        self._added += 1

    def auroc(self, weights: NDArray[np.float64] | None = None) -> float:
        """Return the probability that a defect pixel scores above a good one, NaN where there is none.

        `weights` (images,): how often each counts.
        """
        good, bad = self._sum(self._good, weights), self._sum(self._bad, weights)
        if not bad.any():
            return math.nan
        below = np.cumsum(good) - good
        return float((bad * (below + good / 2)).sum() / (good.sum() * bad.sum()))

    def aupro(self, weights: NDArray[np.float64] | None = None) -> float:
        """Return the area under the per-region overlap, up to 30 % of good pixels above the limit, in parts of that 30 %.

        The overlap at a limit is the share of a region above it, averaged over regions (Bergmann et al., "Uninformed Students",
        CVPR 2020). Between two limits both shares are taken to change evenly. NaN where there is no region.
        """
        good, overlap = self._sum(self._good, weights), self._sum(self._overlap, weights)
        if not overlap.any():
            return math.nan
        falsely = np.concatenate([[0.0], np.cumsum(good[::-1])]) / good.sum()
        rightly = np.concatenate([[0.0], np.cumsum(overlap[::-1])]) / overlap.sum()
        at_end = np.interp(FALSE_POSITIVES_MAX, falsely, rightly)
        kept = falsely < FALSE_POSITIVES_MAX
        x, y = np.append(falsely[kept], FALSE_POSITIVES_MAX), np.append(rightly[kept], at_end)
        return float(np.trapezoid(y, x)) / FALSE_POSITIVES_MAX

    def _sum(self, counts: NDArray[np.float32], weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
        if weights is None:
            summed: NDArray[np.float64] = counts.sum(axis=0, dtype=np.float64)
            return summed
        # In float32, since a thousand of these make an interval: a hundredth of the interval's width is lost at most.
        return (weights.astype(np.float32) @ counts).astype(np.float64)


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return p50 and p99."""
    p50, p99 = np.percentile(values, [50, 99])
    return {"p50": float(p50), "p99": float(p99)}
