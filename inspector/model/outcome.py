"""How well scores tell synthetic defects from good images, and whether one model does it clearly better than another."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.model.synthetic import KINDS


@dataclass(frozen=True, slots=True)
class Outcome:
    """`above` float64 (defects,): the share of the good images that each image with a defect scores above, ties half.

    Its mean over a kind is that kind's AUROC. `kind_of` (defects,) is the number of each one's kind in KINDS.
    """

    above: NDArray[np.float64]
    kind_of: NDArray[np.int64]

    @property
    def worth(self) -> float:
        """The mean AUROC over all kinds, each as often as it occurs: broad defects count more than one local kind (sample.py)."""
        return float(self.above.mean())

    @property
    def by_kind(self) -> dict[str, float]:
        """The AUROC of each kind."""
        return {name: float(self.above[self.kind_of == kind].mean()) for kind, name in enumerate(KINDS)}

    def clearly_above(self, other: "Outcome") -> bool:
        """Whether it is better than another on the same defects by more than two standard errors of their mean difference.

        Of the difference of each defect, so that what is hard for both does not count as doubt.
        """
        difference = self.above - other.above
        error = float(difference.std(ddof=1)) / math.sqrt(len(difference))
        return float(difference.mean()) > 2 * error


def outcome(scores: NDArray[np.float64], kind_of: NDArray[np.int64]) -> Outcome:
    """Return what these scores (n,) tell apart; `kind_of` (n,) is -1 for good images, whose scores may be NaN: not judged.

    All held-out good images are taken together, so that a model that a new batch unsettles is worth less.
    """
    good = np.sort(scores[(kind_of < 0) & ~np.isnan(scores)])
    bad = scores[kind_of >= 0]
    above = (np.searchsorted(good, bad, "left") + np.searchsorted(good, bad, "right")) / (2 * len(good))
    return Outcome(above, kind_of[kind_of >= 0])
