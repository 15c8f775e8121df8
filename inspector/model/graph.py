"""Writes the ONNX graphs: features alone for fitting, the detector alone for cached features, and the fused graph that decides.

image -> brightness, contrast -> backbone at each scale -> pooled taps -> distances -> blur -> heat map -> score
|-------------------- features_graph --------------------||---------------- head_graph ---------------|
|---------------------------------------------- fused_graph ------------------------------------------|
"""

import numpy as np
import onnx
from numpy.typing import NDArray

from inspector.model.evidence import Evidence
from inspector.model.evidence_nodes import add_evidence
from inspector.model.feature_nodes import add_branches, add_input
from inspector.model.methods.base import Detector
from inspector.model.onnx_nodes import Nodes
from inspector.model.score_nodes import Exposure, add_planes, add_score
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


def _image(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    return {"image": (1, spec.height, spec.width, spec.channels)}
