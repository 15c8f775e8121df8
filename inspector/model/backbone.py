"""What every backbone promises, and the table of those that have a name.

A backbone is a pretrained network whose inner values ("taps") serve as features. It is written into our graph as nodes; nothing of
the framework that trained it is needed.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from inspector.errors import ModelError
from inspector.model.onnx_nodes import Nodes
from inspector.model.options import BACKBONES


@dataclass(frozen=True, slots=True)
class Tap:
    """Where features are read, by the backbone's own name, and what comes of it for one size of image: `channels` on a grid."""

    name: str
    channels: int
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class Pixels:
    """What the network was trained with: grey level (0 to 255) = deviation * x + mean, one value for each colour."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]


class Backbone(Protocol):
    """One pretrained network. Immutable; equal where name and hash are."""

    @property
    def name(self) -> str:
        """What the manifest calls it."""
        ...

    @property
    def sha256(self) -> str:
        """Of the file its weights were read from."""
        ...

    @property
    def pixels(self) -> Pixels:
        """The scale of its input."""
        ...

    @property
    def step(self) -> int:
        """Sides of its input come in steps of this, so that no grid is cut."""
        ...

    @property
    def default_taps(self) -> tuple[str, ...]:
        """What is tapped unless a product chooses otherwise."""
        ...

    def taps(self, names: Sequence[str], size: tuple[int, int]) -> tuple[Tap, ...]:
        """Return the named taps for an image of `size` (height, width). Raises ModelError for one that it has not."""
        ...

    def add(
        self, nodes: Nodes, image: str, *, channels: int, size: tuple[int, int], taps: Sequence[str]
    ) -> list[str]:
        """Append the network as far as the taps need it; return the tapped tensors [1, channels, rows, columns], in order.

        `image` is float32 [1, channels, height, width] in the scale of `pixels`. Constants are shared with a second call.
        """
        ...


def open_backbone(name: str) -> Backbone:
    """Return the backbone of this name, or of this ONNX file. Raises ModelError; WeightsError, NetworkError for a file."""
    if name in BACKBONES:
        module, function = BACKBONES[name]
        backbone: Backbone = getattr(importlib.import_module(module), function)()
        return backbone
    if name.endswith(".onnx"):
        from inspector.model.onnx_backbone import open_onnx_backbone

        return open_onnx_backbone(Path(name))
    raise ModelError(
        f"expected a backbone among {', '.join(BACKBONES)}, or an ONNX file, got {name!r}; choose one of those"
    )
