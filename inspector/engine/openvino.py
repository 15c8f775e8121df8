"""The CPU engine: OpenVINO on the fused graph, tuned for the latency of a single frame.

Three settings matter. Precision: OpenVINO picks bf16 by itself where a CPU has it; measured on two cores with AVX-512 BF16 that was
1.7 to 2 times slower on one kind of CPU and 1.7 times quicker on another, with scores up to 4.5 % of the threshold off. LATENCY gives
all threads to the one request. Pinned threads triple their latency as soon as anything else runs on their core. So they are probed where a
station starts (model/probing.py), and float32 without pinning is what holds until then (settings.py).
"""

import copy
import logging
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import frontend

from inspector.engine.base import TENSOR_NAMES, Score, Signature, check_contract, one_line, to_score
from inspector.engine.decoding import Samples
from inspector.engine.place import Affine
from inspector.engine.preprocess import Views, copy_prepared, input_shape_of, prepare_views, views_of
from inspector.engine.settings import FALLBACK, Settings, read_probed
from inspector.errors import EngineClosedError, EngineError, GraphError

log = logging.getLogger(__name__)

_READER_ERRORS = (
    frontend.GeneralFailure,
    frontend.InitializationFailure,
    frontend.NotImplementedFailure,
    frontend.OpConversionFailure,
    frontend.OpValidationFailure,
)
_WARM_UP_RUNS = 5  # the first run allocates and settles the thread pool; the second is already at speed


class OpenVinoEngine:
    """One compiled graph with one infer request; input and outputs live in arrays that the request shares.

    `settings`: left out, those that were probed for this graph here, else what is known to be safe. `threads` takes the place of theirs
    where it is not 0. Of several `streams`, `another` hands out the others. Raises GraphError for a file that is no usable graph.
    """

    name = "openvino"

    def __init__(
        self,
        graph: Path,
        geometry: Views,
        *,
        threads: int = 0,
        settings: Settings | None = None,
        streams: int = 1,
    ) -> None:
        self._views = views_of(geometry)
        if settings is None:
            probed = read_probed(graph)
            settings = FALLBACK if probed is None else probed.taken
        self.settings = settings.model_copy(update={"threads": threads or settings.threads})
        log.info("engine_settings", extra=self.settings.model_dump())
        self._compiled = _compile(graph, self.settings, streams)
        outputs = _signature(self._compiled.outputs, graph)
        check_contract(_signature(self._compiled.inputs, graph), outputs, self._views, graph)
        self._shapes = {name: shape for name, (_, shape) in outputs.items()}
        self._take_memory()
        # OpenCV's own pool would fight OpenVINO's for the cores and gains nothing at these sizes.
        cv2.setNumThreads(1)

    def another(self) -> "OpenVinoEngine":
        """Return an engine of the same compiled graph with a request of its own, for another thread: `streams` of them run at once."""
        other = copy.copy(self)
        other._take_memory()  # noqa: SLF001 - its own class
        return other

    def _take_memory(self) -> None:
        """Make the request and the arrays that it shares."""
        if self._compiled is None:
            raise EngineClosedError("the engine was closed: open another")
        self._input = np.zeros(input_shape_of(self._views), np.uint8)
        self._outputs = {name: np.zeros(shape, np.float32) for name, shape in self._shapes.items()}
        self._request: Any = self._compiled.create_infer_request()
        for tensor, array in {"image": self._input, **self._outputs}.items():
            self._request.set_tensor(tensor, openvino.Tensor(array, shared_memory=True))

    def warm_up(self) -> None:
        """Run a few times over a pattern: a uniform image has no contrast for a graph to normalise."""
        self._input[...] = (
            np.arange(self._input.size, dtype=np.uint32).astype(np.uint8).reshape(self._input.shape)
        )
        for _ in range(_WARM_UP_RUNS):
            self._run()

    def score(self, image: Samples, pixel_format: str | None = None) -> Score:
        """Score one frame; see Engine.score. Engine thread only: input and outputs are the request's own memory."""
        return self._run(prepare_views(image, self._views, self._input, pixel_format))

    def score_prepared(self, prepared: NDArray[np.uint8]) -> Score:
        """Score what is the graph's input already; see Engine.score_prepared."""
        copy_prepared(prepared, self._input)
        return self._run()

    def close(self) -> None:
        """Drop the request and, with the last of a compiled graph, that and its threads."""
        self._request = self._compiled = None

    def _run(self, input_to_frame: Sequence[Affine] = ()) -> Score:
        if self._request is None:
            raise EngineClosedError("the engine was closed: open another")
        self._outputs["score"].fill(
            np.nan
        )  # a run that writes nothing must not leave the score of the frame before
        try:
            # The plain pair: the wrapper's infer() would build a dictionary of copied outputs that nobody reads.
            self._request.start_async()
            self._request.wait()
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed while scoring: {_reason(error)}") from error
        return to_score(**self._outputs, geometry=self._views, input_to_frame=input_to_frame)


class OpenVinoHead:
    """The same settings for the part of a graph behind the backbone: it scores features that were kept. For fitting only.

    The graph's input is `features` float32, its outputs are those of an engine's graph. Raises GraphError.
    """

    def __init__(self, graph: Path) -> None:
        compiled = _compile(graph, FALLBACK)
        _, self._shape = _signature(compiled.inputs, graph)["features"]
        self._outputs = tuple(_signature(compiled.outputs, graph))
        self._request: Any = compiled.create_infer_request()

    def score(self, features: NDArray[np.float32]) -> Score:
        """Score one image's features, of any shape with as many values. Raises ScoreError where the result is not finite."""
        row = np.ascontiguousarray(features, np.float32).reshape(self._shape)
        self._request.infer({"features": openvino.Tensor(row, shared_memory=True)})
        return to_score(**{name: self._request.get_tensor(name).data for name in self._outputs})


def outputs_of(graph: Path) -> Signature:
    """Return data type and shape, by every name they have, of those outputs of a graph that have a fixed size. Raises GraphError."""
    try:
        ports = _read(graph).outputs
    except (RuntimeError, *_READER_ERRORS) as error:
        raise GraphError(
            f"{graph}: OpenVINO cannot use this graph, fit the pack again: {_reason(error)}"
        ) from error
    return {
        name: (np.dtype(port.get_element_type().to_dtype()).name, tuple(port.get_shape()))
        for port in ports
        if not port.get_partial_shape().is_dynamic
        for name in port.get_names()
    }


@cache
def core() -> Any:
    """Return the one openvino.Core of this process, which lives as long as it does. Any thread.

    One for each graph would be a trap: the CPU plugin gives the thread that loads it an alternate signal stack and unmaps it when the
    last graph of that Core goes, on whatever thread that happens and whichever stack was set later. The thread is left with a stack
    that is no more, and dies of SIGSEGV at its next signal: Ctrl-C, or the SIGTERM of an orderly stop.
    """
    return openvino.Core()


def capabilities() -> list[str]:
    """Return what this CPU computes in, by OpenVINO's names: FP32, INT8, BF16, FP16 ..."""
    return list(core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def _compile(graph: Path, settings: Settings, streams: int = 1) -> Any:
    named: dict[str, object] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": settings.precision,
        "ENABLE_CPU_PINNING": settings.pinned,
    }
    if settings.threads:
        named["INFERENCE_NUM_THREADS"] = settings.threads
    if streams > 1:
        named |= {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": streams}
    try:
        return core().compile_model(_read(graph), "CPU", named)
    except (RuntimeError, *_READER_ERRORS) as error:
        raise GraphError(
            f"{graph}: OpenVINO cannot use this graph, fit the pack again: {_reason(error)}"
        ) from error


def _read(graph: Path) -> Any:
    """Return OpenVINO's model of an ONNX file. Not by Core.read_model: it offers what is no ONNX to the readers of five other formats."""
    reader = frontend.FrontEndManager().load_by_framework("onnx")
    return reader.convert(reader.load(str(graph)))


def _reason(error: BaseException) -> str:
    """Return what an error of OpenVINO says, without the places in its source."""
    text = str(error).rpartition("Summary:\n")[2]
    return one_line(Exception(re.sub(r"Exception from \S+:\d+:|Check '.*?' failed at \S+:\d+:", "", text)))


def _signature(ports: Any, graph: Path) -> Signature:
    """Return the tensors of compiled ports, or raise GraphError where one has no fixed shape."""
    signature = {}
    for port in ports:
        names = port.get_names()  # several where OpenVINO removed a node between two tensors
        name = min(names, key=lambda name: (name not in TENSOR_NAMES, name))
        shape = port.get_partial_shape()
        if shape.is_dynamic:
            raise GraphError(f"{graph}: {name} has no fixed size ({shape}): fit the pack again")
        signature[name] = (np.dtype(port.get_element_type().to_dtype()).name, tuple(port.get_shape()))
    return signature
