"""What the plan cannot be quicker than: its bytes over the memory's bandwidth, its sums over what a plain product reaches."""

from pathlib import Path

import numpy as np
import onnx

from inspector.engine.half import to_half


def work_of(graph: Path, *, half: bool) -> dict[str, float]:
    """Return the multiplications of all convolutions and products, and the bytes of weights and of all that is handed on, once each.

    A fused kernel hands less on, so the bytes are those of a plain run; weights alone are the least.
    """
    data = graph.read_bytes()
    model = onnx.shape_inference.infer_shapes(
        onnx.load_model_from_string((to_half(data) if half else None) or data)
    )
    values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    shapes = {each.name: [dim.dim_value for dim in each.type.tensor_type.shape.dim] for each in values}
    widths = {each.name: _bytes_of(each.type.tensor_type.elem_type) for each in values}
    weights = {each.name: list(each.dims) for each in model.graph.initializer}
    products, handed_on = 0.0, 0.0
    for node in model.graph.node:
        out = float(np.prod(shapes.get(node.output[0], [0])))
        handed_on += out * widths.get(node.output[0], 0)
        if node.op_type == "Conv":
            products += out * float(np.prod(weights[node.input[1]][1:]))
        elif node.op_type == "MatMul":
            inner = (shapes | weights).get(node.input[0], [0])[-1]
            products += out * float(inner)
    weights_bytes = sum(
        float(np.prod(each.dims)) * _bytes_of(each.data_type) for each in model.graph.initializer
    )
    return {"gmac": products / 1e9, "weights_mb": weights_bytes / 1e6, "handed_on_mb": handed_on / 1e6}


def _bytes_of(data_type: int) -> int:
    return int(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(data_type)).itemsize)


def bounds(work: dict[str, float], bandwidth_gb_s: float, tflops: float | None) -> dict[str, float | None]:
    """Return the least times in ms: of the weights alone, of all bytes, of the sums (None where no peak is known)."""
    return {
        "weights_ms": work["weights_mb"] / bandwidth_gb_s,
        "bytes_ms": (work["weights_mb"] + work["handed_on_mb"]) / bandwidth_gb_s,
        "sums_ms": None if tflops is None else 2 * work["gmac"] / tflops,
    }
