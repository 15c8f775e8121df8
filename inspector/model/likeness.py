"""Which images show the same part, or parts as alike as copies: told from thumbnails.

All good images of a product resemble each other, so that a plain correlation says little (two different magnetic tiles correlate up
to .95). What all have in common is taken out first: thumbnails are whitened over the set, and what is left correlates only
where two images share what the others do not have. Measured on 619 magnetic tiles, photographed six times each, whose file numbers
tell the tile: 88 % of the pairs of one tile come to stand in one family, against 1 in 100 pairs of different tiles above .43. On solar
cells whole modules hang together at that likeness; they are a kind, no copies, and are divided again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.errors import PackError

SIDE = 32  # of a thumbnail, pixels; 24 and 48 told tiles apart about as well
ALIKE = 0.5  # likeness of two images of one family: above what 99.5 % of the pairs of different tiles have
# Likeness of an image to a fitted one that is taken for a copy. Higher than ALIKE, since here a warning is at stake, not a
# threshold: parts of one lot may be alike.
COPY = 0.8
_STEPS = (
    ALIKE,
    0.6,
    0.7,
    0.8,
    0.9,
)  # likeness that links a family, and those that divide one too large to be copies
_FEW, _SHARE = 12, 0.05  # images, and share of all, that one part may be photographed
# Share of the total variance added to each direction's, so that those that few images use stay quiet.
_SHRINKAGE = 0.01
_LEARNT = 512  # thumbnails that the whitening is learnt from: 50 ms, where all pixels' products cost seconds on a busy machine


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return `image` (H, W) or (H, W, 3) RGB as grey uint8 (SIDE, SIDE)."""
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small: NDArray[np.uint8] = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return small


@dataclass(frozen=True, slots=True)
class Likeness:
    """Compares thumbnails by what sets them apart from the usual image of a set. Made by `of`."""

    mean: NDArray[np.float32]
    projection: NDArray[np.float32]

    @classmethod
    def of(cls, thumbnails: NDArray[np.uint8]) -> "Likeness":
        """Learn what thumbnails (n, SIDE, SIDE) have in common, from at most 512 of them."""
        step = -(-len(thumbnails) // _LEARNT)
        rows = _standardised(thumbnails[::step])
        mean = rows.mean(axis=0)
        centred = (rows - mean).astype(np.float64)
        # The small side of the matrix: its products between images have the same eigenvalues as those between pixels.
        variances, weights = np.linalg.eigh(centred @ centred.T / len(rows))
        quiet = _SHRINKAGE * max(float(variances.sum()), 1e-12)
        used = variances > 1e-9 * quiet
        variances, directions = variances[used], centred.T @ weights[:, used]
        directions /= np.linalg.norm(directions, axis=0)
        # What no image uses is scaled like a direction without variance.
        gains = 1 / np.sqrt(variances + quiet) - 1 / np.sqrt(quiet)
        projection = np.eye(centred.shape[1]) / np.sqrt(quiet) + (directions * gains) @ directions.T
        return cls(mean, projection.astype(np.float32))

    def vectors(self, thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return unit vectors float32 (n, SIDE * SIDE) whose products are likenesses: 1 for copies, about 0 for strangers."""
        white = (_standardised(thumbnails) - self.mean) @ self.projection
        # An image that is just the mean has nothing of its own; it is like none.
        length = np.maximum(np.linalg.norm(white, axis=1, keepdims=True), 1e-6)
        vectors: NDArray[np.float32] = (white / length).astype(np.float32)
        return vectors


def families(thumbnails: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the family of each thumbnail, int64 (n,), from 0: whoever is alike, directly or through others. n * n bits of memory.

    A family that holds a twentieth of all is no part photographed again, but a kind or a lot whose parts look alike: it is looked
    at more strictly, until what remains are copies.
    """
    vectors = Likeness.of(thumbnails).vectors(thumbnails)
    family = np.empty(len(vectors), np.int64)
    most = max(_FEW, _SHARE * len(vectors))
    found, waiting = 0, [(np.arange(len(vectors)), 0)]
    while waiting:
        images, step = waiting.pop()
        linked = _linked(vectors[images], _STEPS[step])
        for number in range(int(linked.max()) + 1):
            members = images[linked == number]
            if len(members) > most and step + 1 < len(_STEPS):
                waiting.append((members, step + 1))
            else:
                family[members] = found
                found += 1
    first = np.unique(family, return_index=True)[1]
    return np.argsort(np.argsort(first))[family]  # numbered in the order of the images


def _linked(vectors: NDArray[np.float32], least: float) -> NDArray[np.int64]:
    """Return the group of each unit vector, int64 (n,), from 0: those are linked whose likeness is above `least`."""
    count = len(vectors)
    alike = np.empty((count, -(-count // 8)), np.uint8)  # bits: of 20,000 images they are 50 MB
    for start in range(0, count, 1024):
        alike[start : start + 1024] = np.packbits(vectors[start : start + 1024] @ vectors.T > least, axis=1)
    group = np.full(count, -1, np.int64)
    found = 0
    for first in range(count):
        if group[first] >= 0:
            continue
        reached = np.array([first])
        while len(reached):
            group[reached] = found
            near = np.unpackbits(np.bitwise_or.reduce(alike[reached], axis=0), count=count)
            reached = np.flatnonzero(near.astype(np.bool_) & (group < 0))
        found += 1
    return group


def copies(new: NDArray[np.uint8], fitted: NDArray[np.uint8], least: float = COPY) -> NDArray[np.bool_]:
    """Return which of `new` (n, SIDE, SIDE) are near-copies of a fitted thumbnail (m, SIDE, SIDE), bool (n,): more alike than `least`."""
    likeness = Likeness.of(fitted)
    known, vectors = likeness.vectors(fitted), likeness.vectors(new)
    found = np.empty(len(new), np.bool_)
    for start in range(0, len(new), 1024):
        found[start : start + 1024] = (vectors[start : start + 1024] @ known.T > least).any(axis=1)
    return found


def to_sheet(thumbnails: NDArray[np.uint8] | Sequence[NDArray[np.uint8]]) -> bytes:
    """Return thumbnails (n, SIDE, SIDE) as one PNG, one below the other."""
    written, png = cv2.imencode(".png", np.reshape(np.asarray(thumbnails), (-1, SIDE)))
    if not written:
        raise PackError("expected thumbnails that can be encoded as PNG, OpenCV refused; fit on fewer images")
    return bytes(png.tobytes())


def from_sheet(png: bytes) -> NDArray[np.uint8]:
    """Return the thumbnails (n, SIDE, SIDE) of a sheet. Raises PackError where it is none."""
    sheet = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    if sheet is None or sheet.shape[1] != SIDE or sheet.shape[0] % SIDE:
        raise PackError(
            "expected a sheet of thumbnails in the pack, found something else; fit the model again"
        )
    return np.reshape(np.asarray(sheet, np.uint8), (-1, SIDE, SIDE))


def _standardised(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return flat thumbnails of mean 0 and length 1, so that exposure does not tell images apart."""
    rows = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    scaled: NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return scaled
