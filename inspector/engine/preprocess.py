"""From a raw frame to the graph's input: crop, demosaic, channels, size; bytes in, bytes out.

Fitting and scoring use this same function, so a model never sees an image in operation that was prepared differently from
those it was fitted on. Normalisation belongs to the graph.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.engine.resize import resize
from inspector.errors import EngineInputError

PIXEL_FORMATS = ("Mono8", "RGB8", "BayerRG8")  # SFNC names

# Bilinear demosaicing looks one pixel around; two keep the phase of the pattern, and the crop equal to one made afterwards.
_BAYER_MARGIN = 2
_BAYER_LEAST = 3  # OpenCV turns anything smaller black, without a word


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a frame becomes the graph's input of [1, height, width, channels].

    `roi` is (x, y, width, height) in pixels of the raw frame, None for the whole frame. `pixel_format` is the raw frame's SFNC
    name; None takes it from the frame's shape, (H, W) as Mono8 and (H, W, 3) as RGB8, which cannot tell Bayer.
    """

    channels: int
    height: int
    width: int
    roi: tuple[int, int, int, int] | None = None
    pixel_format: str | None = None

    def __post_init__(self) -> None:
        if self.channels not in {1, 3}:
            raise EngineInputError(f"channels is 1 (mono) or 3 (RGB), not {self.channels}")
        if self.height < 1 or self.width < 1:
            raise EngineInputError(
                f"the graph's input is at least 1 x 1 pixels, not {self.width} x {self.height}"
            )
        if self.roi is not None and (min(self.roi[:2]) < 0 or min(self.roi[2:]) < 1):
            raise EngineInputError(f"roi is x, y >= 0 and width, height >= 1, not {list(self.roi)}")
        if self.pixel_format not in {None, *PIXEL_FORMATS}:
            raise EngineInputError(
                f"pixel_format is one of {', '.join(PIXEL_FORMATS)}, not {self.pixel_format!r}"
            )

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """The shape of the graph's input, NHWC."""
        return (1, self.height, self.width, self.channels)


def to_input(
    image: NDArray[np.uint8], geometry: Geometry, out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Return the raw frame `image` as uint8 [1, H, W, C], written into `out` where given.

    `image` is (H, W) mono or Bayer, or (H, W, 3) RGB, of any size that holds the region of interest; it is not changed. Mono is
    repeated for a graph of three channels, RGB weighted to luminance (ITU-R BT.601) for a graph of one. For the
    size see resize.py. Raises EngineInputError. Any thread.
    """
    _check(image, geometry)
    if out is None:
        out = np.empty(geometry.input_shape, np.uint8)
    elif out.shape != geometry.input_shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
        raise EngineInputError(f"out is contiguous uint8 {geometry.input_shape}, not {out.dtype} {out.shape}")
    target = out[0] if geometry.channels == 3 else out[0, :, :, 0]
    if geometry.pixel_format == "BayerRG8":
        image = _demosaic(image, geometry)
    else:
        image = _crop(image, geometry.roi)
        if image.ndim == 3 and geometry.channels == 1:  # before the resize: a third of the bytes to average
            image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if image.ndim == 2 and geometry.channels == 3:  # after the resize, for the same reason
        cv2.cvtColor(resize(image, geometry.height, geometry.width), cv2.COLOR_GRAY2RGB, dst=target)
    else:
        resize(image, geometry.height, geometry.width, out=target)
    return out


def _check(image: NDArray[np.uint8], geometry: Geometry) -> None:
    """Raise EngineInputError unless the frame is of a shape and type that the geometry speaks of."""
    if (
        image.dtype != np.uint8
        or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3))
        or image.size == 0
    ):
        raise EngineInputError(
            f"a frame is uint8 (H, W) or (H, W, 3), this one is {image.dtype} {image.shape}"
        )
    if geometry.pixel_format is not None and (geometry.pixel_format == "RGB8") != (image.ndim == 3):
        raise EngineInputError(
            f"{geometry.pixel_format} was agreed, a frame of shape {image.shape} came: check PixelFormat"
        )
    if geometry.pixel_format == "BayerRG8" and min(image.shape) < _BAYER_LEAST:
        raise EngineInputError(
            f"a BayerRG8 frame has at least {_BAYER_LEAST} pixels a side, this one is {image.shape}"
        )
    if geometry.roi is not None:
        x, y, width, height = geometry.roi
        if x + width > image.shape[1] or y + height > image.shape[0]:
            raise EngineInputError(
                f"roi {list(geometry.roi)} does not fit in a frame of {image.shape[1]} x {image.shape[0]} pixels: "
                "correct the recipe's roi or the camera's Width and Height"
            )


def _crop(image: NDArray[np.uint8], roi: tuple[int, int, int, int] | None) -> NDArray[np.uint8]:
    """Return the region as a view."""
    if roi is None:
        return image
    x, y, width, height = roi
    return image[y : y + height, x : x + width]


def _demosaic(image: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.uint8]:
    """Return the region of a BayerRG8 frame as RGB or mono, equal to demosaicing the whole frame, at the region's cost."""
    x, y, width, height = geometry.roi or (0, 0, image.shape[1], image.shape[0])
    left = max(0, x - _BAYER_MARGIN) & ~1  # an even corner keeps red where the pattern has it
    top = max(0, y - _BAYER_MARGIN) & ~1
    raw = image[top : y + height + _BAYER_MARGIN, left : x + width + _BAYER_MARGIN]
    code = cv2.COLOR_BayerRGGB2RGB if geometry.channels == 3 else cv2.COLOR_BayerRGGB2GRAY
    return _crop(cv2.cvtColor(raw, code), (x - left, y - top, width, height))
