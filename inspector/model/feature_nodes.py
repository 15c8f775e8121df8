"""The first half of a graph: from the image to the feature grid of each branch. Several views of a part go through it at once.

Brightness and contrast are taken out of each image, since lamps age.
"""

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from inspector.model.backbone import Pixels
from inspector.model.masking import Watched
from inspector.model.onnx_nodes import Nodes
from inspector.model.spec import Branch, ModelSpec
from inspector.model.tiling import Tile, sources

# An image is shifted and stretched to what the backbone saw on average, in grey levels (ImageNet: 0.449 and 0.226 of 255).
_TARGET_MEAN, _TARGET_DEVIATION = 114.5, 57.6
# A flat image is not stretched further than this: below it, contrast is sensor noise. Grey levels.
_LEAST_DEVIATION = 4.0
_POOL = 3  # neighbourhood of a patch, in cells of each tap's own grid


def add_input(nodes: Nodes, spec: ModelSpec, watched: Watched | None = None) -> tuple[str, str]:
    """Append images uint8 NHWC to normalised float32 NCHW; return them and each one's mean grey level [V, 1, 1, 1].

    Pixels that are not watched become 0 before anything is computed of them, and are 0 in the result. `watched` bool (V, height,
    width) is each view's own; left out, the spec's is that of the one image.
    """
    if watched is None:
        watched = spec.watched
    grey = nodes.add("Transpose", nodes.add("Cast", "image", to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
    if watched is None:
        mean = nodes.add("ReduceMean", grey, axes=[1, 2, 3], keepdims=1)
        return _add_normalisation(nodes, grey, mean, spec.backbone.pixels), mean
    grey = add_mask(nodes, grey, watched)
    mean = nodes.add("ReduceMean", grey, axes=[1, 2, 3], keepdims=1)
    mean = nodes.add("Mul", mean, _add_rest(nodes, watched))
    normalised = _add_normalisation(nodes, grey, mean, spec.backbone.pixels, watched)
    return add_mask(nodes, normalised, watched), mean


def _add_rest(nodes: Nodes, watched: Watched) -> str:
    """Store what makes of a mean over all pixels one over those watched: [1], or [V, 1, 1, 1] of several views."""
    rest = (watched.shape[-2] * watched.shape[-1] / watched.sum(axis=(-2, -1))).astype(np.float32)
    return nodes.constant("rest", rest.reshape((-1,) + (1, 1, 1) * (watched.ndim > 2)))


def add_mask(nodes: Nodes, x: str, watched: Watched) -> str:
    """Append zeros for what is not watched of [V, C, height, width]; `watched` is (height, width), or each view's own.

    A rectangle needs but two lines of numbers; for a large frame anything else is as large as the frame.
    """
    rows: Watched = watched.max(axis=-1, keepdims=True)
    columns: Watched = watched.max(axis=-2, keepdims=True)
    if not np.array_equal(watched, rows & columns):
        return nodes.add("Mul", x, nodes.constant("watched", _of_images(watched)))
    for name, line in (("rows", rows), ("columns", columns)):
        if not line.all():
            x = nodes.add("Mul", x, nodes.constant(name, _of_images(line)))
    return x


def _of_images(watched: Watched) -> NDArray[np.float32]:
    """Return it as float32 [1 or V, 1, height, width]."""
    return watched.reshape(-1, 1, *watched.shape[-2:]).astype(np.float32)


def add_branches(nodes: Nodes, spec: ModelSpec, image: str) -> list[str]:
    """Append each branch's features [V, depth, rows, columns] of the normalised images."""
    return [_add_branch(nodes, spec, branch, image) for branch in spec.branches]


def add_resize(nodes: Nodes, x: str, size: tuple[int, int], to: tuple[int, int]) -> str:
    """Append the change of [V, C, *size] to [V, C, *to]: averaging what falls together, else interpolating linearly."""
    if size == to:
        return x
    (rows, columns), (new_rows, new_columns) = size, to
    if rows % new_rows == 0 and columns % new_columns == 0:
        ratio = [rows // new_rows, columns // new_columns]
        return nodes.add("AveragePool", x, kernel_shape=ratio, strides=ratio)
    if new_rows % rows == 0 and new_columns % columns == 0:
        scales = np.array([1, 1, new_rows // rows, new_columns // columns], np.float32)
        return nodes.add(
            "Resize",
            x,
            "",
            nodes.constant("scales", scales),
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )
    # Products with constants: ONNX' own Resize aliases before set 18, and the engines differ in how they round its odd ratios.
    x = nodes.add("MatMul", nodes.constant("down", weights_of(rows, new_rows)), x)
    return nodes.add("MatMul", x, nodes.constant("across", weights_of(columns, new_columns).T))


def weights_of(size: int, to: int) -> NDArray[np.float32]:
    """Return how each of `to` values is made of `size`, float32 (to, size): area averaging down, linear interpolation up."""
    edges = np.linspace(0, size, to + 1)
    if to < size:
        cells = np.arange(size)
        overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
        weights = np.maximum(overlap, 0)
    else:
        centres = np.clip((edges[1:] + edges[:-1]) / 2 - 0.5, 0, size - 1)
        weights = np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(size)))
    shares: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def _add_normalisation(
    nodes: Nodes, x: str, mean: str, pixels: Pixels, watched: Watched | None = None
) -> str:
    """Bring mean and deviation over all watched pixels and channels to fixed values, so that lamps may age and colours stay."""
    centred = nodes.add("Sub", x, mean)
    if watched is not None:
        centred = add_mask(nodes, centred, watched)
    variance = nodes.add("ReduceMean", nodes.add("Mul", centred, centred), axes=[1, 2, 3], keepdims=1)
    if watched is not None:
        variance = nodes.add("Mul", variance, _add_rest(nodes, watched))
    floored = nodes.add("Max", variance, nodes.scalar("least_variance", _LEAST_DEVIATION**2))
    scaled = nodes.add("Div", centred, nodes.add("Sqrt", floored))
    of_colour = (1, len(pixels.mean), 1, 1)  # a grey image becomes as many channels as there are scales
    deviation = _TARGET_DEVIATION / np.array(pixels.deviation)
    offset = (_TARGET_MEAN - np.array(pixels.mean)) / np.array(pixels.deviation)
    stretched = nodes.add(
        "Mul", scaled, nodes.constant("deviation", deviation.astype(np.float32).reshape(of_colour))
    )
    return nodes.add("Add", stretched, nodes.constant("mean", offset.astype(np.float32).reshape(of_colour)))


def _add_branch(nodes: Nodes, spec: ModelSpec, branch: Branch, image: str) -> str:
    scaled = add_resize(nodes, image, (spec.height, spec.width), (branch.height, branch.width))
    if branch.tile is None or branch.tile.side >= max(branch.height, branch.width):
        return _add_features(nodes, spec, branch, scaled)
    return _add_tiles(nodes, spec, branch, branch.tile, scaled)


def _add_features(nodes: Nodes, spec: ModelSpec, branch: Branch, image: str) -> str:
    """Append the backbone and its pooled taps on the branch's grid."""
    names = [tap.name for tap in branch.taps]
    size = branch.height, branch.width
    channels = max(spec.channels, len(spec.backbone.pixels.mean))
    tapped = spec.backbone.add(nodes, image, channels=channels, size=size, taps=names)
    pooled = [
        add_resize(nodes, _add_pooling(nodes, x), (tap.rows, tap.columns), branch.grid)
        for x, tap in zip(tapped, branch.taps, strict=True)
    ]
    return nodes.add("Concat", *pooled, axis=1) if len(pooled) > 1 else pooled[0]


def _add_tiles(nodes: Nodes, spec: ModelSpec, branch: Branch, tile: Tile, image: str) -> str:
    """Append the features of one tile after the other, and put the grid together from them; see tiling.py."""
    side = tile.side
    names = [tap.name for tap in branch.taps]
    piece = Branch(side, side, spec.backbone.taps(names, (side, side)))
    corners, places = sources(tile, branch.height, branch.width, side // piece.grid[0])
    channels = max(spec.channels, len(spec.backbone.pixels.mean))
    shape = (piece.cells, piece.depth)
    axes = nodes.constant("axes", np.array([2, 3], np.int64))
    # Cut beforehand: TensorRT takes no slice whose place is the run's own.
    cuts = [
        nodes.add("Slice", image, nodes.constant("from", corner), nodes.constant("to", corner + side), axes)
        for corner in corners
    ]
    pieces = nodes.add("Concat", *cuts, axis=0)

    def body(inner: Nodes, number: str) -> str:
        cut = inner.add("Gather", pieces, number, axis=0)
        cut = inner.add(
            "Reshape", cut, inner.constant("piece", np.array([1, channels, side, side], np.int64))
        )
        grid = inner.add("Transpose", _add_features(inner, spec, piece, cut), perm=[0, 2, 3, 1])
        return inner.add("Reshape", grid, inner.constant("cells", np.array(shape, np.int64)))

    every = nodes.loop(len(corners), body, shape)
    flat = nodes.add("Reshape", every, nodes.constant("flat", np.array([-1, piece.depth], np.int64)))
    whole = nodes.add("Gather", flat, nodes.constant("places", places), axis=0)
    grid = nodes.add(
        "Reshape", whole, nodes.constant("grid", np.array([1, *branch.grid, branch.depth], np.int64))
    )
    return nodes.add("Transpose", grid, perm=[0, 3, 1, 2])


def _add_pooling(nodes: Nodes, x: str) -> str:
    """Average each cell's neighbourhood, at the border what there is of it.

    Zeros in the place of what is beyond made border patches odd by the part's position: without them AUROC is .78 for .75 on magnetic
    tiles, .960 for .956 on solar cells (Lite0, blocks 7, 10 and 14).
    """
    edge = _POOL // 2
    return nodes.add("AveragePool", x, kernel_shape=[_POOL, _POOL], strides=[1, 1], pads=[edge] * 4)
