"""What the plan cannot be quicker than: its bytes over the memory's bandwidth, its sums over what a plain product reaches."""

from pathlib import Path

import numpy as np
import onnx


def work_of(graph: Path, *, half: bool) -> dict[str, float]:
    """Return the multiplications of all convolutions and products, and the bytes of weights and of all that is handed on, once each.

    A fused kernel hands less on, so the bytes are those of a plain run; weights alone are the least.
    """
    model = onnx.shape_inference.infer_shapes(onnx.load(str(graph)))
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.value_info, *model.graph.input, *model.graph.output)
    }
    weights = {each.name: list(each.dims) for each in model.graph.initializer}
    size = 2 if half else 4
    products, handed_on = 0.0, 0.0
    for node in model.graph.node:
        out = float(np.prod(shapes.get(node.output[0], [0])))
        handed_on += out * size
        if node.op_type == "Conv":
            products += out * float(np.prod(weights[node.input[1]][1:]))
        elif node.op_type == "MatMul":
            inner = (shapes | weights).get(node.input[0], [0])[-1]
            products += out * float(inner)
    return {
        "gmac": products / 1e9,
        "weights_mb": sum(float(np.prod(dims)) for dims in weights.values()) * size / 1e6,
        "handed_on_mb": handed_on / 1e6,
    }


def bounds(work: dict[str, float], bandwidth_gb_s: float, tflops: float | None) -> dict[str, float | None]:
    """Return the least times in ms: of the weights alone, of all bytes, of the sums (None where no peak is known)."""
    return {
        "weights_ms": work["weights_mb"] / bandwidth_gb_s,
        "bytes_ms": (work["weights_mb"] + work["handed_on_mb"]) / bandwidth_gb_s,
        "sums_ms": None if tflops is None else 2 * work["gmac"] / tflops,
    }
