"""The last part of a graph: from the branches' planes to heat map and score.

An image far darker or brighter than all good ones is odd as a whole, whatever its features say, since normalisation hides a lamp
that failed (Exposure).
"""

import math
from dataclasses import dataclass

import numpy as np

from inspector.model.feature_nodes import add_resize
from inspector.model.methods.base import Detector, Scale
from inspector.model.onnx_nodes import Nodes
from inspector.model.spec import ModelSpec

_LEAST_DISTANCE = 1e-3  # before its logarithm: far below what any good patch has


@dataclass(frozen=True, slots=True)
class Exposure:
    """Mean grey level of the darkest and the brightest good image.

    An image halfway from there to black or to white scores `limit`, by its mean alone; one between them scores nothing.
    """

    darkest: float
    brightest: float
    limit: float


def add_planes(nodes: Nodes, spec: ModelSpec, detector: Detector, features: list[str]) -> str:
    """Append heads, blur, and the combination of several branches; return one plane [1, 1, *spec.grid].

    Several are combined as the weighted geometric mean of the distances over what is usual on good images: sums of standardised
    logarithms, so that each branch has the same say, turned back into a distance that is about 1 on good parts.
    """
    planes = [
        _add_blur(nodes, head.add(nodes, x, branch))
        for head, branch, x in zip(detector.heads, spec.branches, features, strict=True)
    ]
    if not detector.scales:
        return planes[0]
    standard = [
        add_resize(nodes, _add_standardised(nodes, plane, scale), branch.grid, spec.grid)
        for plane, scale, branch in zip(planes, detector.scales, spec.branches, strict=True)
    ]
    total = standard[0]
    for other in standard[1:]:
        total = nodes.add("Add", total, other)
    usual = sum(scale.deviation for scale in detector.scales) / len(planes) ** 2
    return nodes.add("Exp", nodes.add("Mul", total, nodes.scalar("usual", usual)))


def add_score(nodes: Nodes, spec: ModelSpec, plane: str, grey: str, exposure: Exposure | None) -> None:
    """Append the outputs `heatmap` [1, rows, columns] and `score` [1]; `grey` is the image's mean [1, 1, 1, 1], "" without exposure."""
    if exposure is not None:
        plane = nodes.add("Max", plane, _add_exposure(nodes, grey, exposure))
    nodes.add("Squeeze", plane, nodes.constant("axes", np.array([1], np.int64)), output="heatmap")
    add_pooled(nodes, "heatmap", spec.pooling)


def add_pooled(nodes: Nodes, heatmap: str, pooling: float) -> None:
    """Append the output `score` [1]: the power mean of the map [1, rows, columns], or its maximum.

    The mean is taken of shares of the maximum: no power can overflow.
    """
    if math.isinf(pooling):
        nodes.add("ReduceMax", heatmap, axes=[1, 2], keepdims=0, output="score")
        return
    top = nodes.add("ReduceMax", heatmap, axes=[1, 2], keepdims=1)
    top = nodes.add("Max", top, nodes.scalar("least", 1e-6))
    shares = nodes.add("Max", nodes.add("Div", heatmap, top), nodes.scalar("zero", 0.0))
    powers = nodes.add("Pow", shares, nodes.scalar("exponent", pooling))
    mean = nodes.add("ReduceMean", powers, axes=[1, 2], keepdims=1)
    root = nodes.add("Pow", mean, nodes.scalar("root", 1 / pooling))
    nodes.add(
        "Reshape", nodes.add("Mul", top, root), nodes.constant("one", np.array([1], np.int64)), output="score"
    )


def _add_standardised(nodes: Nodes, plane: str, scale: Scale) -> str:
    logarithm = nodes.add("Log", nodes.add("Max", plane, nodes.scalar("least", _LEAST_DISTANCE)))
    centred = nodes.add("Sub", logarithm, nodes.scalar("mean", scale.mean))
    return nodes.add("Div", centred, nodes.scalar("deviation", scale.deviation))


def _add_exposure(nodes: Nodes, mean: str, exposure: Exposure) -> str:
    """Append the score [1, 1, 1, 1] of the whole image's mean: below 0 within the range of the good images."""
    sides = []
    for name, edge, end, sign in (
        ("dark", exposure.darkest, 0.0, -1),
        ("bright", exposure.brightest, 255.0, 1),
    ):
        # Where good images are nearly black or white themselves, ten grey levels of room remain.
        room = sign * max(abs(end - edge) / 2, 10.0)
        beyond = nodes.add("Sub", mean, nodes.scalar(f"{name}_edge", edge))
        sides.append(nodes.add("Mul", beyond, nodes.scalar(f"{name}_slope", exposure.limit / room)))
    return nodes.add("Max", *sides)


def _add_blur(nodes: Nodes, plane: str) -> str:
    """Weigh each cell with its neighbours, 1 2 1 both ways, so that a lone noisy cell does not decide; edges repeat."""
    kernel = np.outer([1, 2, 1], [1, 2, 1]).astype(np.float32)[None, None] / 16
    padded = nodes.add(
        "Pad", plane, nodes.constant("pads", np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64)), mode="edge"
    )
    return nodes.add("Conv", padded, nodes.constant("blur", kernel), kernel_shape=[3, 3])
