"""The methods `gaussian` and `gaussian-position`: good patches are one normal distribution, for the whole part or for each place on it.

Distances are Mahalanobis' (1936), over the root of the dimensions: about 1 on good patches.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.errors import ModelError
from inspector.model.methods.planes import add_norm, add_projection, flatten, to_plane
from inspector.model.onnx_nodes import Nodes
from inspector.model.positions import Positions
from inspector.model.progress import Advance
from inspector.model.spec import Branch
from inspector.model.training import Training
from inspector.model.whitening import Whitening, whitening

_NEIGHBOURHOOD = 1  # cells around a place whose patches count for its covariance: parts never sit quite still
_LEAST_SHRINKAGE = 0.05


@dataclass(frozen=True, slots=True)
class GaussianHead:
    """One normal distribution: the whitening that makes it round."""

    whitening: Whitening

    @property
    def size(self) -> int:
        """Directions of the distribution."""
        return int(self.whitening.projection.shape[1])

    def add(self, nodes: Nodes, features: str, branch: Branch) -> str:
        """Append the length of each whitened patch."""
        del branch
        white = add_projection(nodes, features, self.whitening.mean, self.whitening.projection)
        return add_norm(nodes, white, axis=1, scale=self.size**0.5)


@dataclass(frozen=True, slots=True)
class Gaussian:
    """One distribution for all places."""

    bank: int
    seed: int
    positions: bool = False
    candidates: int = 0  # moments say it all
    steps: int = 1

    def fit(self, training: Training, advance: Advance) -> GaussianHead:
        """Whiten by the moments."""
        head = GaussianHead(whitening(training.moments))
        advance(1)
        return head


@dataclass(frozen=True, slots=True)
class PositionHead:
    """A normal distribution for each cell, in `positions.basis` (d, k): `mean` (cells, k), `whitening` (cells, k, k)."""

    basis: NDArray[np.float32]
    mean: NDArray[np.float32]
    whitening: NDArray[np.float32]

    @property
    def size(self) -> int:
        """Directions of each distribution."""
        return int(self.basis.shape[1])

    def add(self, nodes: Nodes, features: str, branch: Branch) -> str:
        """Append projection, and each cell's own centring and whitening as one batched product."""
        depth, dimensions = self.basis.shape
        low = add_projection(nodes, features, np.zeros(depth, np.float32), self.basis)
        patches = flatten(nodes, low, dimensions, branch.cells)
        centred = nodes.add("Sub", patches, nodes.constant("means", self.mean))
        rows = nodes.add(
            "Reshape", centred, nodes.constant("rows", np.array([branch.cells, 1, dimensions], np.int64))
        )
        white = nodes.add("MatMul", rows, nodes.constant("whitening", self.whitening))
        return to_plane(nodes, add_norm(nodes, white, axis=2, scale=dimensions**0.5), branch)


@dataclass(frozen=True, slots=True)
class PositionGaussian:
    """A distribution for each cell of the grid (Defard et al., "PaDiM", ICPR 2021), for parts that sit still.

    In few dimensions by a random orthogonal basis (Kim et al., "Semi-orthogonal embedding", 2021), with each covariance shrunk towards
    the mean of all: some dozen images say little about one cell.
    """

    bank: int
    seed: int
    positions: bool = True
    candidates: int = 0  # moments say it all
    steps: int = 1

    def fit(self, training: Training, advance: Advance) -> PositionHead:
        """Turn each cell's moments into mean and whitening."""
        positions = training.positions
        if positions is None or positions.moments.count < 2:
            raise ModelError("expected at least 2 good images for a distribution of each place; add images")
        head = _position_head(positions, training.branch)
        advance(1)
        return head


def _position_head(positions: Positions, branch: Branch) -> PositionHead:
    mean, covariance = positions.moments.mean_and_covariance()
    near = _neighbourhood(covariance, branch)
    common = near.mean(axis=0)
    dimensions = common.shape[0]
    shrinkage = max(_LEAST_SHRINKAGE, dimensions / (dimensions + positions.moments.count))
    # A floor under every direction, for cells and directions in which good parts never differ.
    floor = max(0.01 * float(np.trace(common)) / dimensions, 1e-12)
    shrunk = (1 - shrinkage) * near + shrinkage * common + floor * np.eye(dimensions)
    variances, directions = np.linalg.eigh(shrunk)
    whitening = directions / np.sqrt(np.maximum(variances, floor))[:, None, :]
    centre = mean + positions.moments.centre
    return PositionHead(positions.basis, centre.astype(np.float32), whitening.astype(np.float32))


def _neighbourhood(covariance: NDArray[np.float64], branch: Branch) -> NDArray[np.float64]:
    """Average each cell's covariance (cells, k, k) with its neighbours'."""
    rows, columns = branch.grid
    plane = covariance.reshape(rows, columns, *covariance.shape[1:])
    total, count = np.zeros_like(plane), np.zeros((rows, columns, 1, 1))
    around = range(-_NEIGHBOURHOOD, _NEIGHBOURHOOD + 1)
    for down in around:
        for across in around:
            here = _part(rows, down), _part(columns, across)
            there = _part(rows, -down), _part(columns, -across)
            total[here] += plane[there]
            count[here] += 1
    average: NDArray[np.float64] = (total / count).reshape(covariance.shape)
    return average


def _part(size: int, shift: int) -> slice:
    return slice(max(0, -shift), size - max(0, shift))
