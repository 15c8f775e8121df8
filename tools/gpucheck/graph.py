"""Graphs to check with where no pack is given: Lite0 at 256 x 256 with random banks, which cost what fitted ones cost."""

from pathlib import Path

import numpy as np
import onnx

from inspector.engine.preprocess import Geometry
from inspector.model.bank import Bank
from inspector.model.graph import ViewHead, fused_graph, views_graph
from inspector.model.lite import lite0
from inspector.model.methods.base import Detector
from inspector.model.methods.nearest import NearestHead
from inspector.model.spec import ModelSpec, model_spec
from inspector.model.whitening import Moments, whitening

BANK = 3000
SIDE = 256


def random_graph(folder: Path, side: int = SIDE, bank: int = BANK) -> tuple[Path, Geometry]:
    """Write the graph below `folder`, as a pack would have it; return its path and geometry. What it says of a part is of no use."""
    spec, detector = _random_model(side, bank)
    return _written(folder / "random", fused_graph(spec, detector)), Geometry(1, side, side)


def random_views(
    folder: Path, frame: tuple[int, int], side: int = SIDE, bank: int = BANK
) -> tuple[Path, tuple[Geometry, ...]]:
    """Write a graph of four views, the quarters of a frame of (width, height); return it and their geometries. As `random_graph`."""
    spec, detector = _random_model(side, bank)
    graph = views_graph([ViewHead(spec, detector, limit) for limit in (1.0, 1.1, 1.2, 1.3)])
    width, height = frame[0] // 2, frame[1] // 2
    quarters = [(x, y, width, height) for y in (0, height) for x in (0, width)]
    return _written(folder / "views", graph), tuple(Geometry(1, side, side, roi=each) for each in quarters)


def _random_model(side: int, bank: int) -> tuple[ModelSpec, Detector]:
    spec = model_spec(lite0(), 1, [(side, side)])
    depth = spec.branches[0].depth
    rng = np.random.default_rng(1)
    white = whitening(Moments.of(rng.normal(size=(1000, depth)).astype(np.float32)))
    entries = Bank(rng.normal(size=(bank, depth)).astype(np.float32), np.full(bank, 2, np.float32))
    return spec, Detector((NearestHead(white, entries),))


def _written(folder: Path, graph: onnx.ModelProto) -> Path:
    path = folder / "graph.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(graph.SerializeToString())
    return path
