"""Defects laid on images of good parts, for choosing a model where no bad part is known.

They look like no real defect in particular. What they share with real ones is what a choice of scale and taps depends on: how large
the change is and how far it stands out, both spread evenly over their orders of magnitude, from plain down to barely visible.
The idea of cutting and pasting is Li et al., "CutPaste", CVPR 2021; that of foreign texture Zavrtanik et al., "DRAEM", ICCV 2021.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Values = NDArray[np.float32]

_FLAT = 6.0  # grey levels: contrast that an image without any is taken to have
_HARMONICS = 4  # waves around the rim of a blob
_EDGE = 0.25  # share of a blob's radius over which it fades out


@dataclass(frozen=True, slots=True)
class _Blob:
    """An irregular spot: where it lies in the image, and how strongly each of its pixels belongs to it, 0 to 1."""

    rows: slice
    columns: slice
    weight: Values


@dataclass(frozen=True, slots=True)
class _Canvas:
    """A good image as float32 (H, W, C), another good image, the shorter side in pixels, and the image's own contrast."""

    image: Values
    donor: Values
    side: float
    contrast: float


def _scratch(canvas: _Canvas, rng: np.random.Generator) -> None:
    """Draw a thin line that bends, darker or brighter than what it crosses; wild ones look like cracks."""
    height, width = canvas.image.shape[:2]
    steps = 12
    length = _spread(rng, 0.1, 0.8) * canvas.side / steps
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, _spread(rng, 0.02, 0.7), steps))
    points = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1) * length, axis=0)
    points += rng.uniform(0.1, 0.9, 2) * (width, height) - points.mean(axis=0)
    thickness = _spread(rng, 0.005, 0.025) * canvas.side
    drawn = np.zeros((height, width), np.uint8)
    # Sub-pixel ends and a blur for the width, since OpenCV knows whole pixels only.
    cv2.polylines(
        drawn, [np.rint(points * 16).astype(np.int32)], False, 255, max(1, round(thickness)), cv2.LINE_AA, 4
    )
    weight = cv2.GaussianBlur(drawn.astype(np.float32) / 255, (0, 0), 0.5) * min(1.0, thickness)
    canvas.image[...] += weight[..., None] * _amplitude(canvas, rng, 0.5, 5.0)


def _spot(canvas: _Canvas, rng: np.random.Generator) -> None:
    """Darken or brighten a small blob."""
    blob = _blob(canvas, rng, _spread(rng, 0.012, 0.08))
    canvas.image[blob.rows, blob.columns] += blob.weight * _amplitude(canvas, rng, 0.5, 4.0)


def _missing(canvas: _Canvas, rng: np.random.Generator) -> None:
    """Replace a piece by what its rim looks like on average: as if it were not there."""
    blob = _blob(canvas, rng, _spread(rng, 0.03, 0.25))
    region = canvas.image[blob.rows, blob.columns]
    rim = np.concatenate([region[0], region[-1], region[:, 0], region[:, -1]]).mean(axis=0)
    region += blob.weight * (rim - region)


def _doubled(canvas: _Canvas, rng: np.random.Generator) -> None:
    """Repeat a piece beside itself."""
    radius = _spread(rng, 0.03, 0.25)
    blob = _blob(canvas, rng, radius)
    angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.7, 2.0) * radius * canvas.side
    _paste(canvas, blob, canvas.image.copy(), round(far * np.sin(angle)), round(far * np.cos(angle)))


def _texture(canvas: _Canvas, rng: np.random.Generator) -> None:
    """Lay on a piece from elsewhere, in this image or another, turned, and brought to the place's brightness half of the time."""
    blob = _blob(canvas, rng, _spread(rng, 0.03, 0.25))
    source = canvas.donor if rng.random() < 0.5 else canvas.image
    turned = np.ascontiguousarray(np.rot90(source, int(rng.integers(4))))
    down = rng.integers(turned.shape[0]) - blob.rows.start
    across = rng.integers(turned.shape[1]) - blob.columns.start
    _paste(canvas, blob, turned, int(down), int(across), level=rng.random() < 0.5)


def _blur(canvas: _Canvas, rng: np.random.Generator) -> None:
    """Take the sharpness from a piece."""
    blob = _blob(canvas, rng, _spread(rng, 0.06, 0.4))
    region = canvas.image[blob.rows, blob.columns]
    soft = cv2.GaussianBlur(region, (0, 0), _spread(rng, 0.006, 0.05) * canvas.side).reshape(region.shape)
    region += blob.weight * (soft - region)


def _bent(canvas: _Canvas, rng: np.random.Generator) -> None:
    """Push a piece aside, most in its middle."""
    radius = _spread(rng, 0.08, 0.35)
    blob = _blob(canvas, rng, radius)
    region = canvas.image[blob.rows, blob.columns]
    far, angle = _spread(rng, 0.1, 0.6) * radius * canvas.side, rng.uniform(0, 2 * np.pi)
    push = cv2.GaussianBlur(blob.weight[..., 0], (0, 0), max(0.5, 0.3 * radius * canvas.side)) * np.float32(
        far
    )
    rows, columns = np.indices(push.shape, np.float32)
    moved = cv2.remap(
        region,
        columns + push * np.float32(np.cos(angle)),
        rows + push * np.float32(np.sin(angle)),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    region[...] = moved.reshape(region.shape)


def _uneven(canvas: _Canvas, rng: np.random.Generator) -> None:
    """Shade or light a broad area softly."""
    height, width = canvas.image.shape[:2]
    row, column = rng.uniform(0, height), rng.uniform(0, width)
    reach, stretch = _spread(rng, 0.08, 0.4) * canvas.side, _spread(rng, 0.4, 2.5)
    down = np.exp(-0.5 * ((np.arange(height, dtype=np.float32) - row) / (reach * stretch)) ** 2)
    across = np.exp(-0.5 * ((np.arange(width, dtype=np.float32) - column) / (reach / stretch)) ** 2)
    canvas.image[...] += (down[:, None] * across[None, :])[..., None] * _amplitude(canvas, rng, 0.5, 3.0)


_LAY: dict[str, Callable[[_Canvas, np.random.Generator], None]] = {
    "scratch": _scratch,
    "spot": _spot,
    "missing": _missing,
    "doubled": _doubled,
    "texture": _texture,
    "blur": _blur,
    "bent": _bent,
    "uneven": _uneven,
}
KINDS: Sequence[str] = tuple(_LAY)


def lay(kind: str, image: Image, donor: Image, rng: np.random.Generator) -> Image:
    """Return a copy of a good `image` with a defect of this kind (one of KINDS); `donor` is another good image, of any size.

    Both are uint8 (H, W) or (H, W, 3), alike in this; they are not changed. The same generator state gives the same defect. Any thread.
    """
    canvas = _Canvas(
        _values(image),
        _values(donor),
        float(min(image.shape[:2])),
        max(float(image.std()), _FLAT),
    )
    _LAY[kind](canvas, rng)
    return np.rint(np.clip(canvas.image, 0, 255)).astype(np.uint8).reshape(image.shape)


def _values(image: Image) -> Values:
    wide = image.astype(np.float32)
    return wide if wide.ndim == 3 else wide[..., None]


def _spread(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a number between `low` and `high`, every ratio equally likely."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _amplitude(canvas: _Canvas, rng: np.random.Generator, low: float, high: float) -> np.float32:
    """Return a change of grey levels, up or down, `low` to `high` times the image's own contrast."""
    return np.float32(rng.choice((-1, 1)) * _spread(rng, low, high) * canvas.contrast)


def _blob(canvas: _Canvas, rng: np.random.Generator, radius: float) -> _Blob:
    """Return a blob of `radius` (a share of the shorter side) anywhere in the image, at least a pixel across."""
    height, width = canvas.image.shape[:2]
    reach = max(1.0, radius * canvas.side)
    row, column = rng.uniform(0, height), rng.uniform(0, width)
    half = int(np.ceil(1.8 * reach)) + 1
    rows = slice(max(0, int(row) - half), min(height, int(row) + half + 1))
    columns = slice(max(0, int(column) - half), min(width, int(column) + half + 1))
    down = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - np.float32(row)
    across = np.arange(columns.start, columns.stop, dtype=np.float32)[None, :] - np.float32(column)
    turn, stretch = rng.uniform(0, np.pi), _spread(rng, 0.6, 1.6)
    along = (down * np.sin(turn) + across * np.cos(turn)) / stretch
    aside = (down * np.cos(turn) - across * np.sin(turn)) * stretch
    angle = np.arctan2(aside, along)
    rim = np.ones_like(angle)
    for wave in range(2, 2 + _HARMONICS):
        rim += np.float32(rng.normal(0, 0.3 / wave)) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    distance = np.hypot(along, aside) / (reach * np.maximum(rim, 0.3))
    weight = np.clip((1 + _EDGE / 2 - distance) / _EDGE, 0, 1).astype(np.float32)
    return _Blob(rows, columns, weight[..., None])


def _paste(
    canvas: _Canvas, blob: _Blob, source: Values, down: int, across: int, *, level: bool = False
) -> None:
    """Lay on the blob what lies `down` and `across` from it in `source`, which goes on mirrored beyond its edges."""
    rows = _mirrored(np.arange(blob.rows.start, blob.rows.stop) + down, source.shape[0])
    columns = _mirrored(np.arange(blob.columns.start, blob.columns.stop) + across, source.shape[1])
    piece = source[rows[:, None], columns[None, :]]
    region = canvas.image[blob.rows, blob.columns]
    if level:
        piece = piece + (region.mean(axis=(0, 1)) - piece.mean(axis=(0, 1)))
    region += blob.weight * (piece - region)


def _mirrored(index: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    folded = np.abs(index) % max(1, 2 * (size - 1))
    return np.where(folded < size, folded, 2 * (size - 1) - folded)
