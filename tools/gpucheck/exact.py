"""A graph in float64: what both engines are held to, by ONNX's own evaluator in NumPy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.reference
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

Answers = dict[str, NDArray[np.float64]]  # by the name of the output


def in_float64(graph: Path) -> Callable[[NDArray[np.uint8]], Answers]:
    """Return what computes the graph's outputs of an input in float64: every constant and every step of it. Takes seconds an image."""
    model = onnx.load(graph)
    for attribute in (each for node in model.graph.node for each in node.attribute if each.HasField("g")):
        _widen(attribute.g)
    _widen(model.graph)
    evaluator = onnx.reference.ReferenceEvaluator(model)
    names = [output.name for output in model.graph.output]

    def answers(image: NDArray[np.uint8]) -> Answers:
        found: Any = evaluator.run(names, {"image": image})
        return dict(zip(names, found, strict=True))

    return answers


def _widen(graph: onnx.GraphProto) -> None:
    """Make float64 of all that is float32."""
    del graph.value_info[:]
    resized = {name for node in graph.node if node.op_type == "Resize" for name in node.input[1:]}
    for constant in graph.initializer:
        if (
            constant.data_type == TensorProto.FLOAT and constant.name not in resized
        ):  # these stay by the standard
            constant.CopyFrom(
                numpy_helper.from_array(numpy_helper.to_array(constant).astype(np.float64), constant.name)
            )
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.DOUBLE
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
