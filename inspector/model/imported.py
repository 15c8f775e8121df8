"""The method `imported`: any network that maps one image to a score or a map, with a threshold from the user's own good parts.

anomalib's exports among them. What the network saw when it was trained is not known here, so nothing is held out but its threshold.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from inspector.engine.preprocess import Geometry, to_input
from inspector.errors import EngineInputError, ImagesError, ModelError, NetworkError, ScoreError
from inspector.model.defects import DefectImages
from inspector.model.framing import Framing
from inspector.model.images import read_frame
from inspector.model.network import STANDARD, Network, read_network
from inspector.model.onnx_nodes import Nodes
from inspector.model.options import POOLING, FitOptions
from inspector.model.progress import FEATURES, MODEL, Progress, counter
from inspector.model.score_nodes import Exposure, add_exposure
from inspector.model.scoring import compiled
from inspector.model.settling import Shown

# What exporters call them, anomalib's first.
_MAPS = ("anomaly_map", "anomaly_maps", "heatmap", "heat_map", "map")
_SCORES = ("pred_score", "pred_scores", "anomaly_score", "score")
Shapes = Mapping[str, tuple[str, tuple[int, ...]]]  # name -> data type, shape

WARNING = (
    "the network may have been trained on these very images, and then the threshold comes out too low; fit on good images that it has "
    "not seen"
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which outputs are used, "" for none: `map` and its (rows, columns), `score`."""

    map: str
    grid: tuple[int, int]
    score: str

    @property
    def names(self) -> tuple[str, ...]:
        """What is used, at least one."""
        return tuple(name for name in (self.map, self.score) if name)


def choose_outputs(path: Path, shapes: Shapes, wanted: str = "") -> Chosen:
    """Choose by `wanted`, else by the names in use, else what is the only one of its kind. Raises NetworkError."""
    maps = {
        name: _grid(shape) for name, (kind, shape) in shapes.items() if kind == "float32" and _grid(shape)
    }
    scores = [name for name, (kind, shape) in shapes.items() if kind == "float32" and set(shape) <= {1}]
    found = (
        "; ".join(f"{name} {kind} {list(shape)}" for name, (kind, shape) in shapes.items())
        or "none of a fixed size"
    )
    if wanted:
        if wanted not in maps and wanted not in scores:
            raise NetworkError(
                f"{path}: expected the output {wanted!r} to be a map float32 [1, 1, height, width] or one number; found: {found}"
            )
        maps = {name: grid for name, grid in maps.items() if name == wanted}
        scores = [name for name in scores if name == wanted]
    map_name = _pick(path, list(maps), _MAPS)
    score = _pick(path, scores, _SCORES) if wanted or not map_name or set(scores) & set(_SCORES) else ""
    if not map_name and not score:
        raise NetworkError(
            f"{path}: expected an output that is a map float32 [1, 1, height, width] or one number; found: {found}"
        )
    return Chosen(map_name, maps.get(map_name) or (1, 1), score)


def _pick(path: Path, names: list[str], usual: Sequence[str]) -> str:
    for name in usual:
        if name in names:
            return name
    if len(names) > 1:
        raise NetworkError(
            f"{path}: expected one output, found {', '.join(names)} that could all be it; choose one with --output"
        )
    return names[0] if names else ""


def _grid(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Return (rows, columns) of a map for one image: [h, w], [1, h, w] or [1, 1, h, w]."""
    if not 2 <= len(shape) <= 4 or set(shape[:-2]) - {1} or min(shape[-2:]) < 2:
        return None
    return shape[-2], shape[-1]


@dataclass(frozen=True, slots=True)
class ImportedModel:
    """A network with its answers to the good images: `scores` and mean `grey` levels, float64 (n,)."""

    network: Network
    geometry: Geometry
    chosen: Chosen
    scores: NDArray[np.float64]
    grey: NDArray[np.float64]

    def warnings(self, threshold: float) -> tuple[str, ...]:
        """Return what the user should know, whatever the threshold."""
        del threshold
        return (WARNING,)

    def held_out(
        self, paths: Sequence[Path], folds: object, progress: Progress, checkpoint: object = None
    ) -> Shown:
        """Return the scores of the good images: one network for all folds, since none was fitted here."""
        del folds, progress, checkpoint
        return Shown(self.scores - _offset(self.scores), np.empty((len(paths), 0)))

    def met(self, images: DefectImages, progress: Progress) -> "ImportedModel":
        """Refuse: there are no features to know defects by."""
        del images, progress
        raise ModelError(
            "expected no --defects with --method imported, which has no features to know them by; choose another method"
        )

    def settled(self, good: Shown, rate: float) -> "ImportedModel":
        """Return it as it is: it knows no defects."""
        del good, rate
        return self

    def joined(self, good: Shown) -> NDArray[np.float64]:
        """Return the scores of good images."""
        return good.scores

    def known_facts(self, without: float, threshold: float) -> None:
        """Return nothing: it knows no defects."""

    def completed(self, progress: Progress) -> "ImportedModel":
        """Return it as it is: nothing is fitted."""
        del progress
        return self

    def files(self) -> dict[str, bytes]:
        """Return nothing: it has no bank to grow."""
        return {}

    def fused(self, exposure: Exposure, progress: Progress) -> tuple[onnx.ModelProto, int]:
        """Return the graph that decides, and 0: it keeps nothing of the good parts."""
        counter(progress, MODEL, 1)(1)
        return imported_graph(self.network, self.geometry, self.chosen, exposure, _offset(self.scores)), 0

    def facts(self) -> dict[str, object]:
        """Return what the manifest says of it."""
        return {
            "network": {
                "name": self.network.path.name,
                "sha256": self.network.sha256,
                "outputs": self.chosen.names,
            },
            "backbone": None,
            "branches": [],
            "pooling": "max",
        }


def _offset(scores: NDArray[np.float64]) -> float:
    """Move the least score one spread above 0 where it is not: a threshold is above 0, and parts are told by their share of it."""
    least, spread = float(scores.min()), float(np.ptp(scores))
    return 0.0 if least > 0 else least - spread


def fit_imported(
    options: FitOptions, framing: Framing, paths: Sequence[Path], progress: Progress
) -> ImportedModel:
    """Score every good image. Raises NetworkError where the network gives no finite or no differing scores, ModelError for options."""
    if options.network is None:
        raise ModelError(
            "expected --network FILE.onnx beside --method imported, there is none; name the network"
        )
    frame = options.frame
    fitted_here = {
        "--mask": frame.mask,
        "--tiles": frame.tile,
        "--scale": frame.scale,
        "--taps": options.taps or None,
        "--pooling": None if options.pooling == POOLING else options.pooling,
    }
    for name, value in fitted_here.items():
        if value is not None:
            raise ModelError(
                f"expected no {name} with --method imported, which takes the network as it is; leave it out"
            )
    network = read_network(options.network)
    model = score_good(network, _geometry(network, framing.geometry), options.output, paths, progress)
    require_room(network.path, model.scores, options.false_reject_rate)
    return model


def _geometry(network: Network, planned: Geometry) -> Geometry:
    """Return the planned input in the network's own size and colours: frames fill it, as they did where it was trained."""
    return replace(
        planned,
        channels=min(planned.channels, network.input.channels),
        height=network.input.height or planned.height,
        width=network.input.width or planned.width,
        picture=None,
    )


def score_good(
    network: Network, geometry: Geometry, output: str, paths: Sequence[Path], progress: Progress
) -> ImportedModel:
    """Return the network with its answers to the good images; `output` is the one to use, "" finds them. Raises NetworkError."""
    size = geometry.height, geometry.width
    chosen = choose_outputs(network.path, network.shapes(size), output)
    scores, grey = np.empty(len(paths)), np.empty(len(paths))
    advance = counter(progress, FEATURES, len(paths))
    where = "the first"
    try:
        with compiled(imported_graph(network, geometry, chosen), geometry) as engine:
            for index, path in enumerate(paths):
                where = path.name
                prepared = to_input(read_frame(path, geometry.channels), geometry)
                grey[index], scores[index] = prepared.mean(), engine.score_prepared(prepared).value
                advance(1)
    except ScoreError as error:
        raise NetworkError(
            f"{network.path}: expected a finite number for each image, {where} has none ({error}); "
            "export the network before its scores are normalised, or choose another --output"
        ) from error
    except EngineInputError as error:
        raise ImagesError(f"{where}: {error}; or leave the image out") from error
    if np.ptp(scores) == 0:
        raise NetworkError(
            f"{network.path}: expected scores that differ, all good images have {scores[0]:.4g}; choose another --output"
        )
    return ImportedModel(network, geometry, chosen, scores, grey)


def require_room(path: Path, scores: NDArray[np.float64], rate: float) -> None:
    """Raise NetworkError where the threshold would lie at the end of the network's scale: no bad part could score above it.

    Exporters map scores to 0..1 and cut off what is beyond, so that a score of exactly 1 is the end.
    """
    rank = min(len(scores), math.ceil((len(scores) + 1) * (1 - rate) - 1e-9))
    if scores.max() == 1 and np.sort(scores)[rank - 1] == 1:
        raise NetworkError(
            f"{path}: expected scores with room above those of good parts, {int((scores == 1).sum())} good images have 1, where the "
            "network cuts them off; export it before its scores are normalised, or choose another --output"
        )


def imported_graph(
    network: Network,
    geometry: Geometry,
    chosen: Chosen,
    exposure: Exposure | None = None,
    offset: float = 0.0,
) -> onnx.ModelProto:
    """Return the network between our input and our outputs: `image` in, `score` [1] and `heatmap` [1, rows, columns] out.

    Without a score of its own it is the map's maximum, without a map the score is its only cell.
    """
    core = network.at((geometry.height, geometry.width), chosen.names)
    nodes = Nodes(opset=next(entry.version for entry in core.opset_import if entry.domain in STANDARD))
    image, grey = _add_input(nodes, network, geometry)
    values = nodes.splice(core.graph, {network.input.name: image}, chosen.names)
    plane, score = _add_outputs(nodes, chosen, dict(zip(chosen.names, values, strict=True)), offset)
    if exposure is not None:
        odd = add_exposure(nodes, grey, exposure)
        plane = _add_higher(nodes, plane, odd)
        score = _add_higher(nodes, score, nodes.add("Reshape", odd, _shape(nodes, 1)))
    nodes.add("Reshape", plane, _shape(nodes, 1, *chosen.grid), output="heatmap")
    nodes.add("Reshape", score, _shape(nodes, 1), output="score")
    shape = {"image": geometry.input_shape}
    return nodes.model("imported", shape, {"score": (1,), "heatmap": (1, *chosen.grid)})


# Only operators that all sets of operators have alike are used around the network: no reductions, no squeezing.


def _add_input(nodes: Nodes, network: Network, geometry: Geometry) -> tuple[str, str]:
    """Append image uint8 NHWC to the network's own scale, float32 NCHW; return it and the mean grey level [1, 1, 1, 1]."""
    pixels = nodes.add("Cast", "image", to=TensorProto.FLOAT)
    together = _shape(nodes, 1, 1, geometry.height * geometry.width, geometry.channels)
    grey = nodes.add("GlobalAveragePool", nodes.add("Reshape", pixels, together))
    planes = nodes.add("Transpose", pixels, perm=[0, 3, 1, 2])
    mean, deviation = (
        nodes.constant(name, np.array(values, np.float32).reshape(1, -1, 1, 1))
        for name, values in (("mean", network.mean), ("deviation", network.deviation))
    )
    return nodes.add("Div", nodes.add("Sub", planes, mean), deviation), grey


def _add_outputs(nodes: Nodes, chosen: Chosen, values: Mapping[str, str], offset: float) -> tuple[str, str]:
    """Append the map [1, 1, rows, columns] and the score [1], both less the offset."""
    off = nodes.scalar("offset", offset)
    plane = values[chosen.map or chosen.score]
    plane = nodes.add("Sub", nodes.add("Reshape", plane, _shape(nodes, 1, 1, *chosen.grid)), off)
    if not chosen.score:
        return plane, nodes.add("Reshape", nodes.add("GlobalMaxPool", plane), _shape(nodes, 1))
    return plane, nodes.add("Sub", nodes.add("Reshape", values[chosen.score], _shape(nodes, 1)), off)


def _add_higher(nodes: Nodes, answer: str, odd: str) -> str:
    """Append the higher of the network's answer and `odd`, as half of their sum and their distance; no number if the answer is none.

    The operator Max may drop a NaN, and does drop minus infinity: a part that the network could not judge would pass.
    """
    distance = nodes.add("Abs", nodes.add("Sub", answer, odd))
    return nodes.add(
        "Mul", nodes.add("Add", nodes.add("Add", answer, odd), distance), nodes.scalar("half", 0.5)
    )


def _shape(nodes: Nodes, *sides: int) -> str:
    return nodes.constant("shape", np.array(sides, np.int64))
