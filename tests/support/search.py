"""A bank of any size searched as a large one is: in the engine, or by the reference of ONNX."""

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from inspector.model.bank import Bank
from inspector.model.methods.nearest import add_searched
from inspector.model.onnx_nodes import Nodes


@dataclass(frozen=True)
class Case:
    """A bank, and patches float32 (n, d) to compare with it."""

    bank: Bank
    patches: NDArray[np.float32]

    def graph(self) -> onnx.ModelProto:
        """Return a head graph: `features` [n, d] in, `heatmap` [1, n, 1] the squared distances, `score` [1] the largest of them."""
        nodes = Nodes()
        parts = add_searched(nodes, "features", len(self.patches), self.bank)
        found = nodes.add("Concat", *parts, axis=0) if len(parts) > 1 else parts[0]
        plane = nodes.constant("plane", np.array([1, -1, 1], np.int64))
        nodes.add("Reshape", found, plane, output="heatmap")
        nodes.add("ReduceMax", "heatmap", axes=[1, 2], keepdims=0, output="score")
        outputs: dict[str, tuple[int, ...]] = {"score": (1,), "heatmap": (1, len(self.patches), 1)}
        return nodes.model("search", {"features": self.patches.shape}, outputs)

    def rounding(self) -> NDArray[np.float64]:
        """Return how far float32 may be off for each patch and any entry, (n,): its |f|^2 + |b|^2 - 2 f.b has no more digits."""
        patches = np.square(self.patches, dtype=np.float64).sum(axis=1)[:, None]
        entries = np.square(self.bank.entries, dtype=np.float64).sum(axis=1)
        spacing = np.square(self.bank.spacing, dtype=np.float64)
        return np.asarray(4e-6 * ((patches + entries) / spacing).max(axis=1))
