"""The method `reconstruction`: a linear autoencoder of the features; a patch is as odd as what the good parts' subspace leaves of it.

The best linear autoencoder is the principal components (Baldi and Hornik 1989), so that nothing is trained. The residual is in units of
its root mean square on good patches.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.errors import ModelError
from inspector.model.methods.planes import add_norm, add_projection
from inspector.model.onnx_nodes import Nodes
from inspector.model.progress import Advance
from inspector.model.spec import Branch
from inspector.model.training import Training

ENERGY = 0.9  # share of the good patches' variance that the subspace reproduces


@dataclass(frozen=True, slots=True)
class ReconstructionHead:
    """`residual` (d, d - kept): the directions that the subspace of `kept` leaves out, scaled; `mean` (d,)."""

    mean: NDArray[np.float32]
    residual: NDArray[np.float32]
    kept: int

    @property
    def size(self) -> int:
        """Directions of the subspace."""
        return self.kept

    def add(self, nodes: Nodes, features: str, branch: Branch) -> str:
        """Append the length of the residual: its coordinates in the directions left out, the same as after going there and back."""
        del branch
        return add_norm(nodes, add_projection(nodes, features, self.mean, self.residual), axis=1, scale=1.0)


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """Keeps as many principal components as reproduce 90 % of the variance, each feature in units of its own deviation."""

    bank: int
    seed: int
    positions: bool = False
    candidates: int = 0  # moments say it all
    steps: int = 1

    def fit(self, training: Training, advance: Advance) -> ReconstructionHead:
        """Find the subspace by the moments."""
        moments = training.moments
        mean = moments.total / moments.count
        covariance = moments.outer / moments.count - np.outer(mean, mean)
        spread = np.sqrt(np.maximum(np.diag(covariance), 0))
        if not np.isfinite(spread).all() or spread.max() <= 0:
            raise ModelError(
                "expected good images that differ in something, their features are all the same; check the folder's images"
            )
        unit = 1 / np.maximum(spread, 0.01 * spread.max())  # a dead feature must not become a loud one
        variances, directions = np.linalg.eigh(unit[:, None] * covariance * unit)
        left_out = int(np.searchsorted(np.cumsum(variances), (1 - ENERGY) * variances.sum())) or 1
        typical = np.sqrt(max(float(variances[:left_out].sum()), 1e-12))
        residual = unit[:, None] * directions[:, :left_out] / typical
        advance(1)
        return ReconstructionHead(
            mean.astype(np.float32), residual.astype(np.float32), len(variances) - left_out
        )
