"""Writes the ONNX graphs: features alone for fitting, the detector alone for cached features, and the fused graph that decides.

image -> brightness, contrast -> backbone at each scale -> pooled taps -> distances -> blur -> heat map -> score
|-------------------- features_graph --------------------||---------------- head_graph ---------------|
|---------------------------------------------- fused_graph ------------------------------------------|

views_graph is as fused_graph: the backbone runs once over all views of a part, and behind it each has a head of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from inspector.engine.base import one_line
from inspector.errors import ModelError
from inspector.model.evidence import Evidence
from inspector.model.evidence_nodes import add_evidence
from inspector.model.feature_nodes import add_branches, add_input
from inspector.model.masking import Watched
from inspector.model.methods.base import Detector
from inspector.model.onnx_nodes import Nodes
from inspector.model.score_nodes import Exposure, add_answer, add_doubt, add_planes, add_score
from inspector.model.spec import ModelSpec


def features_graph(spec: ModelSpec) -> onnx.ModelProto:
    """Return a graph with all feature vectors [1, 1, n] in the place of the heat map: see split_features.

    It keeps the engine's contract, with the image's mean grey level as `score`, so that fitting reads features from the very
    engine and settings that decide in operation.
    """
    nodes = Nodes()
    image, mean = add_input(nodes, spec)
    row = nodes.constant("row", np.array([1, 1, -1], np.int64))
    rows = [
        nodes.add("Reshape", nodes.add("Transpose", grid, perm=[0, 2, 3, 1]), row)
        for grid in add_branches(nodes, spec, image)
    ]
    nodes.add("Concat", *rows, axis=2, output="heatmap")
    nodes.add("Reshape", mean, nodes.constant("one", np.array([1], np.int64)), output="score")
    return nodes.model("features", _image(spec), {"score": (1,), "heatmap": features_shape(spec)})


def fused_graph(spec: ModelSpec, detector: Detector, exposure: Exposure | None = None) -> onnx.ModelProto:
    """Return the graph that decides: `image` in, `score` [1] and `heatmap` [1, rows, columns] out, with evidence also `defects` [1, k]."""
    nodes = Nodes()
    image, mean = add_input(nodes, spec)
    features = add_branches(nodes, spec, image)
    plane = add_planes(nodes, spec, detector, features)
    add_score(nodes, spec, plane, features, grey=mean, exposure=exposure, evidence=detector.evidence)
    return nodes.model("inspector", _image(spec), _outputs(spec, detector))


@dataclass(frozen=True, slots=True)
class ViewHead:
    """What one view of a part is judged by. `limit` is its own threshold, above 0, in units of its detector's score."""

    spec: ModelSpec
    detector: Detector
    limit: float
    exposure: Exposure | None = None


def views_graph(heads: Sequence[ViewHead]) -> onnx.ModelProto:
    """Return the graph that decides by V views: `image` [V, H, W, C] in, `score` [1], `heatmap` [V, rows, columns] and `views` [V] out.

    `views` has each view's score over its limit, `score` the highest of them, `heatmap` each view's map over its limit. The specs of
    the heads differ in what is watched alone. A view whose features are no numbers makes the whole part's score NaN.
    """
    nodes, spec, count = Nodes(), heads[0].spec, len(heads)
    image, means = add_input(nodes, spec, _watched([head.spec for head in heads]))
    features = add_branches(nodes, spec, image)
    doubt = add_doubt(nodes, features)
    axis = nodes.constant("axis", np.array([0], np.int64))
    maps: list[str] = []
    scores: list[str] = []
    for number, head in enumerate(heads):
        bounds = [nodes.constant("view", np.array([end], np.int64)) for end in (number, number + 1)]
        own = [nodes.add("Slice", x, *bounds, axis) for x in features]
        planes = add_planes(nodes, head.spec, head.detector, own)
        grey = nodes.add("Slice", means, *bounds, axis) if head.exposure else ""
        answer = add_answer(nodes, head.spec, planes, grey=grey, exposure=head.exposure)
        limit = nodes.scalar("limit", head.limit)
        for found, value in zip((maps, scores), answer, strict=True):
            found.append(nodes.add("Div", value, limit))
    doubts = nodes.add("Reshape", doubt, nodes.constant("planes", np.array([count, 1, 1], np.int64)))
    nodes.add("Add", nodes.add("Concat", *maps, axis=0), doubts, output="heatmap")
    relative = nodes.add("Concat", *scores, axis=0)
    nodes.add("Add", relative, doubt, output="views")
    # Behind the maximum, which drops what is no number.
    highest = nodes.add("ReduceMax", relative, axes=[0], keepdims=1)
    nodes.add("Add", highest, nodes.add("ReduceSum", doubt, axis, keepdims=1), output="score")
    return nodes.model(
        "views", _image(spec, count), {"score": (1,), "heatmap": (count, *spec.grid), "views": (count,)}
    )


def require_batches(specs: Sequence[ModelSpec]) -> None:
    """Raise ModelError unless the backbone takes all views at once: a foreign one may have been fixed to one image inside."""
    nodes, spec, count = Nodes(), specs[0], len(specs)
    image, _ = add_input(nodes, spec, _watched(specs))
    shapes: dict[str, tuple[int, ...]] = {}
    for branch, grid in zip(spec.branches, add_branches(nodes, spec, image), strict=True):
        shapes[nodes.add("Identity", grid)] = (count, branch.depth, *branch.grid)
    try:
        nodes.model("batch", _image(spec, count), shapes)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(
            f"expected a backbone that takes {count} images at once, {spec.backbone.name} takes one ({one_line(error)}); "
            "export it with a free batch, choose --backbone lite0, or fit a pack for each view"
        ) from error


def _watched(specs: Sequence[ModelSpec]) -> Watched | None:
    """Return what of each view is watched, bool (V, height, width); None for all of all."""
    if all(spec.watched is None for spec in specs):
        return None
    whole = np.ones((specs[0].height, specs[0].width), np.bool_)
    return np.stack([whole if spec.watched is None else spec.watched for spec in specs])


def head_graph(spec: ModelSpec, detector: Detector) -> onnx.ModelProto:
    """Return the second half of the fused graph: `features` float32 [1, 1, n], as features_graph hands them out, in.

    It scores features that were kept, without the backbone; exposure, which is of the image, is not in it.
    """
    nodes = Nodes()
    features = _add_kept(nodes, spec)
    planes = add_planes(nodes, spec, detector, features)
    add_score(nodes, spec, planes, features, evidence=detector.evidence)
    return nodes.model("head", {"features": features_shape(spec)}, _outputs(spec, detector))


def evidence_graph(spec: ModelSpec, evidence: Evidence) -> onnx.ModelProto:
    """Return a head_graph of nothing but evidence: that of all k classes and places, [1, k * rows, columns], in the place of the heat map."""
    nodes = Nodes()
    known = add_evidence(nodes, spec, evidence, _add_kept(nodes, spec))
    rows, columns = spec.grid
    size = 1, len(evidence.names) * rows, columns
    nodes.add("Reshape", known, nodes.constant("size", np.array(size, np.int64)), output="heatmap")
    nodes.add("ReduceMax", "heatmap", axes=[1, 2], keepdims=0, output="score")
    outputs: dict[str, tuple[int, ...]] = {"score": (1,), "heatmap": size}
    return nodes.model("evidence", {"features": features_shape(spec)}, outputs)


def features_shape(spec: ModelSpec) -> tuple[int, int, int]:
    """Return [1, 1, n]: n values of all branches, cells and depths."""
    return 1, 1, sum(branch.cells * branch.depth for branch in spec.branches)


def split_features(spec: ModelSpec, row: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return each branch's feature vectors (cells, depth), as views of what features_graph handed out."""
    ends = np.cumsum([branch.cells * branch.depth for branch in spec.branches])
    parts = np.split(row.reshape(-1), ends[:-1])
    return [
        part.reshape(branch.cells, branch.depth) for part, branch in zip(parts, spec.branches, strict=True)
    ]


def _add_kept(nodes: Nodes, spec: ModelSpec) -> list[str]:
    """Append the cut of the input `features` into each branch's grid [1, depth, rows, columns]."""
    grids, start = [], 0
    for branch in spec.branches:
        end = start + branch.cells * branch.depth
        bounds = (
            nodes.constant(name, np.array([value], np.int64))
            for name, value in (("start", start), ("end", end), ("axis", 2))
        )
        part = nodes.add("Slice", "features", *bounds)
        shape = nodes.constant("grid", np.array([1, *branch.grid, branch.depth], np.int64))
        grids.append(nodes.add("Transpose", nodes.add("Reshape", part, shape), perm=[0, 3, 1, 2]))
        start = end
    return grids


def _outputs(spec: ModelSpec, detector: Detector) -> dict[str, tuple[int, ...]]:
    outputs: dict[str, tuple[int, ...]] = {"score": (1,), "heatmap": (1, *spec.grid)}
    if detector.evidence is not None:
        outputs["defects"] = (1, len(detector.evidence.names))
    return outputs


def _image(spec: ModelSpec, count: int = 1) -> dict[str, tuple[int, ...]]:
    return {"image": (count, spec.height, spec.width, spec.channels)}
