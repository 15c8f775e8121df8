"""Runs graphs that are still in memory through the engine that also decides in operation."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx

from inspector.engine.base import Engine, Score, open_engine
from inspector.engine.openvino import OpenVinoHead
from inspector.engine.preprocess import Geometry
from inspector.errors import EngineInputError, ImagesError
from inspector.model.images import read_frame


@contextmanager
def compiled(model: onnx.ModelProto, geometry: Geometry) -> Iterator[Engine]:
    """Yield a warm CPU engine of a graph. The CPU, since its float32 is the reference of every pack."""
    with graph_file(model) as path:
        engine = open_engine("openvino", path, geometry)
        try:
            engine.warm_up()
            yield engine
        finally:
            engine.close()


@contextmanager
def compiled_head(model: onnx.ModelProto) -> Iterator[OpenVinoHead]:
    """Yield the same engine for a head_graph: it scores features instead of images."""
    with graph_file(model) as path:
        yield OpenVinoHead(path)


def score_files(engine: Engine, paths: Iterable[Path], channels: int) -> Iterator[Score]:
    """Yield the engine's answer to each image file, in order. Raises ImagesError that names one that does not fit."""
    for path in paths:
        try:
            yield engine.score(read_frame(path, channels))
        except EngineInputError as error:
            raise ImagesError(f"{path}: {error}; or leave the image out") from error


@contextmanager
def graph_file(model: onnx.ModelProto) -> Iterator[Path]:
    """Yield a file of the graph: engines read nothing else."""
    with tempfile.TemporaryDirectory(prefix="inspector-fit-") as folder:
        path = Path(folder) / "graph.onnx"
        path.write_bytes(model.SerializeToString())
        yield path
