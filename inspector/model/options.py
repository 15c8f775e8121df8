"""What a product may choose when its model is fitted. Imports nothing heavy: the command line reads its defaults here."""

import math
from dataclasses import dataclass
from pathlib import Path

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
FLOAT32, INT8, AUTO = "float32", "int8", "auto"
PRECISIONS = (FLOAT32, AUTO, INT8)
IMPORTED = "imported"  # the method of a network that scores by itself; see imported.py
LEAST_SIZE = 64  # of a --size, in pixels
MAXIMUM = math.inf  # the pooling exponent of a plain maximum
# Near the maximum, yet less at the mercy of one odd cell, which good images have too. Of 16 to 128 chosen on three splits of poly solar cells
# (AUROC +.009 to +.011 over the maximum), two of mono ones (+.002 and +.003) and two banks of magnetic tiles (+.004 and +.005).
POOLING = 48.0


@dataclass(frozen=True, slots=True)
class FrameOptions:
    """How a frame is looked at; see framing.py. Nothing chosen: the whole of it, scaled to the area of `FitOptions.sizes`.

    `roi` is (x, y, width, height) in pixels; `mask` a picture that is black, or polygons of, what is ignored. `scale` is pixels of the
    graph's input for one of the frame, `tile` (side, overlap) in pixels of the input; each takes the place of the sizes. `align` is
    how far a part may lie from the pose of `reference`, in pixels and degrees. `bits` of images of 16, None: found from them.
    `view`: the name that came with the region, where that was a single --view; for messages.
    """

    roi: tuple[int, int, int, int] | None = None
    mask: Path | None = None
    scale: float | None = None
    tile: tuple[int, int] | None = None
    align: tuple[float, float] | None = None
    reference: Path | None = None
    bits: int | None = None
    view: str = ""

    @property
    def region_option(self) -> str:
        """Which argument the region came from, for a message."""
        return f"--view {self.view}" if self.view else "--roi"

    @property
    def fixed(self) -> str:
        """Which of these need frames of one size, for a message; empty where none does."""
        chosen = {
            self.region_option: self.roi,
            "--mask": self.mask,
            "--scale": self.scale,
            "--tiles": self.tile,
            "--align": self.align,
        }
        return ", ".join(name for name, value in chosen.items() if value is not None)


@dataclass(frozen=True, slots=True)
class ViewOptions:
    """One place of a part, unlike the others: its name, and its region as `FrameOptions.roi`. See views.py."""

    name: str
    roi: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class FitOptions:
    """The defaults did best on average over several public sets; scale and taps belong to the product.

    `sizes`: one branch for each; its input has the area of a square of this side. `taps`: the backbone's values that are compared,
    one tuple for all branches or one for each; empty takes the backbone's own. `pooling`: the exponent of the power mean that makes
    a score of the heat map, MAXIMUM for its maximum. `network` and its `output` ("" finds them) are for the method IMPORTED alone. `precision` of the
    backbone: AUTO takes int8 where the decisions stay the same, INT8 nothing else. `views`: the places of a part that are judged each by
    itself, in one execution; none for one place.
    """

    false_reject_rate: float = 0.01
    bank: int = 3000
    sizes: tuple[int, ...] = (256,)
    taps: tuple[tuple[str, ...], ...] = ()
    seed: int = 0
    method: str = "nearest"
    pooling: float = POOLING
    backbone: str = "lite0"
    precision: str = FLOAT32
    network: Path | None = None
    output: str = ""
    frame: FrameOptions = FrameOptions()
    views: tuple[ViewOptions, ...] = ()


def pooling_name(pooling: float) -> str | float:
    """Return how a pooling exponent is written: "max", or the number."""
    return "max" if math.isinf(pooling) else pooling
