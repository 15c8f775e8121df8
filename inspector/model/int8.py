"""A backbone whose convolutions are computed in 8-bit integers, four times the arithmetic of float32 for the same time.

Static quantisation (Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
CVPR 2018): weights in steps of their own for each output channel, activations in 255 steps over the range that they have on good
parts, written as pairs of QuantizeLinear and DequantizeLinear, which a CPU runtime fuses into the convolutions between them. The
image and the first convolution stay in float32 (nothing is gained there), and so do taps, whitening and score: in 8 bits throughout
the graph would answer every part alike.

Written here and not taken from a library: onnxruntime's quantiser is a second runtime beside the engine (its own threads, and
ranges as that one sees them), nncf brings scipy, scikit-learn and pandas; both write the pairs around whole graphs, and know nothing
of a backbone inside a loop over tiles. What we need of them is one rule for one operator.

Only for CPUs: TensorRT takes no pairs with a zero point, and `auto` passes it over for such a graph.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from inspector.model.backbone import Backbone, Pixels, Tap
from inspector.model.feature_nodes import add_input, add_resize
from inspector.model.onnx_nodes import Nodes
from inspector.model.scoring import compiled
from inspector.model.spec import ModelSpec

Range = tuple[float, float]  # least and largest value of a tensor
Ranges = Mapping[str, Range]  # by the tensor's name in the backbone's own graph

# A defect may drive an activation beyond what good parts showed, and would be cut there: so much of the range is left on either side.
_MARGIN = 0.1
_STEPS = 255
# Symmetric, so that no product needs the sum of its activations. Not 127: a CPU without VNNI adds two products in 16 bits, which are full
# at 32,767, and two of 255 * 127 are more; scores were off by .7 there, and are the same to .002 now.
_WEIGHT_LARGEST = 63
_IMAGE = "pixels"


@dataclass(frozen=True, slots=True)
class Int8Backbone:
    """Another backbone, its convolutions in int8 where their input's range is known. See `Backbone` for what the members promise."""

    exact: Backbone
    ranges: Ranges = field(compare=False, repr=False)

    @property
    def name(self) -> str:
        """Of the backbone inside: it is the same network."""
        return self.exact.name

    @property
    def sha256(self) -> str:
        """Of the backbone inside."""
        return self.exact.sha256

    @property
    def pixels(self) -> Pixels:
        """Of the backbone inside."""
        return self.exact.pixels

    @property
    def step(self) -> int:
        """Of the backbone inside."""
        return self.exact.step

    @property
    def default_taps(self) -> tuple[str, ...]:
        """Of the backbone inside."""
        return self.exact.default_taps

    def taps(self, names: Sequence[str], size: tuple[int, int]) -> tuple[Tap, ...]:
        """Describe the taps of the backbone inside."""
        return self.exact.taps(names, size)

    def add(
        self, nodes: Nodes, image: str, *, channels: int, size: tuple[int, int], taps: Sequence[str]
    ) -> list[str]:
        """Append the backbone inside with its convolutions in int8."""
        graph, tapped = _alone(self.exact, channels, size, taps)
        return nodes.splice(_in_pairs(graph, self.ranges), {_IMAGE: image}, tapped)


def quantised(spec: ModelSpec, images: Iterable[NDArray[np.uint8]]) -> ModelSpec:
    """Return the spec with its backbone in int8, by the ranges that these good images (graph inputs, uint8 [1, H, W, C]) have.

    Some dozen suffice: no single value counts. A backbone without convolutions stays as it is.
    """
    seen = _ranges(spec, images)
    return replace(spec, backbone=Int8Backbone(spec.backbone, seen)) if seen else spec


def _ranges(spec: ModelSpec, images: Iterable[NDArray[np.uint8]]) -> Ranges:
    """Return the range of the input of each convolution over all images and branches, with a margin."""
    model, watched, bounds = _watching(spec)
    if not watched:
        return {}
    with compiled(model, spec.geometry) as engine:
        seen = [engine.score_prepared(image).heatmap.reshape(2, -1) for image in images]
    least, largest = np.min(seen, axis=0)[0], np.max(seen, axis=0)[1]
    ranges: dict[str, Range] = {}
    for name, low, high in zip(watched, least.tolist(), largest.tolist(), strict=True):
        margin = _MARGIN * (high - low)
        wide = max(low - margin, bounds[name][0]), min(high + margin, bounds[name][1])
        known = ranges.get(name, (0.0, 0.0))  # with 0, so that the zeros around an image are exact
        ranges[name] = min(known[0], wide[0]), max(known[1], wide[1])
    return ranges


def _watching(spec: ModelSpec) -> tuple[onnx.ModelProto, list[str], dict[str, Range]]:
    """Return a graph with the range of each convolution's input in the place of the heat map, [1, 2, n], whose they are, and their bounds.

    It keeps the engine's contract, as features_graph does. A tensor is there once for each branch.
    """
    nodes = Nodes()
    image, mean = add_input(nodes, spec)
    channels = max(spec.channels, len(spec.backbone.pixels.mean))
    watched: list[str] = []
    inner: list[str] = []
    bounds: dict[str, Range] = {}
    for branch in spec.branches:
        size = branch.height, branch.width
        scaled = add_resize(nodes, image, (spec.height, spec.width), size)
        graph, _ = _alone(spec.backbone, channels, size, [tap.name for tap in branch.taps])
        names = list(dict.fromkeys(node.input[0] for node in _convolutions(graph)))
        inner += nodes.splice(graph, {_IMAGE: scaled}, names)
        watched += names
        bounds |= _bounds(graph)
    one = nodes.constant("one", np.array([1], np.int64))
    ends = [
        nodes.add("Reshape", nodes.add(end, x, keepdims=0), one)
        for end in ("ReduceMin", "ReduceMax")
        for x in inner
    ]
    shape = 1, 2, max(1, len(watched))
    grey = nodes.add("Reshape", mean, one)
    both = nodes.add("Concat", *(ends or [grey, grey]), axis=0)
    nodes.add("Reshape", both, nodes.constant("shape", np.array(shape, np.int64)), output="heatmap")
    nodes.add("Identity", grey, output="score")
    seen = 1, spec.height, spec.width, spec.channels
    return nodes.model("ranges", {"image": seen}, {"score": (1,), "heatmap": shape}), watched, bounds


def _alone(
    backbone: Backbone, channels: int, size: tuple[int, int], taps: Sequence[str]
) -> tuple[onnx.GraphProto, list[str]]:
    """Return the backbone in a graph of its own, and the names of its taps there: the same for every size of image."""
    nodes = Nodes()
    tapped = backbone.add(nodes, _IMAGE, channels=channels, size=size, taps=taps)
    shapes = {
        name: (1, tap.channels, tap.rows, tap.columns)
        for name, tap in zip(tapped, backbone.taps(taps, size), strict=True)
    }
    return nodes.model("backbone", {_IMAGE: (1, channels, *size)}, shapes).graph, tapped


def _convolutions(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the convolutions with constant kernels that do not read the image itself."""
    constants = {constant.name for constant in graph.initializer}
    return [
        node
        for node in graph.node
        if node.op_type == "Conv" and node.input[1] in constants and node.input[0] != _IMAGE
    ]


def _bounds(graph: onnx.GraphProto) -> dict[str, Range]:
    """Return between which values each tensor lies, whatever the image: what Relu and Clip leave."""
    limits = {
        constant.name: float(numpy_helper.to_array(constant))
        for constant in graph.initializer
        if not constant.dims
    }
    bounds: dict[str, Range] = {}
    for node in graph.node:
        low, high = -np.inf, np.inf
        if node.op_type == "Relu":
            low = 0.0
        elif node.op_type == "Clip" and len(node.input) == 3:
            low, high = limits.get(node.input[1], low), limits.get(node.input[2], high)
        bounds |= dict.fromkeys(node.output, (low, high))
    return bounds


def _in_pairs(graph: onnx.GraphProto, ranges: Ranges) -> onnx.GraphProto:
    """Return the graph with a pair around the input and the weights of each convolution whose input's range is known."""
    kernels = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    chosen = {node.output[0] for node in _convolutions(graph) if node.input[0] in ranges}
    pairs = _Pairs()
    for node in graph.node:
        copied = onnx.NodeProto()
        copied.CopyFrom(node)
        if node.output[0] in chosen:
            copied.input[0] = pairs.around(node.input[0], ranges[node.input[0]])
            copied.input[1] = pairs.of_kernel(node.input[1], kernels[node.input[1]])
        pairs.nodes.append(copied)
    used = {name for node in pairs.nodes for name in node.input}
    result = onnx.GraphProto()
    result.CopyFrom(graph)
    del result.node[:], result.initializer[:]
    result.node.extend(pairs.nodes)
    # Without the kernels that are integers now.
    result.initializer.extend(each for each in (*graph.initializer, *pairs.constants) if each.name in used)
    return result


class _Pairs:
    """Writes pairs, one for each tensor and kernel, into `nodes` and `constants`."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._written: set[str] = set()

    def around(self, tensor: str, seen: Range) -> str:
        """Return the name of the tensor rounded to steps of its range, which holds 0."""
        low, high = seen
        rounded, scale = f"{tensor}.rounded", max(high - low, 1e-6) / _STEPS
        if rounded not in self._written:
            step = self._constant(f"{tensor}.step", np.array(scale, np.float32))
            zero = self._constant(f"{tensor}.zero", np.array(round(-low / scale), np.uint8))
            integers = self._add("QuantizeLinear", [tensor, step, zero], f"{tensor}.int8")
            self._add("DequantizeLinear", [integers, step, zero], rounded)
        return rounded

    def of_kernel(self, kernel: str, values: NDArray[np.float32]) -> str:
        """Return the name of the kernel rounded to steps of each output channel's own."""
        rounded = f"{kernel}.rounded"
        if rounded not in self._written:
            largest = np.abs(values).max(axis=tuple(range(1, values.ndim)))
            scale = np.maximum(largest, 1e-12).astype(np.float32) / np.float32(_WEIGHT_LARGEST)
            integers = np.rint(values / scale.reshape(-1, *[1] * (values.ndim - 1))).astype(np.int8)
            stored = [
                self._constant(f"{kernel}.int8", integers),
                self._constant(f"{kernel}.step", scale),
                self._constant(f"{kernel}.zero", np.zeros(len(values), np.int8)),
            ]
            self._add("DequantizeLinear", stored, rounded, axis=0)
        return rounded

    def _constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def _add(self, operation: str, inputs: list[str], output: str, **attributes: int) -> str:
        self.nodes.append(helper.make_node(operation, inputs, [output], name=output, **attributes))
        self._written.add(output)
        return output
