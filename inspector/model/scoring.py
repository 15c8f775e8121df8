"""Runs graphs that are still in memory through the engine that also decides in operation."""

import os
import queue
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import onnx

from inspector.engine.base import Engine, Score, open_engine
from inspector.engine.openvino import OpenVinoEngine, OpenVinoHead
from inspector.engine.preprocess import Geometry, Views
from inspector.errors import EngineInputError
from inspector.model.images import read_frame, refused

# Requests of one thread each score more images a second than one request of as many threads: 4.7 instead of 5.3 ms an image on two idle
# cores, 4.3 instead of 8 on busy ones, and the very same features. Each holds activations of its own, so that there are not many.
_ENGINES = 4
_WORTH_ONE = 20  # images: for fewer, warming another request up takes longer than it saves
_AHEAD = 2  # images for each engine that are read before they are asked for


@contextmanager
def compiled(model: onnx.ModelProto, geometry: Views) -> Iterator[Engine]:
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
            raise refused(path, error) from error


def score_all(
    model: onnx.ModelProto, geometry: Geometry, paths: Sequence[Path], channels: int
) -> Generator[Score]:
    """Yield the answer of a graph to each image file, in order, as score_files would: on all cores, the files read ahead."""
    cores = len(os.sched_getaffinity(0))
    count = max(1, min(_ENGINES, cores, len(paths) // _WORTH_ONE))
    with ExitStack() as held:
        file = held.enter_context(graph_file(model))
        idle: queue.SimpleQueue[Engine] = queue.SimpleQueue()
        first = OpenVinoEngine(file, geometry, threads=cores, streams=count)
        for engine in (first, *(first.another() for _ in range(count - 1))):
            held.callback(engine.close)
            engine.warm_up()
            idle.put(engine)

        def one(path: Path) -> Score:
            image = read_frame(path, channels)
            engine = idle.get()
            try:
                return engine.score(image)
            except EngineInputError as error:
                raise refused(path, error) from error
            finally:
                idle.put(engine)

        pool = held.enter_context(ThreadPoolExecutor(count + 1, "fit-score"))
        yield from _in_order(pool, one, paths, ahead=_AHEAD * count)


def _in_order(
    pool: ThreadPoolExecutor, one: Callable[[Path], Score], paths: Iterable[Path], *, ahead: int
) -> Iterator[Score]:
    """Yield what `one` returns for each path, some of them begun before they are asked for."""
    waiting: deque[Future[Score]] = deque()
    try:
        for path in paths:
            waiting.append(pool.submit(one, path))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


@contextmanager
def graph_file(model: onnx.ModelProto) -> Iterator[Path]:
    """Yield a file of the graph: engines read nothing else."""
    with tempfile.TemporaryDirectory(prefix="inspector-fit-") as folder:
        path = Path(folder) / "graph.onnx"
        path.write_bytes(model.SerializeToString())
        yield path
