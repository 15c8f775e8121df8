"""From an image to the bytes that a camera would send of it: what the twins of a camera play.

The engine has the other direction (engine/decoding.py), and the tests hold the two against each other.
"""

import numpy as np
from numpy.typing import NDArray

from inspector.pixels import BYTES, GIGE, WORDS, PixelFormat

# The place of red, green or blue (0, 1, 2) in a mosaic's squares of 2 x 2 pixels, by the format's first two letters.
_SQUARES = {"RG": ((0, 1), (1, 2)), "GR": ((1, 0), (2, 1)), "GB": ((1, 2), (0, 1)), "BG": ((2, 1), (1, 0))}


def encode(image: NDArray[np.uint8] | NDArray[np.uint16], form: PixelFormat) -> NDArray[np.uint8]:
    """Return (H, W) grey or (H, W, 3) RGB as the flat bytes of `form`, whose groups must fill the lines.

    8 bits are shifted up to the format's depth; 16 bits are taken for the numbers that a sensor of that depth gave, and cut at its
    greatest.
    """
    samples = _mosaic(image, form.bayer) if form.bayer and image.ndim == 3 else image
    if samples.dtype == np.uint8:
        wide = samples if form.bits == 8 else samples.astype(np.uint16) << (form.bits - 8)
    else:
        wide = np.minimum(samples, 2**form.bits - 1)
    if form.layout == BYTES:
        return np.ascontiguousarray(wide, np.uint8).reshape(-1)
    words = np.ascontiguousarray(wide, "<u2").reshape(-1)
    if form.layout == WORDS:
        return words.view(np.uint8)
    size, pixels = form.group
    groups = words.reshape(-1, pixels)
    if form.layout == GIGE:
        low = groups[:, 0] & 15 | groups[:, 1] << 4 & 0xF0
        return np.stack([groups[:, 0] >> 4, low, groups[:, 1] >> 4], axis=1).astype(np.uint8).reshape(-1)
    bits = np.zeros(len(groups), np.uint64)
    for place in range(pixels):
        bits |= groups[:, place].astype(np.uint64) << np.uint64(place * form.bits)
    return bits.view(np.uint8).reshape(-1, 8)[:, :size].reshape(-1)


def _mosaic(
    image: NDArray[np.uint8] | NDArray[np.uint16], bayer: str
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Keep of each pixel the one colour that its place in the mosaic sees."""
    seen = image[..., 0].copy()
    for row, line in enumerate(_SQUARES[bayer]):
        for column, colour in enumerate(line):
            seen[row::2, column::2] = image[row::2, column::2, colour]
    return seen
