"""What features are: which scales of the image go through the backbone, and what is read from it there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.engine.preprocess import Geometry
from inspector.errors import ModelError
from inspector.model.backbone import Backbone, Tap
from inspector.model.masking import Watched, cells_watched
from inspector.model.options import MAXIMUM
from inspector.model.tiling import CELL, Tile

COARSEST = 16  # pixels of a branch's input for one cell of its grid, at most: a deeper tap is interpolated


@dataclass(frozen=True, slots=True)
class Branch:
    """One pass through the backbone at one scale: its input in pixels, and the taps whose values make up a feature vector.

    With a `tile` it goes there piece by piece.
    """

    height: int
    width: int
    taps: tuple[Tap, ...]
    tile: Tile | None = None

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the feature grid: that of the coarsest tap, or one cell for 16 pixels."""
        return (
            max(min(tap.rows for tap in self.taps), math.ceil(self.height / COARSEST)),
            max(min(tap.columns for tap in self.taps), math.ceil(self.width / COARSEST)),
        )

    @property
    def cells(self) -> int:
        """Feature vectors of one image."""
        return self.grid[0] * self.grid[1]

    @property
    def depth(self) -> int:
        """Length of one feature vector."""
        return sum(tap.channels for tap in self.taps)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The graph's input (1 or 3 channels, height, width), its branches, and how the heat map becomes the score.

    A branch smaller than the input gets the normalised image scaled down inside the graph. `framing` says how a frame becomes the
    input, None for the whole frame stretched to it; `watched` bool (height, width), which pixels of the input count, None for all.
    """

    channels: int
    height: int
    width: int
    branches: tuple[Branch, ...]
    backbone: Backbone
    pooling: float = MAXIMUM
    framing: Geometry | None = None
    watched: Watched | None = None

    def __post_init__(self) -> None:
        for branch in self.branches:
            step = self.backbone.step if branch.tile is None else CELL
            if branch.height % step or branch.width % step or min(branch.height, branch.width) < step:
                raise ModelError(
                    f"expected an input in steps of {step} pixels, got {branch.width} x {branch.height}; choose another size"
                )
        if not self.pooling >= 1:
            raise ModelError(
                f"expected a pooling exponent of 1 or more, got {self.pooling}; 'max' is the largest"
            )

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the heat map: the finest branch's."""
        return max((branch.grid for branch in self.branches), key=math.prod)

    @property
    def geometry(self) -> Geometry:
        """How a frame becomes the graph's input."""
        return self.framing or Geometry(channels=self.channels, height=self.height, width=self.width)

    def cells(self, grid: tuple[int, int]) -> NDArray[np.float32] | None:
        """Return 1 for each cell of the grid with something to say, else 0, float32 (rows, columns); None where all have."""
        return None if self.watched is None else cells_watched(self.watched, grid)

    def alone(self, branch: Branch) -> "ModelSpec":
        """Return the spec of one of the branches as if it were the only one."""
        return ModelSpec(
            self.channels,
            branch.height,
            branch.width,
            (branch,),
            self.backbone,
            self.pooling,
            watched=self.watched,
        )


def model_spec(
    backbone: Backbone,
    channels: int,
    sizes: Sequence[tuple[int, int]],
    taps: Sequence[Sequence[str]] = (),
    pooling: float = MAXIMUM,
    *,
    tile: Tile | None = None,
) -> ModelSpec:
    """Return the spec with one branch for each of `sizes` (height, width); the largest is the graph's input, and is tiled.

    `taps`: one sequence of names for all branches or one for each, none for the backbone's default. Raises ModelError.
    """
    named = list(taps) or [backbone.default_taps]
    if len(named) == 1:
        named *= len(sizes)
    if len(named) != len(sizes):
        raise ModelError(
            f"expected the taps of one branch, or of each of {len(sizes)}, got {len(named)}; separate branches by '/'"
        )
    height, width = max(sizes, key=math.prod)
    branches = tuple(
        Branch(*size, backbone.taps(names, size), tile if size == (height, width) else None)
        for size, names in zip(sizes, named, strict=True)
    )
    return ModelSpec(channels, height, width, branches, backbone, pooling)
