"""What a product may choose when its model is fitted. Imports nothing heavy: the command line reads its defaults here."""

import math
from dataclasses import dataclass

# name -> (module, class), as in engine/base.py. Imported only when asked for.
METHODS = {
    "nearest": ("inspector.model.methods.nearest", "Nearest"),
    "gaussian": ("inspector.model.methods.gaussian", "Gaussian"),
    "gaussian-position": ("inspector.model.methods.gaussian", "PositionGaussian"),
    "reconstruction": ("inspector.model.methods.reconstruction", "Reconstruction"),
}
# name -> (module, function that returns it)
BACKBONES = {
    "lite0": ("inspector.model.lite", "lite0"),
    "lite2": ("inspector.model.lite", "lite2"),
}
MAXIMUM = math.inf  # the pooling exponent of a plain maximum


@dataclass(frozen=True, slots=True)
class FitOptions:
    """The defaults did best on average over several public sets; scale and taps belong to the product.

    `sizes`: one branch for each; its input has the area of a square of this side. `taps`: the backbone's values that are compared,
    one tuple for all branches or one for each; empty takes the backbone's own. `pooling`: the exponent of the power mean that makes
    a score of the heat map, MAXIMUM for its maximum.
    """

    false_reject_rate: float = 0.01
    bank: int = 3000
    sizes: tuple[int, ...] = (256,)
    taps: tuple[tuple[str, ...], ...] = ()
    seed: int = 0
    method: str = "nearest"
    pooling: float = MAXIMUM
    backbone: str = "lite0"


def pooling_name(pooling: float) -> str | float:
    """Return how a pooling exponent is written: "max", or the number."""
    return "max" if math.isinf(pooling) else pooling
