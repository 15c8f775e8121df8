"""What the preprocessing kernel (prepare.cu) needs to know: its parameters and tables of weights, for one kind of frame and all views.

The rules are those of preprocess.py and resize.py; the tables say in numbers what OpenCV does for the rest of the change of size.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.engine.decoding import BAYER_LEAST, Region, Samples
from inspector.engine.place import Affine, compose, shift, stretch
from inspector.engine.preprocess import Geometry, Views, views_of
from inspector.engine.resize import BILINEAR_UP_TO, whole_step
from inspector.errors import EngineInputError
from inspector.pixels import BYTES, GIGE, LSB, PIXEL_FORMATS, WORDS, PixelFormat

SOURCE = Path(__file__).with_name("prepare.cu")
BLOCK = (32, 8)  # threads: a warp is 32 neighbours of a line
U8_NHWC, HALF_NCHW, FLOAT_NCHW = range(3)
OUT_TYPES = {U8_NHWC: np.uint8, HALF_NCHW: np.float16, FLOAT_NCHW: np.float32}

_LAYOUTS = {BYTES: 0, WORDS: 1, LSB: 2, GIGE: 3}
_RED = {"": -1, "RG": 0, "GR": 1, "GB": 2, "BG": 3}  # x + 2 y of the red pixel in the first 2 x 2
_HALVINGS_MAX = 10  # levels that the kernel has sums for: a side of 1,024 pixels becomes one


@dataclass(frozen=True, slots=True)
class Preparation:
    """Everything that the kernel reads besides the frame; `input_to_frame` is where each slice of its result is from.

    `parameters` int32 (V, n), the struct of prepare.cu for each view. The tables are those of all views, one behind the other:
    `first_x` int32 (widths), `weights_x` float32 (widths x taps), y alike. `lines` is what of the frame the kernel gets: from the
    first of these to before the last.
    """

    parameters: NDArray[np.int32]
    first_x: NDArray[np.int32]
    weights_x: NDArray[np.float32]
    first_y: NDArray[np.int32]
    weights_y: NDArray[np.float32]
    input_to_frame: tuple[Affine, ...]
    lines: tuple[int, int]

    @property
    def views(self) -> int:
        """How many slices the result has."""
        return len(self.parameters)

    @property
    def grid(self) -> tuple[int, int, int]:
        """Blocks of BLOCK threads across and down, for each view."""
        width, height = (int(v) for v in self.parameters[0, -4:-2])
        return -(-width // BLOCK[0]), -(-height // BLOCK[1]), self.views


def preparation(
    image: Samples, views: Views, pixel_format: str | None, out_kind: int = U8_NHWC
) -> Preparation:
    """Return what the kernel does with frames like `image`, see preprocess.prepare_views; it depends on their shape and type alone.

    Raises EngineInputError for a frame that does not fit, and for a geometry with an alignment: finding a part is the CPU's.
    """
    found = views_of(views)
    form, width, bits = _form(image, found[0], pixel_format)
    regions = [_region(each, width, image.shape[0]) for each in found]
    lines = _lines(regions, image.shape[0], bayer=bool(form.bayer))
    parameters, tables, places = [], _Tables(), []
    for geometry, (left, top, wide, high) in zip(found, regions, strict=True):
        filled_width, filled_height = geometry.filled
        halvings, across, down = _steps(wide, high, filled_width, filled_height)
        rest = wide // (across << halvings), high // (down << halvings)
        begin = tables.sizes
        taps = tables.add(*_tables(rest, geometry.filled, eight_bits=form.layout == BYTES))
        parameters.append((
            _LAYOUTS[form.layout], bits, form.channels, _RED[form.bayer],
            image.strides[0], width, lines[1] - lines[0],
            left, top - lines[0],
            halvings, across, down,
            *rest,
            *taps,
            filled_width, filled_height,
            *begin,
            geometry.width, geometry.height, geometry.channels, out_kind,
        ))  # fmt: skip
        places.append(compose(shift(left, top), stretch(geometry.filled, (wide, high))))
    return Preparation(np.array(parameters, np.int32), *tables.joined(), tuple(places), lines)


class _Tables:
    """The tables of all views, one behind the other: first_x, weights_x, first_y, weights_y."""

    def __init__(self) -> None:
        self._parts: list[list[NDArray[Any]]] = [[], [], [], []]

    @property
    def sizes(self) -> list[int]:
        """Return how long each table is by now."""
        return [sum(part.size for part in parts) for parts in self._parts]

    def add(self, across: "Table", down: "Table") -> tuple[int, int]:
        """Put those of one more view behind the others; return the taps across and down."""
        for parts, table in zip(self._parts, (*across, *down), strict=True):
            parts.append(table.reshape(-1))
        return across[1].shape[1], down[1].shape[1]

    def joined(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return them in one piece each."""
        first_x, weights_x, first_y, weights_y = (np.concatenate(parts) for parts in self._parts)
        return first_x, weights_x, first_y, weights_y


def _region(geometry: Geometry, width: int, height: int) -> Region:
    """Return the region of one view in frames of this size. Raises EngineInputError."""
    if geometry.alignment is not None:
        raise EngineInputError("the kernel does not align: prepare the frame on the CPU")
    geometry.require_frame(width, height)
    return geometry.roi or (0, 0, width, height)


def _lines(regions: Sequence[Region], height: int, *, bayer: bool) -> tuple[int, int]:
    """Return the lines of a frame that these regions need, all others need not go up: from the first of them to before the last.

    A demosaic looks at the lines beside, the frame's first and last are made of their neighbours', and a mosaic that began with an odd
    line would be another one.
    """
    first = min(top for _, top, _, _ in regions)
    last = max(top + high for _, top, _, high in regions)
    if bayer:
        first, last = max(0, first - 1) // 2 * 2, min(height, last + 1)
        if last - first < BAYER_LEAST:
            return 0, height
    return first, last


def is_dense(image: Samples) -> bool:
    """Return whether an image lies in one piece and is of a kind that the kernel reads; the CPU takes or refuses the others."""
    kind = image.dtype in (np.uint8, np.uint16) and image.ndim in {2, 3} and image.shape[2:] in {(), (3,)}
    return bool(kind and image.size and image.flags.c_contiguous)


def _form(image: Samples, geometry: Geometry, name: str | None) -> tuple[PixelFormat, int, int]:
    """Return (format, width, bits) of a camera's frame, or of a file's image as if a camera had sent it."""
    dense = is_dense(image)
    if name is None:
        if not dense:
            raise EngineInputError(f"the kernel takes dense images, not {image.dtype} {image.shape}")
        eight = image.dtype == np.uint8
        bits = 8 if eight else geometry.bits
        form = PixelFormat("image", bits, BYTES if eight else WORDS, channels=3 if image.ndim == 3 else 1)
        return form, image.shape[1], bits
    known = PIXEL_FORMATS.get(name)
    if (
        known is None
        or not dense
        or image.dtype != np.uint8
        or image.ndim != (3 if known.channels == 3 else 2)
    ):
        raise EngineInputError(
            f"the kernel takes dense frames as cameras send them, not {name} {image.dtype} {image.shape}"
        )
    width = image.shape[1] if known.channels == 3 else image.shape[1] // known.group[0] * known.group[1]
    if known.bayer and min(width, image.shape[0]) < BAYER_LEAST:
        raise EngineInputError(
            f"a {name} frame has at least {BAYER_LEAST} pixels a side, this one has {width}"
        )
    return known, width, known.bits


def _steps(wide: int, high: int, width: int, height: int) -> tuple[int, int, int]:
    """Return how often resize.py halves, and the whole step across and down that it takes then."""
    down, across = whole_step(high, height), whole_step(wide, width)
    halvings = 0
    while down % 2 == 0 and across % 2 == 0 and halvings < _HALVINGS_MAX:
        down, across, halvings = down // 2, across // 2, halvings + 1
    return halvings, across, down


Table = tuple[
    NDArray[np.int32], NDArray[np.float32]
]  # first pixel of each result, and the weights from there on


def _tables(size: tuple[int, int], to: tuple[int, int], *, eight_bits: bool) -> tuple[Table, Table]:
    """Return the tables across and down of the interpolation that resize.py chooses for the rest."""
    if size == to:
        return _same(to[0]), _same(to[1])
    scales = [old / new for old, new in zip(size, to, strict=True)]
    if max(scales) <= BILINEAR_UP_TO:
        steps = 256 if eight_bits else 65536  # OpenCV's fixed point
        across, down = (_linear(old, new, steps) for old, new in zip(size, to, strict=True))
    elif min(scales) >= 1:
        across, down = (_area(old, new) for old, new in zip(size, to, strict=True))
    else:  # averaging one way and stretching the other, which OpenCV does by a rule of its own
        across, down = (_stretched(old, new) for old, new in zip(size, to, strict=True))
    return across, down


def _same(size: int) -> Table:
    return np.arange(size, dtype=np.int32), np.ones((size, 1), np.float32)


def _linear(size: int, to: int, steps: int) -> Table:
    """INTER_LINEAR_EXACT: between the centres, the edge repeats."""
    at = (np.arange(to) + 0.5) * (size / to) - 0.5
    first = np.floor(at)
    share = np.rint((at - first) * steps) / steps
    share[(first < 0) | (first >= size - 1)] = 0
    first = np.clip(first, 0, size - 1)
    return first.astype(np.int32), np.stack([1 - share, share], axis=1).astype(np.float32)


def _area(size: int, to: int) -> Table:
    """INTER_AREA: the share that each pixel has of the result's area."""
    edges = np.arange(to + 1) * (size / to)
    first = np.floor(edges[:-1] + 1e-9).astype(np.int32)
    taps = math.ceil(size / to) + 1
    pixels = first[:, None] + np.arange(taps)
    shares = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    shares = np.maximum(shares, 0) * (pixels < size)
    return first, (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


def _stretched(size: int, to: int) -> Table:
    """INTER_AREA where the other side is stretched: linear, but flat within a pixel.

    Computed as OpenCV does, to the last bit: at a border of two pixels the rounding decides which of them it is.
    """
    places, inverse = np.arange(to), to / size
    first = np.floor(places * (1 / inverse))
    share = ((places + 1) - (first + 1) * inverse).astype(np.float32)
    share = np.where(share <= 0, 0, share - np.floor(share))
    share[first >= size - 1] = 0
    first = np.clip(first, 0, size - 1)
    return first.astype(np.int32), np.stack([1 - share, share], axis=1).astype(np.float32)
