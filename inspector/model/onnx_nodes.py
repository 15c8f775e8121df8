"""A notebook for the nodes of one ONNX graph: write down an operation, get back the name of its result."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

# The oldest set with everything we use; both OpenVINO and TensorRT read it, and reductions still take `axes` as attribute.
OPSET = 17
_IR_VERSION = 8
_GRAPHS = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)


class Nodes:
    """Collects nodes and constants of one graph, with static shapes and batch 1. Not thread-safe."""

    def __init__(self, prefix: str = "", opset: int = OPSET) -> None:
        """`prefix` of all names: those of a loop's body may not be those of the graph around it. `opset` as a foreign network has it."""
        self._prefix, self._opset = prefix, opset
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Store an array under `name` (made unique), or find the equal one stored before; return the name to use."""
        array = np.asarray(value, order="C")
        content = array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).digest()
        if content not in self._known:
            self._known[content] = f"{self._prefix}{name}.{len(self._constants)}"
            self._constants.append(numpy_helper.from_array(array, self._known[content]))
        return self._known[content]

    def scalar(self, name: str, value: float) -> str:
        """Store a float32 of shape [1]."""
        return self.constant(name, np.array([value], np.float32))

    def add(self, operation: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Append one node and return the name of its only output."""
        result = output or f"{self._prefix}{operation.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operation, list(inputs), [result], name=result, **attributes))
        return result

    def loop(self, times: int, body: Callable[["Nodes", str], str], shape: tuple[int, ...]) -> str:
        """Append `times` runs of what `body` writes, one after the other in the memory of one; return [times, *shape] of all results.

        `body` is given its own nodes and the name of the run's number [] (int64), and returns the name of a float32 of `shape`. It
        may use results of the nodes around it, but its constants should be its own: engines keep only those apart from data.
        """
        inner = Nodes(f"{self._prefix}run{len(self._nodes)}.")
        number, going = f"{inner._prefix}number", f"{inner._prefix}going"
        result = body(inner, number)
        on = inner.add("Identity", going)
        graph = helper.make_graph(
            inner._nodes,
            f"{inner._prefix}body",
            [
                helper.make_tensor_value_info(number, TensorProto.INT64, []),
                helper.make_tensor_value_info(going, TensorProto.BOOL, []),
            ],
            [
                helper.make_tensor_value_info(on, TensorProto.BOOL, []),
                helper.make_tensor_value_info(result, TensorProto.FLOAT, shape),
            ],
            inner._constants,
        )
        count = self.constant("times", np.array(times, np.int64))
        return self.add("Loop", count, self.constant("true", np.array(True)), body=graph)

    def splice(self, graph: onnx.GraphProto, inputs: Mapping[str, str], outputs: Sequence[str]) -> list[str]:
        """Append all nodes of a foreign graph, its `inputs` (its name -> ours); return our names of its values `outputs`.

        Its names get a prefix of their own, and constants that are here already are shared, so that it can be spliced twice.
        """
        prefix = f"{self._prefix}spliced{len(self._nodes)}."
        renamed = dict(inputs)
        for constant in graph.initializer:
            renamed[constant.name] = self.constant(constant.name, numpy_helper.to_array(constant))
        self._nodes += [_renamed(node, renamed, prefix) for node in graph.node]
        return [renamed[name] for name in outputs]

    def model(
        self,
        name: str,
        inputs: Mapping[str, tuple[int, ...]],
        outputs: Mapping[str, tuple[int, ...]],
    ) -> onnx.ModelProto:
        """Return the checked model with these static shapes: an input `image` is uint8, everything else float32."""
        graph = helper.make_graph(
            self._nodes,
            name,
            [_value(key, shape) for key, shape in inputs.items()],
            [_value(key, shape) for key, shape in outputs.items()],
            self._constants,
        )
        opsets = [helper.make_opsetid("", self._opset)]
        ir_version = max(_IR_VERSION, helper.find_min_ir_version_for(opsets))
        model = helper.make_model(
            graph, opset_imports=opsets, producer_name="inspector", ir_version=ir_version
        )
        onnx.checker.check_model(model, full_check=True)
        return model


def _renamed(node: onnx.NodeProto, names: dict[str, str], prefix: str) -> onnx.NodeProto:
    """Return a copy with its values renamed by `names`, to which its own results are added; "" is no value."""
    copied = onnx.NodeProto()
    copied.CopyFrom(node)
    names |= {name: prefix + name for name in node.output if name}
    copied.name = prefix + node.name
    copied.input[:] = [names[name] if name else "" for name in node.input]
    copied.output[:] = [names[name] if name else "" for name in node.output]
    for attribute in copied.attribute:
        for inner in (attribute.g, *attribute.graphs) if attribute.type in _GRAPHS else ():
            _rename_within(inner, dict(names), prefix)
    return copied


def _rename_within(graph: onnx.GraphProto, names: dict[str, str], prefix: str) -> None:
    """Rename the values of a graph inside a node: its own, and those it uses of the graph around it."""
    for value in (*graph.input, *graph.initializer):
        names[value.name] = prefix + value.name
        value.name = names[value.name]
    nodes = [_renamed(node, names, prefix) for node in graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    for output in graph.output:
        output.name = names[output.name]


def _value(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(
        name, TensorProto.UINT8 if name == "image" else TensorProto.FLOAT, shape
    )
