"""Synthetic parts with two places to inspect, unlike each other: a row of pins, and a printed label. Each can be bad by itself."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.support.plates import write

Image = NDArray[np.float64]

WIDTH, HEIGHT = 200, 140
PINS, LABEL = (10, 15, 100, 50), (110, 70, 80, 60)  # x, y, width, height
VIEWS = {"pins": PINS, "label": LABEL}
_PINS = range(18, 108, 16)  # the left edge of each


def board(rng: np.random.Generator) -> Image:
    """Return a good part: bright pins, dark lines of print, a lamp that varies."""
    image: Image = 110 + rng.normal(0, 5, (HEIGHT, WIDTH))
    for left in _PINS:
        image[22:58, left : left + 7] = 200
    image[75:125, 115:185] = 210
    for top in range(81, 121, 8):
        image[top : top + 3, 120:180] = 60
    image += rng.normal(0, 3, image.shape)
    return image * rng.uniform(0.95, 1.05)


def bent(rng: np.random.Generator) -> Image:
    """Return a part with half a pin missing."""
    image, left = board(rng), int(rng.choice(_PINS))
    image[22:44, left : left + 7] = 110
    return image


def smeared(rng: np.random.Generator) -> Image:
    """Return a part whose print is smeared."""
    image, top = board(rng), int(rng.integers(85, 105))
    image[top : top + 12, 135:150] = 60
    return image


def write_good(folder: Path, count: int, seed: int = 0) -> None:
    """Write `count` good parts of three days."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        write(folder / f"day-{index % 3}" / f"{index}.png", board(rng))


def write_labelled(root: Path, count: int, seed: int = 1) -> None:
    """Write `count` parts of each kind: below good/, bad/bent and bad/smeared."""
    rng = np.random.default_rng(seed)
    for folder, make in (("good", board), ("bad/bent", bent), ("bad/smeared", smeared)):
        for index in range(count):
            write(root / folder / f"{index}.png", make(rng))
