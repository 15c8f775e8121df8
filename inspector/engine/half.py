"""Half precision, made in the graph: what of it is computed in float16, as a graph and as an emulation that any CPU runs.

Strongly typed builders compute each layer in the type that the graph says, so precision is the graph's affair. Half is the run
of convolutions from the first one on, as far as nothing but operators follow that are harmless in it; input, normalisation,
pooling, whitening, distance, minimum and score stay float32. A graph in tiles has its convolutions inside a loop and stays as
it is, and so do convolutions that are quantised already.

The emulation rounds in float32 what a GPU would store as float16 (its products are summed in float32 too), since CPU runtimes
compute a half graph in float32 throughout, rounding nothing but the weights, and so would agree with anything.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from inspector.errors import GraphError

RULES = 1  # of this file: a plan that was built by others is built again

_EXACT = {"Clip", "Relu", "MaxPool"}  # hand out nothing but what came in, or a constant
_HARMLESS = {"Conv", "Add", "Mul", "Sigmoid", "HardSigmoid", "HardSwish", "LeakyRelu", *_EXACT}
_LARGEST = float(np.finfo(np.float16).max)
# Veltkamp: c = x (2^13 + 1), c - (c - x) is x rounded to 24 - 13 = 11 bits, those of float16 (Dekker 1971, theorem of section 5).
_SPLIT = float(2**13 + 1)


def to_half(data: bytes) -> bytes | None:
    """Return the ONNX graph `data` with its convolutions in float16, input and outputs as they were; None where none can be.

    Raises GraphError where it is no graph.
    """
    return _rewritten(data, _Halved)


def emulated(data: bytes) -> bytes | None:
    """Return `to_half(data)` as a graph of float32 that gives what it would give; beyond the range of float16, infinity.

    Not emulated: numbers below 6e-5, which float16 holds with fewer bits still. Raises GraphError.
    """
    return _rewritten(data, _Emulated)


def _rewritten(data: bytes, rewriting: "type[_Halved | _Emulated]") -> bytes | None:
    try:
        model = onnx.load_model_from_string(data)
        onnx.checker.check_model(model)
    except (
        Exception
    ) as error:  # the reader of protobuf and the checker have a type of their own for each fault
        raise GraphError(f"this is no ONNX graph ({type(error).__name__}): fit the pack again") from error
    constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    region = _region(model.graph.node, constants)
    used = {name for node in region for name in node.input if name in constants}
    if not region or any(np.abs(constants[name]).max(initial=0) > _LARGEST for name in used):
        return None
    graph = rewriting(model.graph, constants, region).graph()
    made = onnx.ModelProto()
    made.CopyFrom(model)
    made.graph.CopyFrom(graph)
    onnx.checker.check_model(made)
    serialised: bytes = made.SerializeToString()
    return serialised


def _region(
    nodes: Iterable[onnx.NodeProto], constants: dict[str, NDArray[np.generic]]
) -> list[onnx.NodeProto]:
    """Return the nodes to be computed in half: nodes of a graph come in the order of their use, so one pass finds them."""
    region: list[onnx.NodeProto] = []
    halves: set[str] = set()  # tensors that the region computes
    behind: set[str] = set()  # tensors with a convolution before them
    for node in nodes:
        varying = [name for name in node.input if name and name not in constants]
        inside = bool(varying) and all(name in halves for name in varying)
        # One with weights of its own; those of a quantised one come from a DequantizeLinear.
        first = node.op_type == "Conv" and len(varying) == 1 and behind.isdisjoint(varying)
        if first or (inside and node.op_type in _HARMLESS):
            region.append(node)
            halves.update(node.output)
        if node.op_type == "Conv" or not behind.isdisjoint(varying):
            behind.update(node.output)
    return region


@dataclass
class _Rewriting:
    """A graph whose region is computed in another way. `nodes` and `added` grow as the graph is walked."""

    old: onnx.GraphProto
    constants: dict[str, NDArray[np.generic]]
    region: list[onnx.NodeProto]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    added: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    entered: dict[str, str] = field(default_factory=dict)  # tensors from outside -> their twin inside

    def graph(self) -> onnx.GraphProto:
        """Return the graph, without the constants that nothing uses any more."""
        outputs = {name for node in self.region for name in node.output}
        inside = {id(node) for node in self.region}
        left: dict[str, str] = {}  # tensors of the region -> their twin outside
        for node in self.old.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            if id(node) in inside:
                copy.input[:] = [self._enter(name, outputs) for name in node.input]
                self.compute(copy)
            else:
                copy.input[:] = [self._leave(name, left) if name in outputs else name for name in node.input]
                self.nodes.append(copy)
        for output in self.old.output:
            if output.name in outputs:
                raise GraphError(f"the output {output.name} is that of a convolution: fit the pack again")
        graph = onnx.GraphProto()
        graph.CopyFrom(self.old)
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self.nodes)
        used = {name for node in self.nodes for name in node.input} | _captured(self.nodes)
        kept = {name: array for name, array in (self.constants | self.added).items() if name in used}
        graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in kept.items())
        return graph

    def _enter(self, name: str, outputs: set[str]) -> str:
        if not name or name in outputs:
            return name
        if name not in self.entered:
            twin = self.entered[name] = f"{name}/half"
            if name in self.constants:
                self.added[twin] = self.constant(self.constants[name])
            else:
                self.enter(name, twin)
        return self.entered[name]

    def _leave(self, name: str, left: dict[str, str]) -> str:
        if name not in left:
            left[name] = self.leave(name)
        return left[name]

    def compute(self, node: onnx.NodeProto) -> None:
        """Append a node of the region."""
        raise NotImplementedError

    def enter(self, name: str, twin: str) -> None:
        """Append `twin`, a tensor from outside as the region takes it."""
        raise NotImplementedError

    def leave(self, name: str) -> str:
        """Return the name of a tensor of the region as float32."""
        raise NotImplementedError

    def constant(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return a constant as the region takes it."""
        raise NotImplementedError


class _Halved(_Rewriting):
    """Casts at the border, float16 within."""

    def compute(self, node: onnx.NodeProto) -> None:
        self.nodes.append(node)

    def enter(self, name: str, twin: str) -> None:
        self.nodes.append(helper.make_node("Cast", [name], [twin], to=TensorProto.FLOAT16))

    def leave(self, name: str) -> str:
        self.nodes.append(helper.make_node("Cast", [name], [f"{name}/float"], to=TensorProto.FLOAT))
        return f"{name}/float"

    def constant(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        return array.astype(np.float16) if array.dtype == np.float32 else array


class _Emulated(_Rewriting):
    """Float32 throughout, rounded wherever the other graph would hold float16."""

    def compute(self, node: onnx.NodeProto) -> None:
        self.nodes.append(node)
        if node.op_type not in _EXACT:
            [name] = node.output
            node.output[0] = f"{name}/exact"
            self._round(f"{name}/exact", name)

    def enter(self, name: str, twin: str) -> None:
        self._round(name, twin)

    def leave(self, name: str) -> str:
        return name

    def constant(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        return array.astype(np.float16).astype(np.float32) if array.dtype == np.float32 else array

    def _round(self, name: str, rounded: str) -> None:
        """Append `name` rounded to 11 bits; infinity where it is beyond what float16 holds."""
        for constant, value in {"split": _SPLIT, "largest": _LARGEST, "infinity": np.inf}.items():
            self.added[f"half/{constant}"] = np.array(value, np.float32)

        def add(operator: str, *inputs: str, to: str) -> str:
            self.nodes.append(helper.make_node(operator, list(inputs), [to]))
            return to

        product = add("Mul", name, "half/split", to=f"{rounded}/product")
        rest = add("Sub", product, name, to=f"{rounded}/rest")
        short = add("Sub", product, rest, to=f"{rounded}/short")
        size = add("Abs", short, to=f"{rounded}/size")
        beyond = add("Greater", size, "half/largest", to=f"{rounded}/beyond")
        add("Where", beyond, "half/infinity", short, to=rounded)


def _captured(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    """Return the names that the bodies of loops take from the graph around them."""
    names: set[str] = set()
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                body = attribute.g
                names |= {name for inner in body.node for name in inner.input} | _captured(body.node)
                names |= {output.name for output in body.output}
    return names
