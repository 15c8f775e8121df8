"""Do two computations of one model agree? The arithmetic that every gate for a lower precision shares.

What counts is the decision, and so scores are compared as shares of the threshold. Where the threshold is calibrated afresh on the
other computation, a factor common to all scores changes no decision; where it is not, `factor` is 1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]

# Relative scores beyond this are rejected by any computation: how far they differ from each other tells nothing.
_FAR = 2.0


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far another computation's relative scores are from the exact ones.

    `worst` difference and `deviation` (root mean square) of images whose exact relative score is at most 2; `flips`, the share of
    images that are decided otherwise; `farthest_flip`, how far from the threshold the exact score of such an image lies at most.
    """

    images: int
    worst: float
    deviation: float
    flips: float
    farthest_flip: float

    @property
    def finite(self) -> bool:
        """Whether every score was a number."""
        return bool(np.isfinite([self.worst, self.deviation]).all())


def agreement(exact: Scores, other: Scores, threshold: float, *, factor: float = 1.0) -> Agreement:
    """Compare two lists of scores of the same images, float64 (n,), at the exact one's threshold; the other's is `factor` times that.

    A score that is no number makes `worst` and `deviation` NaN or infinite.
    """
    relative, found = exact / threshold, other / (threshold * factor)
    difference = np.abs(found - relative)
    near = (relative <= _FAR) | ~np.isfinite(difference)
    flipped = (relative > 1) != (found > 1)
    return Agreement(
        len(exact),
        float(difference[near].max(initial=0)),
        float(np.sqrt(np.square(difference[near]).mean())) if near.any() else 0.0,
        float(flipped.mean()),
        float(np.abs(relative[flipped] - 1).max(initial=0)),
    )


def common_factor(exact: Scores, other: Scores) -> float:
    """Return by what one list of scores is larger than the other on the whole: the median ratio."""
    return float(np.median(other / exact))
