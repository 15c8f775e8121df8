"""Reads a network that somebody else exported as ONNX, and prepares it for becoming a part of our graph.

It is data: only operators of the ONNX standard are taken, and nothing of it is executed but by the engine.
"""

import copy
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx.inliner
from onnx import TensorProto

from inspector.engine.openvino import outputs_of
from inspector.errors import EngineError, NetworkError
from inspector.model.scoring import graph_file

STANDARD = frozenset({"", "ai.onnx"})
_IMAGENET_KEYS = ("mean", "std")


@dataclass(frozen=True, slots=True)
class Input:
    """The network's one input, float32 NCHW: its name, 1 or 3 channels, and its sides where they are fixed."""

    name: str
    channels: int
    height: int | None
    width: int | None


@dataclass(frozen=True, slots=True)
class Network:
    """A checked network. `mean` and `deviation` in grey levels, one for each channel: grey = deviation * x + mean."""

    path: Path
    model: onnx.ModelProto
    input: Input
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @property
    def sha256(self) -> str:
        """Of its file, followed by the files beside it that hold weights, where it has some: exporters put them there."""
        beside = {entry.value for entry in _weights_beside(self.path)}
        digest = hashlib.sha256(self.path.read_bytes())
        for name in sorted(beside):
            digest.update((self.path.parent / name).read_bytes())
        return digest.hexdigest()

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what it puts out."""
        return tuple(output.name for output in self.model.graph.output)

    def at(self, size: tuple[int, int], outputs: tuple[str, ...] = ()) -> onnx.ModelProto:
        """Return the model for batch 1 and an image of `size` (height, width), with these inner values or outputs put out.

        Raises NetworkError for a size that it is not made for, or a name that it does not have.
        """
        for side, fixed in zip(size, (self.input.height, self.input.width), strict=True):
            if fixed not in {None, side}:
                raise NetworkError(
                    f"{self.path}: expected an input of {self.input.width} x {self.input.height} pixels, which the network is fixed to, "
                    f"got {size[1]} x {size[0]}; export it with free sides"
                )
        model = copy.deepcopy(self.model)
        del model.graph.value_info[:]  # they speak of the old size
        dimensions = model.graph.input[0].type.tensor_type.shape.dim
        for dimension, value in zip(dimensions, (1, self.input.channels, *size), strict=True):
            dimension.dim_value = value
        wanted = outputs or self.outputs
        known = {name for node in model.graph.node for name in node.output}
        for name in wanted:
            if name not in known:
                raise NetworkError(
                    f"{self.path}: expected a network with the value {name!r}, there is none; its outputs are {', '.join(self.outputs)}"
                )
        kinds = {output.name: output.type.tensor_type.elem_type for output in self.model.graph.output}
        _prune(model.graph, set(wanted))
        del model.graph.output[:]
        for name in wanted:
            value = onnx.helper.make_empty_tensor_value_info(name)
            value.type.tensor_type.elem_type = kinds.get(name, TensorProto.FLOAT)
            model.graph.output.append(value)
        return model

    def shapes(
        self, size: tuple[int, int], outputs: tuple[str, ...] = ()
    ) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Return data type and shape of each of these values whose shape is fixed by an image of `size`, as the engine sees them."""
        with graph_file(self.at(size, outputs)) as path:
            try:
                found = outputs_of(path)
            except EngineError as error:
                text = str(error).replace(str(path), str(self.path))
                raise NetworkError(
                    text.replace("fit the pack again", "export the network otherwise")
                ) from error
        return {name: found[name] for name in outputs or self.outputs if name in found}


def read_network(path: Path) -> Network:
    """Return the network of an ONNX file. Raises NetworkError."""
    model = _load(path)
    foreign = {node.domain for node in _all_nodes(model.graph)} - STANDARD
    if foreign:
        raise NetworkError(
            f"{path}: expected operators of the ONNX standard only, found some of {', '.join(sorted(foreign))}; export without them"
        )
    given = _input(path, model)
    mean, deviation = _declared(path, model, given.channels)
    return Network(path, model, given, mean, deviation)


def _load(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(path)
        if model.functions:
            model = onnx.inliner.inline_local_functions(model)
        onnx.checker.check_model(model)
    except OSError as error:
        raise NetworkError(f"{path}: expected an ONNX file, {error.strerror}; correct the path") from error
    except Exception as error:
        reason = (" ".join(str(error).split()) or type(error).__name__)[:160]
        raise NetworkError(
            f"{path}: expected an ONNX file, it cannot be read ({reason}); export it again"
        ) from error
    return model


def _weights_beside(path: Path) -> list[onnx.StringStringEntryProto]:
    """Return where the constants lie that are in other files."""
    constants = onnx.load(path, load_external_data=False).graph.initializer
    return [entry for constant in constants for entry in constant.external_data if entry.key == "location"]


def _prune(graph: onnx.GraphProto, wanted: set[str]) -> None:
    """Remove what the wanted values do not need; nodes stand behind those that they use."""
    kept = []
    for node in reversed(graph.node):
        if wanted & set(node.output):
            kept.append(node)
            wanted |= {name for inner in (node, *_inner_nodes(node)) for name in inner.input}
    constants = [constant for constant in graph.initializer if constant.name in wanted]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)


def _inner_nodes(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Return the nodes of the graphs inside a node."""
    graphs = (graph for attribute in node.attribute for graph in (attribute.g, *attribute.graphs))
    return [found for graph in graphs for found in _all_nodes(graph)]


def _all_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the nodes of a graph and of the graphs inside its nodes."""
    return [found for node in graph.node for found in (node, *_inner_nodes(node))]


def _input(path: Path, model: onnx.ModelProto) -> Input:
    constants = {constant.name for constant in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise NetworkError(
            f"{path}: expected one input, the image, found {', '.join(value.name for value in inputs) or 'none'}; export it so"
        )
    kind = inputs[0].type.tensor_type
    sides = [dim.dim_value or None for dim in kind.shape.dim]
    if kind.elem_type != TensorProto.FLOAT or len(sides) != 4:
        raise NetworkError(
            f"{path}: expected an image input float32 [1, 1 or 3, height, width], found {_spelled(inputs[0])}; export it so"
        )
    batch, channels, height, width = sides
    if batch not in {None, 1}:
        raise NetworkError(
            f"{path}: expected a network for one image, it is fixed to a batch of {batch}; export it with batch 1"
        )
    if channels not in {1, 3}:
        raise NetworkError(
            f"{path}: expected an image input of 1 or 3 channels in the second place, found {_spelled(inputs[0])}; export it so"
        )
    del model.graph.input[:]
    model.graph.input.append(inputs[0])
    return Input(inputs[0].name, channels, height, width)


def _spelled(value: onnx.ValueInfoProto) -> str:
    kind = value.type.tensor_type
    dimensions = ", ".join(str(dim.dim_value or dim.dim_param or "?") for dim in kind.shape.dim)
    return f"{TensorProto.DataType.Name(kind.elem_type).lower()} [{dimensions}]"


def _declared(
    path: Path, model: onnx.ModelProto, channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation in grey levels: of the file's metadata `mean` and `std` (of 0..1), else of a plain 0..1."""
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    declared = []
    for key, default in zip(_IMAGENET_KEYS, ("0", "1"), strict=True):
        try:
            values = np.array([float(part) for part in metadata.get(key, default).split(",")])
            values = np.broadcast_to(values, channels)
        except ValueError as error:
            raise NetworkError(
                f"{path}: expected {channels} numbers as in 0.5,0.5,0.5 in the metadata {key!r}, "
                f"found {metadata[key]!r}; export it again"
            ) from error
        declared.append(tuple(float(value) * 255 for value in values))
    mean, deviation = declared
    if not min(deviation) > 0:
        raise NetworkError(
            f"{path}: expected a deviation above 0 in the metadata 'std', found {metadata['std']!r}; export it again"
        )
    return mean, deviation
