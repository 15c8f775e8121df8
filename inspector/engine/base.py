"""What every engine promises, the contract of the graph, and the table of backends.

An engine scores one part at a time and is called from one thread, the engine thread. The graph does everything
from normalisation to score; an engine only fits the frame to the graph's input (preprocess.py), runs it, and refuses
to hand out anything that is not a finite number.

    graph input     image    uint8   [V, H, W, C]   C = 1 or 3 (RGB); V views of the part, mostly 1; every shape static
    graph outputs   score    float32 [1] or []      higher = less like the good parts
                    heatmap  float32 [V, h, w]      the same per place, any resolution
                    views    float32 [V]            the score of each view, only where V > 1
                    defects  float32 [1, k]         confidence in each of k known defects, where the pack knows any; V = 1 only

Where a part has several views (regions of its frame), they go through the graph as one batch, in one execution. Each has a threshold of its
own, which the graph knows: heat map and score of a view come divided by it, and the part's score is that of its worst view. So 1 is the
threshold of the part, and one view that is unlike the good parts rejects it.
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
from inspector.engine.preprocess import Geometry, Views, input_shape_of
from inspector.errors import EngineError, EngineUnavailableError, GraphError, ScoreError
from inspector.part import Deciding, Finding

log = logging.getLogger(__name__)

# name -> (module, class), best first: `auto` takes the first one this machine can run. Imported only when asked for.
BACKENDS = {
    "tensorrt": ("inspector.engine.tensorrt", "TensorRTEngine"),
    "openvino": ("inspector.engine.openvino", "OpenVinoEngine"),
}

TENSOR_NAMES = ("image", "score", "heatmap", "views", "defects")
_VIEWS_AGREE = 1e-3  # relative: what a runtime computes twice may be rounded twice
Signature = Mapping[str, tuple[str, tuple[int, ...]]]  # tensor name -> (NumPy data type name, shape)


@dataclass(frozen=True, slots=True)
class Score:
    """What the graph says of one part: finite `value`, and `heatmap` float32 (h, w), the caller's own copy.

    `cells_to_frame` maps (column, row) of the heat map to (x, y) of the raw frame, through region, scale and pose; both count
    from the corner of the first, so that the centre of the first cell is (0.5, 0.5). `defects` float32 (k,): see the graph's output;
    None where it has none. Of a part with several views this is what decided, the score and the map of its worst `view`; `views` has
    the score of each. Empty where there is one.
    """

    value: float
    heatmap: NDArray[np.float32]
    cells_to_frame: Affine = IDENTITY
    defects: NDArray[np.float32] | None = None
    view: int = 0
    views: tuple["Score", ...] = ()

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
    return Finding(
        score.value,
        relative,
        engine_ms,
        (math.floor(x), math.floor(y)),
        defect,
        confidence,
        view=deciding.views[score.view] if score.view < len(deciding.views) else "",
        views=tuple(each.value / deciding.threshold for each in score.views),
    )


class Engine(Protocol):
    """One compiled graph. All calls come from one thread at a time; `score` and `warm_up` from the engine thread."""

    name: str

    def warm_up(self) -> None:
        """Run until first-run costs are paid. The station is ready only after this returned."""
        ...

    def score(self, image: Samples, pixel_format: str | None = None) -> Score:
        """Score a frame: the bytes that a camera sent as `pixel_format`, or an image of a file; see preprocess.prepare.

        All views are regions of this one frame. Views from several cameras would be one call too, with a frame for each in their order:
        only preparing knows which view is of which frame, and the graph's input does not change.

        Raises EngineInputError for a frame that does not fit, ScoreError where the result is not finite,
        EngineTimeoutError where the device hangs, DeviceLostError where it fails, EngineClosedError after `close`.
        """
        ...

    def score_prepared(self, prepared: NDArray[np.uint8]) -> Score:
        """Score what is the graph's input already, uint8 [V, H, W, C]. Its places are those of the input. Raises as `score`."""
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


def open_engine(kind: str, graph: Path, geometry: Views, *, threads: int = 0) -> Engine:
    """Compile `graph` (ONNX) on the backend `kind`: "openvino", "tensorrt", or "auto" for the best this machine can run.

    `geometry` is that of the part's one view, or of each of several. `threads` limits a CPU backend, 0 leaves it to the backend.
    `auto` passes over a backend that this machine lacks something for (EngineUnavailableError) or that cannot take this graph
    (GraphError), and logs once what was chosen and why. Any other EngineError is a backend that is there and broken: that is
    raised, not hidden by a slower one.
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


def _open(name: str, graph: Path, geometry: Views, threads: int) -> Engine:
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


def check_contract(inputs: Signature, outputs: Signature, geometry: Views, graph: Path) -> None:
    """Raise GraphError unless the graph has exactly the tensors of our contract, for this geometry."""
    shape = input_shape_of(geometry)
    views = shape[0]
    wanted = {"image": ("uint8", shape)}
    if dict(inputs) != wanted:
        raise GraphError(
            f"{graph}: expected the input {_text(wanted)}, found {_text(inputs)}: fit the pack again"
        )
    shapes = {name: shape for name, (dtype, shape) in outputs.items() if dtype == "float32"}
    heatmap, defects = shapes.get("heatmap", ()), shapes.get("defects", (1, 1))
    named = {"score", "heatmap"} | ({"views"} if views > 1 else set())
    fits = (
        set(shapes) == set(outputs)
        and named <= set(shapes) <= named | ({"defects"} if views == 1 else set())
        and shapes["score"] in {(), (1,)}
        and shapes.get("views", (views,)) == (views,)
        and len(heatmap) == 3
        and heatmap[0] == views
        and min(heatmap) > 0
        and len(defects) == 2
        and defects[0] == 1
        and defects[1] > 0
    )
    if not fits:
        also = f"views float32 [{views}]" if views > 1 else "defects float32 [1, k] or none"
        raise GraphError(
            f"{graph}: expected the outputs score float32 [1] and heatmap float32 [{views}, h, w] of fixed size, "
            f"and {also}, found {_text(outputs)}: fit the pack again"
        )


def to_score(
    score: NDArray[np.float32],
    heatmap: NDArray[np.float32],
    geometry: Views | None = None,
    input_to_frame: Sequence[Affine] = (),
    *,
    views: NDArray[np.float32] | None = None,
    defects: NDArray[np.float32] | None = None,
) -> Score:
    """Copy the graph's outputs (see the contract) out of the engine's memory, or raise ScoreError.

    `input_to_frame` is where each view's slice of the input is from; left out, places are those of the input. The heat map is checked as
    well: a maximum on x86 may drop a NaN and leave a score that looks healthy.
    """
    value = float(score.item())
    if not math.isfinite(value):
        raise ScoreError(
            f"the score is {value}, expected a finite number: the frame or the model is outside its range"
        )
    for what, array in (
        ("heat map", heatmap),
        ("score of a view", views),
        ("confidence in a known defect", defects),
    ):
        if array is not None and not np.isfinite(array).all():
            raise ScoreError(f"the {what} is not finite, though the part's score looks like a number")
    places = _places(heatmap.shape, geometry, input_to_frame)
    if views is None:
        confidences = None if defects is None else defects[0].copy()
        return Score(value, heatmap[0].copy(), places[0], confidences)
    each = tuple(map(Score, views.tolist(), heatmap.copy(), places))
    view = int(views.argmax())
    if abs(each[view].value - value) > _VIEWS_AGREE * max(1.0, abs(value)):
        raise ScoreError(
            f"the part's score is {value:g}, expected that of its worst view, {each[view].value:g}: run tools/gpu-check, or fit the pack again"
        )
    return Score(value, each[view].heatmap, places[view], view=view, views=each)


def _places(shape: tuple[int, ...], geometry: Views | None, input_to_frame: Sequence[Affine]) -> list[Affine]:
    """Return the map from cells to the frame for each view, for a heat map of this shape."""
    if geometry is None:
        return [IDENTITY] * shape[0]
    found = (geometry,) if isinstance(geometry, Geometry) else geometry
    cells = shape[2], shape[1]
    return [
        compose(place, stretch(cells, (view.width, view.height)))
        for view, place in zip(found, input_to_frame or [IDENTITY] * len(found), strict=True)
    ]


def one_line(error: BaseException) -> str:
    """Return a vendor's exception as one line of at most 200 characters: their messages span many."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."


def _text(signature: Signature) -> str:
    return ", ".join(f"{name} {dtype} {list(shape)}" for name, (dtype, shape) in signature.items()) or "none"
