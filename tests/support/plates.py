"""Synthetic parts: a drilled plate as photographed, and two ways in which one can be bad."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 120
BATCHES = ("monday", "tuesday", "wednesday")
Image = NDArray[np.float64]
Mask = NDArray[np.uint8]


def part(rng: np.random.Generator) -> Image:
    """Return a good plate: four holes, brushed metal, a lamp that varies."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    plate: Image = 150 + 12 * np.sin(columns / 3) + rng.normal(0, 5, (SIDE, SIDE))
    for y, x in ((30, 30), (30, 90), (90, 30), (90, 90)):
        plate[(rows - y) ** 2 + (columns - x) ** 2 < 100] = 40
    plate *= rng.uniform(0.85, 1.1)
    return plate


def scratched(rng: np.random.Generator) -> tuple[Image, Mask]:
    """Return a plate with a bright scratch, and its mask."""
    image, mask = part(rng), np.zeros((SIDE, SIDE), np.uint8)
    start = rng.integers(20, 60, 2)
    cv2.line(mask, start.tolist(), (start + rng.integers(25, 50, 2)).tolist(), 255, 4)
    image[mask > 0] = 245
    return image, mask


def blocked(rng: np.random.Generator) -> tuple[Image, Mask]:
    """Return a plate with one hole not drilled, and its mask."""
    image, mask = part(rng), np.zeros((SIDE, SIDE), np.uint8)
    cv2.circle(mask, (90, 30), 11, 255, -1)
    image[mask > 0] = part(rng)[60:61, :1].item()
    return image, mask


def write_batches(
    root: Path, rng: np.random.Generator, *, each: int, batches: Sequence[str] = BATCHES
) -> None:
    """Write so many good plates into a folder for each batch."""
    for batch in batches:
        for index in range(each):
            write(root / batch / f"{index}.png", part(rng))


def write_labelled(root: Path, rng: np.random.Generator, *, good: int, bad: int) -> None:
    """Write `good` plates and `bad` ones of each kind: below good/, bad/scratch and bad/blocked, their masks below masks/."""
    for index in range(good):
        write(root / "good" / f"{index}.png", part(rng))
    for kind, make in (("scratch", scratched), ("blocked", blocked)):
        for index in range(bad):
            image, mask = make(rng)
            write(root / "bad" / kind / f"{index}.png", image)
            write(root / "masks" / kind / f"{index}_mask.png", mask)


def read(path: Path) -> Mask:
    """Return the pixels of an image file, grey."""
    image: Mask | None = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    return image


def write(path: Path, image: Image | Mask) -> None:
    """Write an image file; its suffix is its format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.clip(image, 0, 255).astype(np.uint8))
