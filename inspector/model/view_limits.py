"""What makes the views of a part comparable, and how odd the part is: by the view that is farthest beyond what is usual there.

A part is rejected where any of its views is, so that a threshold for each view at the stated rate would reject several times as many
parts. The limit of a view therefore only sets the unit in which it is measured; which parts are rejected is settled on the part's
worst view (calibrate.py), as for a part with one place. Simulated parts of 2, 4 and 8 independent views with lognormal scores and a heavier
tail, 300 to fit on and 1 % stated: 1.1, 1.0 and 1.0 % of the next ones are rejected, by a threshold of each view at 1 % 2.1, 4.0 and 7.8 %.
"""

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from inspector.model.batches import Batches
from inspector.model.calibrate import choose_threshold
from inspector.model.folds import Folds

_ONE_DEVIATION = NormalDist().cdf(1.0)  # share of a normal distribution below one deviation above its mean
_LEAST = 1e-6  # a score of 0 has no logarithm


def joined(
    scores: NDArray[np.float64], folds: Folds, batches: Batches, rate: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the limit of each view, float64 (V,), and held-out scores (n, V) over such limits.

    They leave about `rate` of the held-out parts with a view above 1, as choose_threshold promises for the worst view of each.
    """
    relative = over_limits(scores, folds, rate)
    factor = choose_threshold(relative.max(axis=1), rate, batches).value
    return view_limits(scores, rate) * factor, relative / factor


def view_limits(scores: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    """Return the score of each view that about `rate` of its good images exceed, float64 (V,), for held-out scores (n, V).

    That of a lognormal distribution, by the median and the upper half: smooth, where the highest scores of few images are chance.
    """
    logarithms = np.log(np.maximum(scores, _LEAST))
    usual = np.median(logarithms, axis=0)
    spread = np.quantile(logarithms, _ONE_DEVIATION, axis=0) - usual
    return np.asarray(np.exp(usual + NormalDist().inv_cdf(1 - rate) * spread))


def over_limits(scores: NDArray[np.float64], folds: Folds, rate: float) -> NDArray[np.float64]:
    """Return the scores (n, V) over limits that come from other images: of each fold's, from those that its model was fitted on.

    With limits from the same images, the images that set them would look less odd than the next ones will.
    """
    relative = np.empty_like(scores)
    for fold in range(folds.count):
        held_out = folds.fold_of == fold
        relative[held_out] = scores[held_out] / view_limits(scores[folds.fitted_on(fold)], rate)
    return relative
