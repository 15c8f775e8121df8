"""The preprocessing kernel against references: the CPU path in grey levels, and its own arithmetic in float64."""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.engine import raw_frames
from inspector.engine.decoding import Region, decode
from inspector.engine.preparation import Preparation, preparation
from inspector.engine.preprocess import Geometry, to_input
from inspector.pixels import PIXEL_FORMATS, WORDS

Launch = Callable[
    [Preparation, NDArray[Any]], NDArray[np.uint8]
]  # parameters and frame -> uint8 [1, H, W, C]
LEVELS = raw_frames.LEVELS  # by which the kernel may differ from the CPU path
EXACT_LEVELS = 1.5  # and from float64, which is rounded nowhere, while the kernel rounds wherever OpenCV does


def compare(launch: Launch, seed: int, width: int, height: int) -> list[dict[str, Any]]:
    """Return a row for each format: the largest differences on a fresh random frame, with a region and a size of its own."""
    rows = []
    for name, form in sorted(PIXEL_FORMATS.items()):
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        wide = width - width % form.group[1]
        shape = (height, wide, 3) if form.channels == 3 else (height, form.line_bytes(wide))
        frame = rng.integers(0, 256, shape, np.uint8)
        if form.layout == WORDS:  # above the bits that carry light there is nothing
            frame = (frame.view("<u2") & (2**form.bits - 1)).view(np.uint8)
        region = _region(rng, wide, height)
        geometry = Geometry(
            int(rng.choice([1, 3])), int(rng.integers(64, 257)), int(rng.integers(64, 257)), roi=region
        )
        how = preparation(frame, geometry, name)
        made = launch(how, frame).astype(np.float64)
        rows.append(
            {
                "format": name,
                "region": "x".join(map(str, region[2:])),
                "input": f"{geometry.width}x{geometry.height}x{geometry.channels}",
                "levels_from_cpu": float(np.abs(made - to_input(frame, geometry, name)).max()),
                "levels_from_float64": float(np.abs(made - in_float64(frame, geometry, name, how)).max()),
            }
        )
    return rows


def in_float64(
    frame: NDArray[np.uint8], geometry: Geometry, name: str, how: Preparation
) -> NDArray[np.float64]:
    """Return the graph's input as one product of matrices, not rounded anywhere, of samples that OpenCV demosaiced."""
    form = PIXEL_FORMATS[name]
    region: Region = geometry.roi or (0, 0, frame.shape[1], frame.shape[0])
    samples = decode(frame, form, region, grey=geometry.channels == 1).astype(np.float64)
    if samples.ndim == 3 and geometry.channels == 1:
        samples = samples @ np.array([0.299, 0.587, 0.114])
    halvings, across, down, rest_width, rest_height = (int(v) for v in how.parameters[9:14])
    rows = _matrix(how.first_y, how.weights_y, rest_height, down << halvings)
    columns = _matrix(how.first_x, how.weights_x, rest_width, across << halvings)
    planes = samples[..., None] if samples.ndim == 2 else samples
    made = np.einsum("ry,yxc,qx->rqc", rows, planes, columns, optimize=True) / 2.0 ** (form.bits - 8)
    return np.broadcast_to(np.minimum(made, 255), (*made.shape[:2], geometry.channels))[None]


def _matrix(
    first: NDArray[np.int32], weights: NDArray[np.float32], size: int, step: int
) -> NDArray[np.float64]:
    """Return the weights of each result over all pixels: the table's, spread evenly over the pixels that were averaged before."""
    matrix = np.zeros((len(first), size))
    for tap in range(weights.shape[1]):
        places = np.clip(first + tap, 0, size - 1)
        np.add.at(matrix, (np.arange(len(first)), places), weights[:, tap].astype(np.float64))
    spread: NDArray[np.float64] = np.repeat(matrix, step, axis=1) / step
    return spread


def _region(rng: np.random.Generator, width: int, height: int) -> Region:
    wide, high = int(rng.integers(width // 2, width + 1)), int(rng.integers(height // 2, height + 1))
    return int(rng.integers(0, width - wide + 1)), int(rng.integers(0, height - high + 1)), wide, high
