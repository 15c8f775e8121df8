"""Writes the ONNX graphs: features alone for fitting, and the fused graph that an engine runs.

image -> brightness, contrast -> backbone -> pooled taps -> whitening -> distance to the bank -> blur -> heat map, score
|---------------- features graph ---------------------|

Brightness is taken out, since lamps age. A lamp that fails must still reject, so an image far darker or brighter than all
good ones is odd as a whole, whatever its features say (Exposure).
"""

from dataclasses import dataclass

import numpy as np
import onnx

from inspector.errors import ModelError
from inspector.model.backbone import PIXEL_DEVIATION, PIXEL_MEAN, Weights, add_backbone, fold_grey, tap
from inspector.model.bank import Bank
from inspector.model.onnx_nodes import Nodes
from inspector.model.whitening import Whitening

STEP = 32  # sides of the input come in steps of this, so that no grid is cut
# An image is shifted and stretched to what the backbone saw on average, in grey levels (ImageNet: 0.449 and 0.226 of 255).
_TARGET_MEAN, _TARGET_DEVIATION = 114.5, 57.6
# A flat image is not stretched further than this: below it, contrast is sensor noise. Grey levels.
_LEAST_DEVIATION = 4.0
_POOL = 3  # neighbourhood of a patch, in cells of each tap's own grid


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """What features are: the input in pixels, 1 or 3 channels, and the backbone's blocks that are tapped."""

    channels: int
    height: int
    width: int
    taps: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.height % STEP or self.width % STEP or min(self.height, self.width) < STEP:
            raise ModelError(
                f"expected an input in steps of {STEP} pixels, got {self.width} x {self.height}; choose another size"
            )

    @property
    def stride(self) -> int:
        """Pixels of the input for one cell of the feature grid: that of the deepest tap, 16 at most."""
        return min(16, max(tap(block).stride for block in self.taps))

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the feature grid."""
        return self.height // self.stride, self.width // self.stride

    @property
    def depth(self) -> int:
        """Length of one feature vector."""
        return sum(tap(block).channels for block in self.taps)


@dataclass(frozen=True, slots=True)
class Exposure:
    """Mean grey level of the darkest and the brightest good image.

    An image halfway from there to black or to white scores `limit`, by its mean alone; one between them scores nothing.
    """

    darkest: float
    brightest: float
    limit: float


def features_graph(spec: FeatureSpec, weights: Weights) -> onnx.ModelProto:
    """Return a graph with the feature vectors [1, rows * columns, depth] in the place of the heat map.

    It keeps the engine's contract, with the image's mean grey level as `score`, so that fitting reads features from the very
    engine and settings that decide in operation.
    """
    nodes = Nodes()
    rows, columns = spec.grid
    grid, mean = _add_features(nodes, spec, weights)
    flat = _flatten(nodes, grid, spec.depth, rows * columns)
    nodes.add("Unsqueeze", flat, nodes.constant("axes", np.array([0], np.int64)), output="heatmap")
    nodes.add("Reshape", mean, nodes.constant("one", np.array([1], np.int64)), output="score")
    return nodes.model(
        "features", _image_shape(spec), {"score": (1,), "heatmap": (1, rows * columns, spec.depth)}
    )


def fused_graph(
    spec: FeatureSpec, weights: Weights, whitening: Whitening, bank: Bank, exposure: Exposure | None = None
) -> onnx.ModelProto:
    """Return the graph that decides: `image` in, `score` [1] and `heatmap` [1, rows, columns] out."""
    nodes = Nodes()
    rows, columns = spec.grid
    grid, mean = _add_features(nodes, spec, weights)
    kernel = np.ascontiguousarray(whitening.projection.T)[:, :, None, None]
    offset = -whitening.mean @ whitening.projection
    white = nodes.add(
        "Conv",
        grid,
        nodes.constant("projection", kernel),
        nodes.constant("offset", offset),
        kernel_shape=[1, 1],
    )
    patches = _flatten(nodes, white, kernel.shape[0], rows * columns)
    distance = _add_distance(nodes, patches, rows * columns, bank)
    plane = nodes.add("Reshape", distance, nodes.constant("plane", np.array([1, 1, rows, columns], np.int64)))
    odd = _add_blur(nodes, plane)
    if exposure is not None:
        odd = nodes.add("Max", odd, _add_exposure(nodes, mean, exposure))
    nodes.add("Squeeze", odd, nodes.constant("axes", np.array([1], np.int64)), output="heatmap")
    nodes.add("ReduceMax", "heatmap", axes=[1, 2], keepdims=0, output="score")
    return nodes.model("inspector", _image_shape(spec), {"score": (1,), "heatmap": (1, rows, columns)})


def _image_shape(spec: FeatureSpec) -> tuple[int, int, int, int]:
    return (1, spec.height, spec.width, spec.channels)


def _add_features(nodes: Nodes, spec: FeatureSpec, weights: Weights) -> tuple[str, str]:
    """Append everything up to the pooled features [1, depth, rows, columns]; return them and the mean grey level [1, 1, 1, 1]."""
    grey = nodes.add("Transpose", nodes.add("Cast", "image", to=onnx.TensorProto.FLOAT), perm=[0, 3, 1, 2])
    mean = nodes.add("ReduceMean", grey, axes=[1, 2, 3], keepdims=1)
    image = _add_normalisation(nodes, grey, mean)
    used = fold_grey(weights) if spec.channels == 1 else weights
    tapped = add_backbone(nodes, image, used, size=(spec.height, spec.width), taps=spec.taps)
    pooled = [
        _add_pooling(nodes, x, tap(block).stride, spec) for x, block in zip(tapped, spec.taps, strict=True)
    ]
    return (nodes.add("Concat", *pooled, axis=1) if len(pooled) > 1 else pooled[0]), mean


def _add_normalisation(nodes: Nodes, x: str, mean: str) -> str:
    """Bring mean and deviation over all pixels and channels to fixed values, so that lamps may age and colours stay."""
    centred = nodes.add("Sub", x, mean)
    variance = nodes.add("ReduceMean", nodes.add("Mul", centred, centred), axes=[1, 2, 3], keepdims=1)
    floored = nodes.add("Max", variance, nodes.scalar("least_variance", _LEAST_DEVIATION**2))
    scaled = nodes.add("Div", centred, nodes.add("Sqrt", floored))
    stretched = nodes.add("Mul", scaled, nodes.scalar("deviation", _TARGET_DEVIATION / PIXEL_DEVIATION))
    return nodes.add("Add", stretched, nodes.scalar("mean", (_TARGET_MEAN - PIXEL_MEAN) / PIXEL_DEVIATION))


def _add_pooling(nodes: Nodes, x: str, stride: int, spec: FeatureSpec) -> str:
    """Average each cell's neighbourhood, then bring a finer or coarser tap to the common grid."""
    edge = _POOL // 2
    x = nodes.add(
        "AveragePool", x, kernel_shape=[_POOL, _POOL], strides=[1, 1], pads=[edge] * 4, count_include_pad=1
    )
    ratio = spec.stride // stride
    if ratio > 1:
        return nodes.add("AveragePool", x, kernel_shape=[ratio, ratio], strides=[ratio, ratio])
    if stride > spec.stride:
        scales = np.array([1, 1, stride // spec.stride, stride // spec.stride], np.float32)
        return nodes.add(
            "Resize",
            x,
            "",
            nodes.constant("scales", scales),
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )
    return x


def _flatten(nodes: Nodes, grid: str, depth: int, cells: int) -> str:
    flat = nodes.add("Reshape", grid, nodes.constant("flat", np.array([depth, cells], np.int64)))
    return nodes.add("Transpose", flat, perm=[1, 0])


def _add_distance(nodes: Nodes, patches: str, cells: int, bank: Bank) -> str:
    """Append the distance of each patch [cells, d] to the nearest bank entry, in units of that entry's own spacing.

    The squared distance over the squared spacing, (|f|^2 + |b|^2 - 2 f.b) / s^2, is linear in (f, |f|^2, 1): one matrix
    product. The minimum needs no index and no gather, which half precision is known to get wrong.
    """
    weight = (1.0 / np.square(bank.spacing))[:, None]
    norms = np.square(bank.entries).sum(axis=1, keepdims=True)
    factors = np.concatenate([-2.0 * bank.entries * weight, weight, norms * weight], axis=1)
    square = nodes.add(
        "ReduceSum",
        nodes.add("Mul", patches, patches),
        nodes.constant("axes", np.array([1], np.int64)),
        keepdims=1,
    )
    ones = nodes.constant("ones", np.ones((cells, 1), np.float32))
    extended = nodes.add("Concat", patches, square, ones, axis=1)
    squared = nodes.add("MatMul", extended, nodes.constant("bank", factors.T.astype(np.float32)))
    nearest = nodes.add("ReduceMin", squared, axes=[1], keepdims=0)
    # Rounding may leave a tiny negative number where a patch equals its entry, and its root would be NaN.
    return nodes.add("Sqrt", nodes.add("Max", nearest, nodes.scalar("zero", 0.0)))


def _add_exposure(nodes: Nodes, mean: str, exposure: Exposure) -> str:
    """Append the score [1, 1, 1, 1] of the whole image's mean: below 0 within the range of the good images."""
    sides = []
    for name, edge, end in (("dark", exposure.darkest, 0.0), ("bright", exposure.brightest, 255.0)):
        # Where good images are nearly black or white themselves, ten grey levels of room remain.
        room = max(abs(end - edge) / 2, 10.0) * (1 if end > edge else -1)
        beyond = nodes.add("Sub", mean, nodes.scalar(f"{name}_edge", edge))
        sides.append(nodes.add("Mul", beyond, nodes.scalar(f"{name}_slope", exposure.limit / room)))
    return nodes.add("Max", *sides)


def _add_blur(nodes: Nodes, plane: str) -> str:
    """Weigh each cell with its neighbours, 1 2 1 both ways, so that a lone noisy cell does not decide; edges repeat."""
    kernel = np.outer([1, 2, 1], [1, 2, 1]).astype(np.float32)[None, None] / 16
    padded = nodes.add(
        "Pad", plane, nodes.constant("pads", np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64)), mode="edge"
    )
    return nodes.add("Conv", padded, nodes.constant("blur", kernel), kernel_shape=[3, 3])
