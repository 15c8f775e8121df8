"""From a raw frame to the graph's input: pose, region, colours, size, bits; bytes in, bytes out.

Fitting, evaluation and operation use this same function, so a model never sees an image that was prepared differently from those it
was fitted on. Normalisation and masks belong to the graph. Samples of more than 8 bits are scaled down first and then cut to the 8
that the graph takes, as the camera's own 8-bit format would: what averaging gains in contrast is kept that far.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.engine.alignment import Alignment, move
from inspector.engine.decoding import BAYER_LEAST, Region, Samples, crop, decode
from inspector.engine.place import Affine, compose, shift, stretch
from inspector.engine.resize import resize
from inspector.errors import EngineInputError
from inspector.pixels import KNOWN, PIXEL_FORMATS, PixelFormat

ASPECT_TOLERANCE = 0.05  # of the logarithm: a part that is stretched less than this still looks like itself


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a frame becomes the graph's input of [1, height, width, channels].

    `frame` is the (width, height) that frames must have, `aspect` their width / height; None takes any. `roi` is (x, y, width,
    height) in pixels of the raw frame, None for the whole. `picture` is the (width, height) of the region within the input, at its
    corner; beyond, its edge repeats. None fills the input. `bits` is the depth of images from files of 16 bits; a camera's format
    knows its own. With `alignment`, the region is that of the reference: it follows the part.
    """

    channels: int
    height: int
    width: int
    roi: Region | None = None
    picture: tuple[int, int] | None = None
    frame: tuple[int, int] | None = None
    aspect: float | None = None
    bits: int = 8
    alignment: Alignment | None = None

    def __post_init__(self) -> None:
        if self.channels not in {1, 3}:
            raise EngineInputError(f"channels is 1 (mono) or 3 (RGB), not {self.channels}")
        if self.height < 1 or self.width < 1:
            raise EngineInputError(
                f"the graph's input is at least 1 x 1 pixels, not {self.width} x {self.height}"
            )
        if self.roi is not None and (min(self.roi[:2]) < 0 or min(self.roi[2:]) < 1):
            raise EngineInputError(f"roi is x, y >= 0 and width, height >= 1, not {list(self.roi)}")
        if not 8 <= self.bits <= 16:
            raise EngineInputError(f"bits is 8 to 16, not {self.bits}")
        width, height = self.picture or (self.width, self.height)
        if not (1 <= width <= self.width and 1 <= height <= self.height):
            raise EngineInputError(
                f"a picture of {width} x {height} pixels does not fit in the input of {self.width} x {self.height}"
            )
        if self.alignment is not None and self.frame != self.alignment.frame:
            raise EngineInputError("an alignment needs the size of the frame that its reference is of")

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """The shape of the graph's input, NHWC."""
        return (1, self.height, self.width, self.channels)

    @property
    def filled(self) -> tuple[int, int]:
        """(width, height) of what the region fills of the input."""
        return self.picture or (self.width, self.height)

    def require_frame(self, width: int, height: int) -> None:
        """Raise EngineInputError unless frames of this size are what the model was fitted on."""
        if self.frame is not None and self.frame != (width, height):
            raise EngineInputError(
                f"expected frames of {self.frame[0]} x {self.frame[1]} pixels, this one has {width} x {height}: "
                "set Width and Height in camera.features as they were, or fit the pack again"
            )
        if self.aspect is not None and abs(math.log(width / height / self.aspect)) > ASPECT_TOLERANCE:
            raise EngineInputError(
                f"expected frames of width = {self.aspect:.3f} x height, this one has {width} x {height} pixels: "
                "set Width and Height in camera.features as they were, or fit the pack again"
            )
        if self.roi is not None:
            x, y, wide, high = self.roi
            if x + wide > width or y + high > height:
                raise EngineInputError(
                    f"roi {list(self.roi)} does not fit in a frame of {width} x {height} pixels: "
                    "fit the pack again, or set the camera's Width and Height as they were"
                )


Views = Geometry | Sequence[Geometry]  # one region of a frame, or several that are scored in one execution


def views_of(views: Views) -> tuple[Geometry, ...]:
    """Return the geometry of each view of a part. Raises EngineInputError unless they fit in the slices of one input."""
    found = (views,) if isinstance(views, Geometry) else tuple(views)
    if not found:
        raise EngineInputError("expected at least one view of a part, there is none: fit the pack again")
    sizes = {(each.width, each.height, each.channels, each.bits) for each in found}
    if len(sizes) > 1:
        told = ", ".join(f"{w} x {h} x {channels} of {bits} bits" for w, h, channels, bits in sorted(sizes))
        raise EngineInputError(
            f"expected views of one size (width x height x channels), found {told}: fit the pack again"
        )
    return found


def input_shape_of(views: Views) -> tuple[int, int, int, int]:
    """Return the shape of the graph's input, [V, H, W, C]: a slice for each view."""
    found = views_of(views)
    return (len(found), *found[0].input_shape[1:])


def to_input(
    image: Samples,
    views: Views,
    pixel_format: str | None = None,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Return what `prepare_views` writes, as uint8 [V, H, W, C]: into `out` where given."""
    if out is None:
        out = np.empty(input_shape_of(views), np.uint8)
    prepare_views(image, views_of(views), out, pixel_format)
    return out


def copy_prepared(prepared: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Copy what another `prepare` wrote into `out`. Raises EngineInputError where it is of another geometry."""
    if prepared.shape != out.shape or prepared.dtype != np.uint8:
        raise EngineInputError(
            f"the graph's input is uint8 {out.shape}, this one is {prepared.dtype} {prepared.shape}; fit the pack again"
        )
    np.copyto(out, prepared)


def prepare_views(
    image: Samples, views: Sequence[Geometry], out: NDArray[np.uint8], pixel_format: str | None = None
) -> tuple[Affine, ...]:
    """Write each view of the frame `image` into its slice of `out`, uint8 [V, H, W, C], and return where each is from. As `prepare`.

    Views that share one alignment share its pose too: the part is looked for once.
    """
    if len(out) != len(views):
        raise EngineInputError(
            f"expected a slice of the input for each of {len(views)} views, got {len(out)}"
        )
    poses: dict[int, Affine] = {}
    return tuple(
        _prepare(image, view, out[index : index + 1], pixel_format, poses) for index, view in enumerate(views)
    )


def prepare(
    image: Samples, geometry: Geometry, out: NDArray[np.uint8], pixel_format: str | None = None
) -> Affine:
    """Write the frame `image` into `out`, uint8 [1, H, W, C], and return where it is from: the map from input to raw frame.

    With `pixel_format` (SFNC name) `image` is what the ring hands out; without, an image of a file: (H, W) grey or (H, W, 3) RGB,
    uint8, or uint16 of `geometry.bits`. It is not changed. Mono is repeated for a graph of three channels, colour weighted to
    luminance (ITU-R BT.601) for a graph of one. Raises EngineInputError for a frame that does not fit, of that PoseError where the
    part lies beyond the limits. Any thread.
    """
    return _prepare(image, geometry, out, pixel_format, {})


def _prepare(
    image: Samples,
    geometry: Geometry,
    out: NDArray[np.uint8],
    pixel_format: str | None,
    poses: dict[int, Affine],
) -> Affine:
    """Do what `prepare` promises; `poses` of this frame by the alignment that found them, which is filled in."""
    if out.shape != geometry.input_shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
        raise EngineInputError(f"out is contiguous uint8 {geometry.input_shape}, not {out.dtype} {out.shape}")
    frame = _image_of(image, geometry.bits) if pixel_format is None else _frame_of(image, pixel_format)
    geometry.require_frame(frame.width, frame.height)
    region = geometry.roi or (0, 0, frame.width, frame.height)
    place = compose(shift(region[0], region[1]), stretch(geometry.filled, region[2:]))
    if geometry.alignment is None:
        samples = frame.samples(region, geometry.channels)
    else:
        whole = frame.samples((0, 0, frame.width, frame.height), geometry.channels)
        pose = poses.get(id(geometry.alignment))
        if pose is None:
            grey = whole if whole.ndim == 2 else cv2.cvtColor(whole, cv2.COLOR_RGB2GRAY)
            pose = poses[id(geometry.alignment)] = geometry.alignment.find(grey)
        samples = move(whole, pose, region)
        place = compose(pose, place)
    _write(samples, frame.bits, geometry.filled, out[0])
    return place


@dataclass(frozen=True, slots=True)
class _Frame:
    """A frame of any kind: `form` is None where `image` already is samples of `bits`."""

    image: Any
    form: PixelFormat | None
    width: int
    height: int
    bits: int

    def samples(self, region: Region, channels: int) -> Samples:
        """Return the region, grey for a graph of one channel; a view where nothing is to be computed."""
        if self.form is None:
            found: Samples = crop(self.image, region)
        else:
            found = decode(self.image, self.form, region, grey=channels == 1)
        if found.ndim == 3 and channels == 1:  # before the resize: a third of the bytes to average
            found = cv2.cvtColor(found, cv2.COLOR_RGB2GRAY)
        return found


def _image_of(image: Samples, bits: int) -> _Frame:
    """Describe an image of a file."""
    fits = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if not fits or image.size == 0 or image.dtype not in (np.uint8, np.uint16):
        raise EngineInputError(
            f"an image is uint8 or uint16, (H, W) or (H, W, 3), this one is {image.dtype} {image.shape}"
        )
    return _Frame(image, None, image.shape[1], image.shape[0], 8 if image.dtype == np.uint8 else bits)


def _frame_of(lines: Samples, name: str) -> _Frame:
    """Describe what a camera sent as `name`."""
    form = PIXEL_FORMATS.get(name)
    if form is None:
        raise EngineInputError(f"expected a pixel format of {KNOWN}, got {name!r}; correct camera.features")
    dimensions = 3 if form.channels == 3 else 2
    if (
        lines.dtype != np.uint8
        or lines.ndim != dimensions
        or lines.shape[2:] not in {(), (3,)}
        or not lines.size
    ):
        raise EngineInputError(
            f"{name} was agreed, a frame of {lines.dtype} {lines.shape} came: check PixelFormat"
        )
    width = lines.shape[1] if form.channels == 3 else lines.shape[1] // form.group[0] * form.group[1]
    if form.bayer and min(width, lines.shape[0]) < BAYER_LEAST:
        raise EngineInputError(
            f"a {name} frame has at least {BAYER_LEAST} pixels a side, this one has {width} x {lines.shape[0]}"
        )
    return _Frame(lines, form, width, lines.shape[0], form.bits)


def _write(samples: Samples, bits: int, filled: tuple[int, int], out: NDArray[np.uint8]) -> None:
    """Scale to `filled`, then cut to 8 bits, then spread to the channels of `out` (H, W, C); last the edge repeats."""
    width, height = filled
    target = out[:height, :width]
    wanted = target if samples.ndim == 3 or out.shape[2] == 3 else target[:, :, 0]
    if samples.ndim == wanted.ndim and bits == 8:
        resize(samples, height, width, out=wanted)
    else:
        small = resize(samples, height, width)
        if bits > 8:
            small = cv2.convertScaleAbs(small, alpha=2.0 ** (8 - bits))
        if small.ndim == 2 and wanted.ndim == 3:  # after the resize: a third of the bytes to average
            small = cv2.cvtColor(small, cv2.COLOR_GRAY2RGB)
        np.copyto(wanted, small)
    if width < out.shape[1]:
        out[:height, width:] = out[:height, width - 1 : width]
    if height < out.shape[0]:
        out[height:] = out[height - 1 : height]
