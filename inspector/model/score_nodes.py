"""The last part of a graph: from the branches' planes to heat map and score.

An image far darker or brighter than all good ones is odd as a whole, whatever its features say, since normalisation hides a lamp
that failed (Exposure).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inspector.model.evidence import Evidence
from inspector.model.evidence_nodes import add_blur, add_defects, add_evidence, add_relative
from inspector.model.feature_nodes import add_resize
from inspector.model.methods.base import Detector, Scale
from inspector.model.onnx_nodes import Nodes
from inspector.model.options import MAXIMUM
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
    """Append heads, blur, and the combination of several branches; return the plane of the distances [1, 1, *spec.grid].

    With evidence for k known defects it is [1, 1 + k, *spec.grid], the distances first. No plane is negative, and 0 is nothing odd.
    Several are combined as the weighted geometric mean of the distances over what is usual on good images: sums of standardised
    logarithms, so that each branch has the same say, turned back into a distance that is about 1 on good parts.
    """
    planes = _add_distances(nodes, spec, detector, features)
    if detector.evidence is not None:
        planes = nodes.add("Concat", planes, add_evidence(nodes, spec, detector.evidence, features), axis=1)
    cells = spec.cells(spec.grid)
    return planes if cells is None else nodes.add("Mul", planes, nodes.constant("cells", cells[None, None]))


def _add_distances(nodes: Nodes, spec: ModelSpec, detector: Detector, features: list[str]) -> str:
    planes = [
        add_blur(nodes, head.add(nodes, x, branch), 1, spec.cells(branch.grid))
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


def add_score(
    nodes: Nodes,
    spec: ModelSpec,
    planes: str,
    features: Sequence[str],
    *,
    grey: str = "",
    exposure: Exposure | None = None,
    evidence: Evidence | None = None,
) -> None:
    """Append the outputs `heatmap` [1, rows, columns], `score` [1], and with evidence `defects` [1, k].

    `grey` is the image's mean [1, 1, 1, 1], for the exposure. Of `features` that are no numbers both are NaN.
    """
    doubt = add_doubt(nodes, features)
    heatmap, score = add_answer(nodes, spec, planes, grey=grey, exposure=exposure, evidence=evidence)
    nodes.add("Add", heatmap, doubt, output="heatmap")
    nodes.add("Add", score, doubt, output="score")


def add_answer(
    nodes: Nodes,
    spec: ModelSpec,
    planes: str,
    *,
    grey: str = "",
    exposure: Exposure | None = None,
    evidence: Evidence | None = None,
) -> tuple[str, str]:
    """Append what one image's planes come to, without the doubt: return the map [1, rows, columns] and the score [1].

    Evidence that is settled is joined by the maximum: a part that is odd is rejected whether or not it looks like a known defect.
    """
    distances, relative = planes, ""
    if evidence is not None:
        distances, known = _add_split(nodes, planes, len(evidence.names))
        add_defects(nodes, evidence, known)
        if evidence.settled is not None:
            relative = add_relative(nodes, evidence.settled, known)
    if exposure is not None:
        distances = nodes.add("Max", distances, add_exposure(nodes, grey, exposure))
    axes = nodes.constant("axes", np.array([1], np.int64))
    odd = nodes.add("Squeeze", distances, axes)
    heatmap, score = odd, add_pooled(nodes, odd, spec.pooling)
    if relative:
        heatmap = nodes.add("Squeeze", nodes.add("Max", distances, relative), axes)
        strongest = add_pooled(nodes, nodes.add("Squeeze", relative, axes), MAXIMUM)
        score = nodes.add("Max", score, strongest)
    return heatmap, score


def add_doubt(nodes: Nodes, features: Sequence[str]) -> str:
    """Append [V], for each image 0, but NaN where a feature of it is not finite.

    A backbone may overflow on what it has never seen. The operator Max then takes its other operand for the NaN, which is the best score
    that a part can get; so what is no number goes round all of that arithmetic.
    """
    total = ""
    for x in features:
        mean = nodes.add("ReduceMean", nodes.add("Abs", x), axes=[1, 2, 3], keepdims=0)
        total = nodes.add("Add", total, mean) if total else mean
    return nodes.add("Sub", total, nodes.add("Abs", total))


def add_pooled(nodes: Nodes, plane: str, pooling: float) -> str:
    """Append the power mean of the map [1, rows, columns], or its maximum; return its name [1].

    The mean is taken of shares of the maximum: no power can overflow.
    """
    if math.isinf(pooling):
        return nodes.add("ReduceMax", plane, axes=[1, 2], keepdims=0)
    top = nodes.add("ReduceMax", plane, axes=[1, 2], keepdims=1)
    top = nodes.add("Max", top, nodes.scalar("least", 1e-6))
    shares = nodes.add("Max", nodes.add("Div", plane, top), nodes.scalar("zero", 0.0))
    powers = nodes.add("Pow", shares, nodes.scalar("exponent", pooling))
    mean = nodes.add("ReduceMean", powers, axes=[1, 2], keepdims=1)
    root = nodes.add("Pow", mean, nodes.scalar("root", 1 / pooling))
    one = nodes.constant("one", np.array([1], np.int64))
    return nodes.add("Reshape", nodes.add("Mul", top, root), one)


def _add_split(nodes: Nodes, planes: str, known: int) -> tuple[str, str]:
    """Append the cut of [1, 1 + known, rows, columns] into the distances and the evidence."""
    zero, one, end = (nodes.constant("channel", np.array([value], np.int64)) for value in (0, 1, 1 + known))
    axis = nodes.constant("axis", np.array([1], np.int64))
    return nodes.add("Slice", planes, zero, one, axis), nodes.add("Slice", planes, one, end, axis)


def _add_standardised(nodes: Nodes, plane: str, scale: Scale) -> str:
    logarithm = nodes.add("Log", nodes.add("Max", plane, nodes.scalar("least", _LEAST_DISTANCE)))
    centred = nodes.add("Sub", logarithm, nodes.scalar("mean", scale.mean))
    return nodes.add("Div", centred, nodes.scalar("deviation", scale.deviation))


def add_exposure(nodes: Nodes, mean: str, exposure: Exposure) -> str:
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
