"""What the preprocessing kernel (prepare.cu) needs to know: its parameters and tables of weights, for one kind of frame.

The rules are those of preprocess.py and resize.py; the tables say in numbers what OpenCV does for the rest of the change of size.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspector.engine.decoding import BAYER_LEAST, Samples
from inspector.engine.place import Affine, compose, shift, stretch
from inspector.engine.preprocess import Geometry
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
    """Everything that the kernel reads besides the frame; `input_to_frame` is where its result is from.

    `parameters` int32, the struct of prepare.cu. `first_x` int32 (width), `weights_x` float32 (width, taps), y alike.
    """

    parameters: NDArray[np.int32]
    first_x: NDArray[np.int32]
    weights_x: NDArray[np.float32]
    first_y: NDArray[np.int32]
    weights_y: NDArray[np.float32]
    input_to_frame: Affine

    @property
    def grid(self) -> tuple[int, int]:
        """Blocks of BLOCK threads across and down."""
        width, height = (int(v) for v in self.parameters[-4:-2])
        return -(-width // BLOCK[0]), -(-height // BLOCK[1])


def preparation(
    image: Samples, geometry: Geometry, pixel_format: str | None, out_kind: int = U8_NHWC
) -> Preparation:
    """Return what the kernel does with frames like `image`, see preprocess.prepare; it depends on their shape and type alone.

    Raises EngineInputError for a frame that does not fit, and for a geometry with an alignment: finding a part is the CPU's.
    """
    if geometry.alignment is not None:
        raise EngineInputError("the kernel does not align: prepare the frame on the CPU")
    form, width, bits = _form(image, geometry, pixel_format)
    height = image.shape[0]
    geometry.require_frame(width, height)
    left, top, wide, high = geometry.roi or (0, 0, width, height)
    filled_width, filled_height = geometry.filled
    halvings, across, down = _steps(wide, high, filled_width, filled_height)
    rest_width, rest_height = wide // (across << halvings), high // (down << halvings)
    (first_x, weights_x), (first_y, weights_y) = _tables(
        (rest_width, rest_height), (filled_width, filled_height), eight_bits=form.layout == BYTES
    )
    parameters = (
        _LAYOUTS[form.layout], bits, form.channels, _RED[form.bayer],
        image.strides[0], width, height,
        left, top,
        halvings, across, down,
        rest_width, rest_height,
        weights_x.shape[1], weights_y.shape[1],
        filled_width, filled_height,
        geometry.width, geometry.height, geometry.channels, out_kind,
    )  # fmt: skip
    place = compose(shift(left, top), stretch(geometry.filled, (wide, high)))
    return Preparation(np.array(parameters, np.int32), first_x, weights_x, first_y, weights_y, place)


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
