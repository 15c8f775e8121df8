"""Writes the evidence for known defects into a graph: planes beside that of the distances, blurred like it, and a name at the end."""

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.model.evidence import Evidence, Settled
from inspector.model.feature_nodes import add_resize
from inspector.model.onnx_nodes import Nodes
from inspector.model.spec import ModelSpec

_BLUR = np.outer([1, 2, 1], [1, 2, 1]).astype(np.float32) / 16


def add_evidence(nodes: Nodes, spec: ModelSpec, evidence: Evidence, features: list[str]) -> str:
    """Append the blurred evidence for each class in each place, [1, k, *spec.grid], 0 where there is none, 0 or more elsewhere."""
    total = ""
    for x, branch, kernel, offset in zip(
        features, spec.branches, evidence.kernels, evidence.offsets, strict=True
    ):
        weights = nodes.constant("known", np.ascontiguousarray(kernel.T)[:, :, None, None])
        plane = nodes.add("Conv", x, weights, nodes.constant("known_offset", offset), kernel_shape=[1, 1])
        plane = add_blur(nodes, plane, len(evidence.names), spec.cells(branch.grid))
        plane = add_resize(nodes, plane, branch.grid, spec.grid)
        total = nodes.add("Add", total, plane) if total else plane
    return nodes.add("Relu", total)


def add_blur(nodes: Nodes, planes: str, channels: int, cells: NDArray[np.float32] | None) -> str:
    """Weigh each cell with its neighbours, 1 2 1 both ways, so that a lone noisy cell does not decide; edges repeat.

    `cells` (rows, columns), 1 or 0: those that are not watched come out as 0, and lend nothing to their neighbours.
    """
    if cells is not None:
        # A choice, not a product: OpenVINO takes one with a constant for the end of an int8 layer, and fails to move it past the padding.
        watched = nodes.constant("watched", cells[None, None] > 0)
        planes = nodes.add("Where", watched, planes, nodes.scalar("unwatched", 0.0))
    padded = nodes.add(
        "Pad", planes, nodes.constant("pads", np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64)), mode="edge"
    )
    blur = nodes.constant("blur", np.repeat(_BLUR[None, None], channels, axis=0))
    blurred = nodes.add("Conv", padded, blur, kernel_shape=[3, 3], group=channels)
    if cells is None:
        return blurred
    weights = cv2.filter2D(cells, -1, _BLUR, borderType=cv2.BORDER_REPLICATE)
    rest = (cells / np.maximum(weights, _BLUR.min())).astype(np.float32)
    return nodes.add("Mul", blurred, nodes.constant("rest", rest[None, None]))


def add_defects(nodes: Nodes, evidence: Evidence, planes: str) -> None:
    """Append the output `defects` [1, k]: the confidence in each class, or as long as nothing is settled its highest evidence."""
    if evidence.settled is None:
        nodes.add("ReduceMax", planes, axes=[2, 3], keepdims=0, output="defects")
        return
    settled, known = evidence.settled, len(evidence.names)
    top = nodes.add("ReduceMax", planes, axes=[2, 3], keepdims=0)
    slope = nodes.constant("slope", (settled.slope * evidence.deviation)[None])
    start = nodes.constant("start", (settled.slope * evidence.mean)[None])
    ratios = nodes.add("Add", nodes.add("Mul", top, slope), start)
    none = nodes.constant("none", np.array([[settled.slope * settled.none]], np.float32))
    shares = nodes.add("Softmax", nodes.add("Concat", ratios, none, axis=1), axis=1)
    bounds = (
        nodes.constant(name, np.array([value], np.int64))
        for name, value in (("from", 0), ("to", known), ("axis", 1))
    )
    nodes.add("Slice", shares, *bounds, output="defects")


def add_relative(nodes: Nodes, settled: Settled, planes: str) -> str:
    """Append the evidence in units of the score, the strongest class of each place: [1, 1, rows, columns]."""
    worth = (settled.unit / settled.limits).astype(np.float32)[None, :, None, None]
    return nodes.add(
        "ReduceMax", nodes.add("Mul", planes, nodes.constant("worth", worth)), axes=[1], keepdims=1
    )
