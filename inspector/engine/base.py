"""What every engine promises, the contract of the graph, and the table of backends.

An engine scores one frame at a time and is called from one thread, the engine thread. The graph does everything
from normalisation to score; an engine only fits the frame to the graph's input (preprocess.py), runs it, and refuses
to hand out anything that is not a finite number.

    graph input     image    uint8   [1, H, W, C]   C = 1 or 3 (RGB); every shape static
    graph outputs   score    float32 [1] or []      higher = less like the good parts
                    heatmap  float32 [1, h, w]      the same per place, any resolution
                    defects  float32 [1, k]         confidence in each of k known defects, where the pack knows any
"""

import importlib
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from inspector.engine.decoding import Samples
from inspector.engine.place import IDENTITY, Affine, apply, compose, stretch
from inspector.engine.preprocess import Geometry
from inspector.errors import EngineError, EngineUnavailableError, GraphError, ScoreError
from inspector.part import Deciding, Finding

log = logging.getLogger(__name__)

# name -> (module, class), best first: `auto` takes the first one this machine can run. Imported only when asked for.
BACKENDS = {
    "tensorrt": ("inspector.engine.tensorrt", "TensorRTEngine"),
    "openvino": ("inspector.engine.openvino", "OpenVinoEngine"),
}

TENSOR_NAMES = ("image", "score", "heatmap", "defects")
Signature = Mapping[str, tuple[str, tuple[int, ...]]]  # tensor name -> (NumPy data type name, shape)


@dataclass(frozen=True, slots=True)
class Score:
    """What the graph says of one frame: finite `value`, and `heatmap` float32 (h, w), the caller's own copy.

    `cells_to_frame` maps (column, row) of the heat map to (x, y) of the raw frame, through region, scale and pose; both count
    from the corner of the first, so that the centre of the first cell is (0.5, 0.5). `defects` float32 (k,): see the graph's output;
    None where it has none.
    """

    value: float
    heatmap: NDArray[np.float32]
    cells_to_frame: Affine = IDENTITY
    defects: NDArray[np.float32] | None = None

    def place(self, row: int, column: int) -> tuple[float, float]:
        """Return the centre of a cell in pixels (x, y) of the raw frame; with an alignment it may lie outside."""
        return apply(self.cells_to_frame, column + 0.5, row + 0.5)

    def oddest(self) -> tuple[float, float]:
        """Return the place of the heat map's maximum in pixels (x, y) of the raw frame."""
        row, column = divmod(int(self.heatmap.argmax()), self.heatmap.shape[1])
        return self.place(row, column)

    def named(self, names: Sequence[str]) -> tuple[str, float]:
        """Return the likeliest of the pack's known defects and the confidence in it; "" and NaN where none of them is likelier."""
        if self.defects is None:
            return "", math.nan
        best = int(self.defects.argmax())
        confidence = float(self.defects[best])
        return (names[best], confidence) if confidence >= 1 - float(self.defects.sum()) else ("", math.nan)


def finding_of(score: Score, deciding: Deciding, *, engine_ms: float) -> Finding:
    """Return what the record says of a score. A defect is named only above the threshold. Cheap: the maximum of a small map."""
    relative = score.value / deciding.threshold
    x, y = score.oddest()
    defect, confidence = score.named(deciding.defects) if relative > 1 else ("", math.nan)
    return Finding(score.value, relative, engine_ms, (math.floor(x), math.floor(y)), defect, confidence)


class Engine(Protocol):
    """One compiled graph. All calls come from one thread at a time; `score` and `warm_up` from the engine thread."""

    name: str

    def warm_up(self) -> None:
        """Run until first-run costs are paid. The station is ready only after this returned."""
        ...

    def score(self, image: Samples, pixel_format: str | None = None) -> Score:
        """Score a frame: the bytes that a camera sent as `pixel_format`, or an image of a file; see preprocess.prepare.

        Raises EngineInputError for a frame that does not fit, ScoreError where the result is not finite,
        EngineTimeoutError where the device hangs, DeviceLostError where it fails, EngineClosedError after `close`.
        """
        ...

    def score_prepared(self, prepared: NDArray[np.uint8]) -> Score:
        """Score what is the graph's input already, uint8 [1, H, W, C]. Its places are those of the input. Raises as `score`."""
        ...

    def close(self) -> None:
        """Give back the device. A second call does nothing."""
        ...


@runtime_checkable
class Cooling(Protocol):
    """An engine whose device slows down where nothing comes for a while."""

    def keep_warm(self) -> None:
        """Let it work on nothing in particular. Engine thread; called where no frame came for a tenth of a second. Raises as `score`."""
        ...


def open_engine(kind: str, graph: Path, geometry: Geometry, *, threads: int = 0) -> Engine:
    """Compile `graph` (ONNX) on the backend `kind`: "openvino", "tensorrt", or "auto" for the best this machine can run.

    `threads` limits a CPU backend, 0 leaves it to the backend. `auto` passes over a backend that this machine lacks something for
    (EngineUnavailableError) or that cannot take this graph (GraphError), and logs once what was chosen and why. Any other
    EngineError is a backend that is there and broken: that is raised, not hidden by a slower one.
    """
    if kind != "auto":
        return _open(kind, graph, geometry, threads)
    passed_over: list[str] = []
    failure: EngineError = EngineUnavailableError("no engine is known")
    for name in BACKENDS:
        try:
            engine = _open(name, graph, geometry, threads)
        except (EngineUnavailableError, GraphError) as error:
            passed_over.append(f"{name} not usable: {error}")
            failure = error
            continue
        log.info("engine_chosen", extra={"engine": name, "why": "; ".join([*passed_over, f"{name} chosen"])})
        return engine
    raise failure  # of the last: the one that runs on any machine


def _open(name: str, graph: Path, geometry: Geometry, threads: int) -> Engine:
    if name not in BACKENDS:
        raise EngineError(f"engine is one of auto, {', '.join(sorted(BACKENDS))}, not {name!r}")
    if not graph.is_file():
        raise GraphError(f"no graph file at {graph}: fit the model pack again, or correct its path")
    module, class_name = BACKENDS[name]
    try:
        backend = getattr(importlib.import_module(module), class_name)
    except ImportError as error:
        raise EngineUnavailableError(f"{module} does not load: {one_line(error)}") from error
    engine: Engine = backend(graph, geometry, threads=threads)
    return engine


def check_contract(inputs: Signature, outputs: Signature, geometry: Geometry, graph: Path) -> None:
    """Raise GraphError unless the graph has exactly the tensors of our contract, for this geometry."""
    wanted = {"image": ("uint8", geometry.input_shape)}
    if dict(inputs) != wanted:
        raise GraphError(
            f"{graph}: expected the input {_text(wanted)}, found {_text(inputs)}: fit the pack again"
        )
    shapes = {name: shape for name, (dtype, shape) in outputs.items() if dtype == "float32"}
    heatmap, defects = shapes.get("heatmap", ()), shapes.get("defects", (1, 1))
    fits = (
        set(shapes) == set(outputs)
        and {"score", "heatmap"} <= set(shapes) <= set(TENSOR_NAMES)
        and shapes["score"] in {(), (1,)}
        and len(heatmap) == 3
        and heatmap[0] == 1
        and min(heatmap) > 0
        and len(defects) == 2
        and defects[0] == 1
        and defects[1] > 0
    )
    if not fits:
        raise GraphError(
            f"{graph}: expected the outputs score float32 [1] and heatmap float32 [1, h, w] of fixed size, "
            f"and defects float32 [1, k] or none, found {_text(outputs)}: fit the pack again"
        )


def to_score(
    score: NDArray[np.float32],
    heatmap: NDArray[np.float32],
    geometry: Geometry | None = None,
    input_to_frame: Affine = IDENTITY,
    *,
    defects: NDArray[np.float32] | None = None,
) -> Score:
    """Copy the graph's outputs ([1] or [], [1, h, w], [1, k] or None) out of the engine's memory, or raise ScoreError.

    The heat map is checked as well: a maximum on x86 may drop a NaN and leave a score that looks healthy.
    """
    value = float(score.item())
    if not math.isfinite(value):
        raise ScoreError(
            f"the score is {value}, expected a finite number: the frame or the model is outside its range"
        )
    if not np.isfinite(heatmap).all():
        raise ScoreError(
            "the heat map holds a value that is not finite, though the score looks like a number"
        )
    if defects is not None:
        if not np.isfinite(defects).all():
            raise ScoreError(
                "the confidence in a known defect is not finite, though the score looks like a number"
            )
        defects = defects[0].copy()
    if geometry is None:
        return Score(value, heatmap[0].copy(), defects=defects)
    cells = heatmap.shape[2], heatmap.shape[1]
    place = compose(input_to_frame, stretch(cells, (geometry.width, geometry.height)))
    return Score(value, heatmap[0].copy(), place, defects)


def one_line(error: BaseException) -> str:
    """Return a vendor's exception as one line of at most 200 characters: their messages span many."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."


def _text(signature: Signature) -> str:
    return ", ".join(f"{name} {dtype} {list(shape)}" for name, (dtype, shape) in signature.items()) or "none"
