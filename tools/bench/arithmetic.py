"""How much arithmetic a graph is, counted from its ONNX, and the matrix products that show what a CPU can do of it."""

import math
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import shape_inference

from inspector.model.onnx_nodes import Nodes

SIDE = 1024  # of the products: 2.1 GFLOP, large enough for the peak and short enough to be run in turn with a graph
_FLOP = 2  # a multiplication and an addition


@dataclass(frozen=True, slots=True)
class Work:
    """Operations of all convolutions and matrix products, in 10^9: those in float32 and those in int8."""

    float32: float
    int8: float

    def ms_at(self, peak: "Work") -> float:
        """Return the milliseconds that it takes at these peaks, in 10^9 operations a second."""
        return 1e3 * (self.float32 / peak.float32 + self.int8 / peak.int8)


def work_of(model: onnx.ModelProto) -> Work:
    """Return the arithmetic of a graph without loops: what is not a convolution or a matrix product is not counted.

    In int8 is what has both operands from integers (DequantizeLinear), as runtimes compute it.
    """
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {
        value.name: [size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.input, *graph.output)
    }
    shapes |= {constant.name: list(constant.dims) for constant in graph.initializer}
    rounded = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    total = {True: 0.0, False: 0.0}
    for node in graph.node:
        if node.op_type in {"Conv", "MatMul"}:
            first, second = shapes[node.input[0]], shapes[node.input[1]]
            depth = math.prod(second[1:]) if node.op_type == "Conv" else first[-1]
            total[rounded.issuperset(node.input[:2])] += _FLOP * depth * math.prod(shapes[node.output[0]])
    return Work(total[False] / 1e9, total[True] / 1e9)


def product(*, int8: bool) -> tuple[onnx.ModelProto, Work]:
    """Return a matrix product in the contract of an engine's graph (image uint8 [1, SIDE, SIDE, 1]), and its arithmetic."""
    nodes = Nodes()
    rng = np.random.default_rng(0)
    size = nodes.constant("size", np.array([SIDE, SIDE], np.int64))
    x = nodes.add("Reshape", nodes.add("Cast", "image", to=onnx.TensorProto.FLOAT), size)
    if int8:
        step, zero = (
            nodes.constant("step", np.array(1, np.float32)),
            nodes.constant("zero", np.array(0, np.uint8)),
        )
        x = nodes.add("DequantizeLinear", nodes.add("QuantizeLinear", x, step, zero), step, zero)
        weights = rng.integers(-127, 128, (SIDE, SIDE)).astype(np.int8)
        steps = nodes.constant("steps", np.full(SIDE, 1e-3, np.float32))
        zeros = nodes.constant("zeros", np.zeros(SIDE, np.int8))
        y = nodes.add("DequantizeLinear", nodes.constant("weights", weights), steps, zeros, axis=1)
    else:
        y = nodes.constant("weights", rng.normal(size=(SIDE, SIDE)).astype(np.float32))
    found = nodes.add("MatMul", x, y)
    # Reduced at once, so that not the writing of the result is measured.
    row = nodes.add("ReduceMax", found, axes=[1], keepdims=0)
    nodes.add("Reshape", row, nodes.constant("map", np.array([1, 1, SIDE], np.int64)), output="heatmap")
    nodes.add("ReduceMax", "heatmap", axes=[1, 2], keepdims=0, output="score")
    model = nodes.model("product", {"image": (1, SIDE, SIDE, 1)}, {"score": (1,), "heatmap": (1, 1, SIDE)})
    return model, work_of(model)
