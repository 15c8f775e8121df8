"""A backbone from an ONNX file, as tools/export_backbone writes it: one image in, feature maps by name out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx.version_converter

from inspector.errors import NetworkError
from inspector.model.backbone import Pixels, Tap
from inspector.model.network import STANDARD, Network, read_network
from inspector.model.onnx_nodes import OPSET, Nodes


@dataclass(frozen=True, slots=True)
class OnnxBackbone:
    """A network whose inner values are tapped by name; its outputs are the default taps. See `Backbone`."""

    name: str
    sha256: str
    network: Network = field(compare=False, repr=False)
    step: int = 32

    @property
    def pixels(self) -> Pixels:
        """As the file's metadata declare them."""
        return Pixels(self.network.mean, self.network.deviation)

    @property
    def default_taps(self) -> tuple[str, ...]:
        """Its outputs."""
        return self.network.outputs

    def taps(self, names: Sequence[str], size: tuple[int, int]) -> tuple[Tap, ...]:
        """Describe values that are feature maps for one image of `size`. Raises NetworkError."""
        found = self.network.shapes(size, tuple(names))
        taps = []
        for name in names:
            kind, shape = found.get(name, ("", ()))
            if kind != "float32" or len(shape) != 4 or shape[0] != 1 or min(shape) < 1:
                raise NetworkError(
                    f"{self.network.path}: expected the tap {name!r} to be float32 [1, channels, rows, columns], "
                    f"it is {kind or 'of no fixed size'} {list(shape)}; choose another with --taps"
                )
            taps.append(Tap(name, *shape[1:]))
        return tuple(taps)

    def add(
        self, nodes: Nodes, image: str, *, channels: int, size: tuple[int, int], taps: Sequence[str]
    ) -> list[str]:
        """Append the network as far as the taps need it."""
        del channels  # its normalisation has made as many as the network takes
        model = self.network.at(size, tuple(taps))
        return nodes.splice(model.graph, {self.network.input.name: image}, taps)


def open_onnx_backbone(path: Path) -> OnnxBackbone:
    """Return the backbone in this file, its operators brought to the set that our graphs are written in. Raises NetworkError."""
    network = read_network(path)
    opset = next(entry.version for entry in network.model.opset_import if entry.domain in STANDARD)
    if opset != OPSET:
        try:
            converted = onnx.version_converter.convert_version(network.model, OPSET)
        except Exception as error:  # the converter raises kinds of its own, none of them documented
            raise NetworkError(
                f"{path}: expected operator set {OPSET}, it is {opset} and cannot be converted; export it with opset_version={OPSET}"
            ) from error
        network = Network(path, converted, network.input, network.mean, network.deviation)
    return OnnxBackbone(path.name, network.sha256, network)
