"""PCA whitening: turns features so that every direction of normal variation counts alike."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.errors import ModelError

SHRINKAGE = (
    0.05  # share of the mean variance mixed into each: keeps directions that good parts never use finite
)


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, sum and sum of outer products of feature vectors, float64: those of a union are their sum."""

    count: int
    total: NDArray[np.float64]
    outer: NDArray[np.float64]

    @classmethod
    def empty(cls, depth: int) -> "Moments":
        """Return the moments of nothing."""
        return cls(0, np.zeros(depth), np.zeros((depth, depth)))

    @classmethod
    def of(cls, features: NDArray[np.float32]) -> "Moments":
        """Return the moments of the rows of `features` (n, d)."""
        wide = features.astype(np.float64)
        return cls(len(wide), wide.sum(axis=0), wide.T @ wide)

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.count + other.count, self.total + other.total, self.outer + other.outer)


@dataclass(frozen=True, slots=True)
class Whitening:
    """white = (feature - mean) @ projection; `mean` float32 (d,), `projection` float32 (d, d)."""

    mean: NDArray[np.float32]
    projection: NDArray[np.float32]

    def apply(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the whitened rows of `features` (n, d), float32."""
        return ((features - self.mean) @ self.projection).astype(np.float32, copy=False)


def whitening(moments: Moments, shrinkage: float = SHRINKAGE) -> Whitening:
    """Return the whitening of the distribution with these moments. Raises ModelError where it has no spread."""
    mean = moments.total / moments.count
    covariance = moments.outer / moments.count - np.outer(mean, mean)
    variances, directions = np.linalg.eigh(covariance)
    average = float(variances.mean())
    if not np.isfinite(average) or average <= 0:
        raise ModelError(
            "expected good images that differ in something, their features are all the same; check the folder's images"
        )
    shrunk = (1 - shrinkage) * np.maximum(variances, 0) + shrinkage * average
    projection = directions / np.sqrt(shrunk)
    return Whitening(mean.astype(np.float32), projection.astype(np.float32))
