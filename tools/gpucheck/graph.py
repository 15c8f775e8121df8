"""A graph to check with where no pack is given: Lite0 at 256 x 256 with a random bank, which costs what a fitted one costs."""

from pathlib import Path

import numpy as np

from inspector.engine.preprocess import Geometry
from inspector.model.bank import Bank
from inspector.model.graph import fused_graph
from inspector.model.lite import lite0
from inspector.model.methods.base import Detector
from inspector.model.methods.nearest import NearestHead
from inspector.model.spec import model_spec
from inspector.model.whitening import Moments, whitening

BANK = 3000
SIDE = 256


def random_graph(folder: Path, side: int = SIDE, bank: int = BANK) -> tuple[Path, Geometry]:
    """Write the graph below `folder`, as a pack would have it; return its path and geometry. What it says of a part is of no use."""
    spec = model_spec(lite0(), 1, [(side, side)])
    depth = spec.branches[0].depth
    rng = np.random.default_rng(1)
    white = whitening(Moments.of(rng.normal(size=(1000, depth)).astype(np.float32)))
    entries = Bank(rng.normal(size=(bank, depth)).astype(np.float32), np.full(bank, 2, np.float32))
    path = folder / "random" / "graph.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(fused_graph(spec, Detector((NearestHead(white, entries),))).SerializeToString())
    return path, Geometry(1, side, side)
