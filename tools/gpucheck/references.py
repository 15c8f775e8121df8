"""The preprocessing kernel against references: the CPU path in grey levels, and its own arithmetic in float64."""

import zlib
from collections.abc import Callable
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.engine import raw_frames
from inspector.engine.decoding import Region, decode
from inspector.engine.preparation import Preparation, preparation
from inspector.engine.preprocess import Geometry, input_shape_of, to_input
from inspector.pixels import PIXEL_FORMATS, WORDS

Launch = Callable[
    [Preparation, NDArray[Any]], NDArray[np.uint8]
]  # parameters and frame -> uint8 [V, H, W, C]
LEVELS = raw_frames.LEVELS  # by which the kernel may differ from the CPU path
VIEWS = (1, 4)
# And from float64, which is rounded nowhere, while the kernel rounds wherever OpenCV does: after the demosaic, the averaging and the rest
# of the change of size. Up to 1.64 was seen on fresh frames.
EXACT_LEVELS = 2.0


def compare(launch: Launch, seed: int, width: int, height: int) -> list[dict[str, Any]]:
    """Return a row for each format: the largest differences on a fresh random frame, with a region and a size of its own.

    Each once with one view and once with four regions in one run.
    """
    rows = []
    for name, form in sorted(PIXEL_FORMATS.items()):
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        wide = width - width % form.group[1]
        shape = (height, wide, 3) if form.channels == 3 else (height, form.line_bytes(wide))
        frame = rng.integers(0, 256, shape, np.uint8)
        if form.layout == WORDS:  # above the bits that carry light there is nothing
            frame = (frame.view("<u2") & (2**form.bits - 1)).view(np.uint8)
        for count in VIEWS:
            channels = int(rng.choice([1, 3]))
            # Together about as many pixels: on a CPU the kernel takes its time.
            side = int(rng.integers(64, 257)) // isqrt(count), int(rng.integers(64, 257)) // isqrt(count)
            views = [Geometry(channels, *side, roi=_region(rng, wide, height)) for _ in range(count)]
            made = launch(preparation(frame, views, name), frame).astype(np.float64)
            exact = np.concatenate([in_float64(frame, view, name) for view in views])
            rows.append(
                {
                    "format": name,
                    "views": count,
                    "regions": " ".join("x".join(map(str, (view.roi or ())[2:])) for view in views),
                    "input": "x".join(map(str, input_shape_of(views))),
                    "levels_from_cpu": float(np.abs(made - to_input(frame, views, name)).max()),
                    "levels_from_float64": float(np.abs(made - exact).max()),
                }
            )
    return rows


def in_float64(frame: NDArray[np.uint8], geometry: Geometry, name: str) -> NDArray[np.float64]:
    """Return one view's input as one product of matrices, not rounded anywhere, of samples that OpenCV demosaiced."""
    form, how = PIXEL_FORMATS[name], preparation(frame, geometry, name)
    region: Region = geometry.roi or (0, 0, frame.shape[1], frame.shape[0])
    samples = decode(frame, form, region, grey=geometry.channels == 1).astype(np.float64)
    if samples.ndim == 3 and geometry.channels == 1:
        samples = samples @ np.array([0.299, 0.587, 0.114])
    halvings, across, down, rest_width, rest_height, taps_x, taps_y = (
        int(v) for v in how.parameters[0, 9:16]
    )
    rows = _matrix(how.first_y, how.weights_y.reshape(-1, taps_y), rest_height, down << halvings)
    columns = _matrix(how.first_x, how.weights_x.reshape(-1, taps_x), rest_width, across << halvings)
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
