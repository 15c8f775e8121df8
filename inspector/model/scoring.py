"""Runs a graph over image files through the engine that also decides in operation."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx

from inspector.engine.base import Engine, Score, open_engine
from inspector.engine.preprocess import Geometry
from inspector.model.graph import FeatureSpec
from inspector.model.images import read_image


@contextmanager
def compiled(model: onnx.ModelProto, spec: FeatureSpec) -> Iterator[Engine]:
    """Yield a warm CPU engine of a graph that is still in memory. The CPU, since its float32 is the reference of every pack."""
    geometry = Geometry(channels=spec.channels, height=spec.height, width=spec.width)
    with tempfile.TemporaryDirectory(prefix="inspector-fit-") as folder:
        path = Path(folder) / "graph.onnx"
        path.write_bytes(model.SerializeToString())
        engine = open_engine("openvino", path, geometry)
        try:
            engine.warm_up()
            yield engine
        finally:
            engine.close()


def score_files(engine: Engine, paths: Iterable[Path], channels: int) -> Iterator[Score]:
    """Yield the engine's answer to each image file, in order."""
    for path in paths:
        yield engine.score(read_image(path, channels))
