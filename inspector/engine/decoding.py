"""From a camera's bytes to samples: unpacking of 10 and 12 bits, and demosaicing of a region as if of the whole frame."""

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.pixels import BYTES, GIGE, WORDS, PixelFormat

Samples = NDArray[np.uint8] | NDArray[np.uint16]
Region = tuple[int, int, int, int]  # x, y, width, height in pixels

# Bilinear demosaicing looks one pixel around; two keep the phase of the pattern, and the crop equal to one made afterwards.
_BAYER_MARGIN = 2
BAYER_LEAST = 3  # OpenCV turns anything smaller black, without a word

_TO_RGB = {
    "RG": cv2.COLOR_BayerRGGB2RGB,
    "GR": cv2.COLOR_BayerGRBG2RGB,
    "GB": cv2.COLOR_BayerGBRG2RGB,
    "BG": cv2.COLOR_BayerBGGR2RGB,
}
_TO_GREY = {
    "RG": cv2.COLOR_BayerRGGB2GRAY,
    "GR": cv2.COLOR_BayerGRBG2GRAY,
    "GB": cv2.COLOR_BayerGBRG2GRAY,
    "BG": cv2.COLOR_BayerBGGR2GRAY,
}


def crop(image: Samples, region: Region) -> Samples:
    """Return the region as a view."""
    x, y, width, height = region
    return image[y : y + height, x : x + width]


def decode(lines: NDArray[np.uint8], form: PixelFormat, region: Region, *, grey: bool) -> Samples:
    """Return a region of a raw frame as (height, width) or, in colour, (height, width, 3) RGB; the work is the region's alone.

    `lines` is what the ring hands out. A mosaic becomes grey where `grey` says so, else RGB. Up to 8 bits come as uint8, a view
    where nothing is to be computed; more as uint16. Any thread.
    """
    if not form.bayer:
        return _samples(lines, form, region)
    x, y, width, height = region
    left = max(0, x - _BAYER_MARGIN) & ~1  # an even corner keeps each colour where the pattern has it
    top = max(0, y - _BAYER_MARGIN) & ~1
    whole_width = lines.shape[1] // form.group[0] * form.group[1]
    right = min(whole_width, x + width + _BAYER_MARGIN)
    bottom = min(lines.shape[0], y + height + _BAYER_MARGIN)
    mosaic = _samples(lines, form, (left, top, right - left, bottom - top))
    colours: Samples = cv2.cvtColor(mosaic, (_TO_GREY if grey else _TO_RGB)[form.bayer])
    return crop(colours, (x - left, y - top, width, height))


def _samples(lines: NDArray[np.uint8], form: PixelFormat, region: Region) -> Samples:
    """Return the region's samples as they are in the frame: grey, RGB or a mosaic."""
    x, y, width, height = region
    if form.layout == BYTES:
        return crop(lines, region)
    size, pixels = form.group
    first, last = x // pixels, -(-(x + width) // pixels)
    packed = lines[y : y + height, first * size : last * size]
    if form.layout == WORDS:
        return packed.view("<u2")
    unpacked = np.empty((height, last - first, pixels), np.uint16)
    # One plane of bytes after the other: contiguous planes are several times as quick as strided ones.
    planes = np.ascontiguousarray(packed.reshape(height, -1, size).transpose(2, 0, 1)).astype(np.uint16)
    if form.layout == GIGE:
        unpacked[..., 0] = planes[0] << 4 | planes[1] & 15
        unpacked[..., 1] = planes[2] << 4 | planes[1] >> 4
    else:
        _unpack_lowest_first(planes, form.bits, unpacked)
    return unpacked.reshape(height, -1)[:, x - first * pixels :][:, :width]


def _unpack_lowest_first(planes: NDArray[np.uint16], bits: int, out: NDArray[np.uint16]) -> None:
    """Put sample `i` of each group, the bits from `i * bits` on of its bytes, into `out[..., i]`."""
    mask = 2**bits - 1
    for place in range(out.shape[-1]):
        byte, shift = divmod(place * bits, 8)
        out[..., place] = (planes[byte] >> shift | planes[byte + 1] << (8 - shift)) & mask
