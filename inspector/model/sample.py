"""What tuning judges by: a sample of the good images, and synthetic defects laid on some of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspector.engine.resize import resize
from inspector.model.images import read_image
from inspector.model.progress import Advance
from inspector.model.synthetic import KINDS, lay

Image = NDArray[np.uint8]

GOOD = 200  # good images, at most
EACH = 24  # defects of each kind
GROUPS = 3  # parts of the sample that are held out in turn
_SIDE = 576  # images are first reduced to the area of a square of this side: 1.5 times the largest input that is tried


@dataclass(frozen=True, slots=True)
class Sample:
    """Good images first, then images with a defect; each is held out with its group, and so is whatever was laid on it.

    `kind_of` is the defect's number in KINDS, -1 for none.
    """

    images: tuple[Image, ...]
    group_of: NDArray[np.int64]
    kind_of: NDArray[np.int64]

    @property
    def good(self) -> int:
        """How many images are good."""
        return int((self.kind_of < 0).sum())

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return int(self.group_of.max()) + 1


def drawn(paths: Sequence[Path]) -> int:
    """Return how many of these images a sample has."""
    return min(GOOD, len(paths))


def draw(
    paths: Sequence[Path], fold_of: NDArray[np.int64], channels: int, seed: int, advance: Advance
) -> Sample:
    """Return the same sample for the same images and seed. A group is one fold or several whole ones. Raises ImagesError."""
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(len(paths), drawn(paths), replace=False))
    group_of = np.unique(fold_of[chosen] % GROUPS, return_inverse=True)[1]
    good = []
    for index in chosen:
        good.append(_reduced(read_image(paths[int(index)], channels)))
        advance(1)
    images, groups, kinds = list(good), list(group_of), [-1] * len(good)
    for kind, name in enumerate(KINDS):
        for under in rng.choice(len(good), EACH, replace=len(good) < EACH):
            donor = good[int(rng.integers(len(good)))]
            images.append(lay(name, good[int(under)], donor, rng))
            groups.append(group_of[under])
            kinds.append(kind)
    return Sample(tuple(images), np.array(groups, np.int64), np.array(kinds, np.int64))


def _reduced(image: Image) -> Image:
    height, width = image.shape[:2]
    factor = _SIDE / math.sqrt(height * width)
    if factor >= 1:
        return image
    return resize(image, round(height * factor), round(width * factor)).astype(np.uint8, copy=False)
