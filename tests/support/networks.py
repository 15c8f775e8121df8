"""Small networks as somebody else might export them, written with ONNX' own helpers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
FREE = ("batch", 3, "height", "width")
Shape = Sequence[int | str]


def constant(name: str, value: Any) -> onnx.TensorProto:
    """Return an initializer."""
    return numpy_helper.from_array(np.asarray(value), name)


def write(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    constants: Sequence[onnx.TensorProto],
    outputs: dict[str, Shape],
    *,
    image: Shape = FREE,
    kind: int = FLOAT,
    opset: int = 17,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a network with the input `pixels`."""
    graph = helper.make_graph(
        list(nodes),
        "network",
        [helper.make_tensor_value_info("pixels", kind, list(image))],
        [helper.make_tensor_value_info(name, FLOAT, list(shape)) for name, shape in outputs.items()],
        list(constants),
    )
    domains = sorted({node.domain for node in nodes} - {""})
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    helper.set_model_props(model, metadata or {})
    path.write_bytes(model.SerializeToString())
    return path


def detector(path: Path, *, opset: int = 17, image: Shape = FREE, factor: float = 1.0) -> Path:
    """Write a network whose `anomaly_map` is each place's distance from grey 0.5, and whose `pred_score` is twice its mean.

    As anomalib's exports do, it puts out a label beside them that is no number.
    """
    return write(
        path,
        [
            helper.make_node("Sub", ["pixels", "half"], ["centred"]),
            helper.make_node("Abs", ["centred"], ["distance"]),
            helper.make_node("Conv", ["distance", "mix"], ["mixed"], kernel_shape=[1, 1]),
            helper.make_node("AveragePool", ["mixed"], ["anomaly_map"], kernel_shape=[4, 4], strides=[4, 4]),
            helper.make_node("GlobalAveragePool", ["anomaly_map"], ["mean"]),
            helper.make_node("Mul", ["mean", "two"], ["pred_score"]),
            helper.make_node("Abs", ["centred"], ["unused"]),
        ],
        [
            constant("half", np.float32(0.5)),
            constant("two", np.float32(2)),
            constant("mix", np.full((1, 3, 1, 1), factor / 3, np.float32)),
        ],
        {
            "anomaly_map": ("batch", 1, "rows", "columns"),
            "pred_score": ("batch", 1, 1, 1),
            "unused": FREE,
        },
        image=image,
        opset=opset,
    )


def pyramid(
    path: Path, *, opset: int = 17, image: Shape = FREE, metadata: dict[str, str] | None = None
) -> Path:
    """Write a backbone with the feature maps `fine` (8 channels at stride 4) and `coarse` (12 at 16)."""
    rng = np.random.default_rng(0)
    weights = {
        "first": rng.normal(size=(8, 3, 4, 4)),
        "second": rng.normal(size=(12, 8, 4, 4)),
        "third": rng.normal(size=(64, 12, 1, 1)),
    }
    return write(
        path,
        [
            helper.make_node("Conv", ["pixels", "first"], ["a"], kernel_shape=[4, 4], strides=[4, 4]),
            helper.make_node("Relu", ["a"], ["fine"]),
            helper.make_node("Conv", ["fine", "second"], ["b"], kernel_shape=[4, 4], strides=[4, 4]),
            helper.make_node("Relu", ["b"], ["coarse"]),
            helper.make_node("Conv", ["coarse", "third"], ["deep"], kernel_shape=[1, 1]),
            helper.make_node("GlobalAveragePool", ["deep"], ["pooled"]),
        ],
        [constant(name, value.astype(np.float32)) for name, value in weights.items()],
        {"fine": ("batch", 8, "r4", "c4"), "coarse": ("batch", 12, "r16", "c16")},
        image=image,
        opset=opset,
        metadata=metadata,
    )
