"""What tuning judges by: a sample of the good images, and synthetic defects laid on some of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspector.engine.preprocess import to_input
from inspector.errors import EngineInputError
from inspector.model.folds import Folds
from inspector.model.framing import Framing
from inspector.model.images import read_frame, refused
from inspector.model.progress import Advance
from inspector.model.synthetic import KINDS, lay

Image = NDArray[np.uint8]

GOOD = 200  # good images, at most
EACH = 20  # defects of each kind
# A third of all defects are broad: with few of them nearly every product gets the largest size, which finds specks and misses shades.
# The share was itself chosen on magnetic tiles and solar cells, where of an eighth to a half it came nearest to what real defects
# reward; what it does on other products has not been measured.
BROAD = {"uneven": 3.5}
JUDGED = 4  # folds whose images are judged, and so models that are fitted for a trial
SIDE = 576  # images are first brought to the area of a square of this side: 1.5 times the largest input that is tried
_TRIES = 10  # to lay a defect where it can be seen


@dataclass(frozen=True, slots=True)
class Sample:
    """Good images first, then images with a defect.

    `kind_of` (images,) is the defect's number in KINDS, -1 for none. `fold_of` (images,) is the fold in which an image is judged, -1
    for good ones that are only fitted on. As in Folds, `group_of` (good,) are good images that are left out together, and `barred`
    (folds, groups) what the model of a fold must not see.
    """

    images: tuple[Image, ...]
    kind_of: NDArray[np.int64]
    fold_of: NDArray[np.int64]
    group_of: NDArray[np.int64]
    barred: NDArray[np.bool_]

    @property
    def good(self) -> int:
        """How many images are good."""
        return len(self.group_of)


def drawn(paths: Sequence[Path], share: float = 1.0) -> int:
    """Return how many of these images a sample has, or a share of a sample."""
    return min(round(GOOD * share), len(paths))


def draw(
    paths: Sequence[Path],
    folds: Folds,
    framing: Framing,
    seed: int,
    advance: Advance,
    *,
    share: float = 1.0,
) -> Sample:
    """Return the same sample for the same images and seed. Raises ImagesError for images that cannot be read.

    `framing` says what of an image a model sees, and how large the sample's images are (SIDE); defects are laid on that, where
    they can be seen. `share`: of good images and defects, where all would be too large.
    """
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(len(paths), drawn(paths, share), replace=False))
    groups, group_of = np.unique(folds.group_of[chosen], return_inverse=True)
    sizes = np.bincount(folds.fold_of[chosen], minlength=folds.count)
    judged = np.argsort(-sizes, kind="stable")[: min(JUDGED, int((sizes > 0).sum()))]
    number = np.full(folds.count, -1)
    number[judged] = np.arange(len(judged))
    fold_of = number[folds.fold_of[chosen]]

    width, height = framing.geometry.filled
    good = []
    for index in chosen:
        good.append(_framed(paths[int(index)], framing)[:height, :width])
        advance(1)
    watched = np.ones((height, width), np.bool_)
    if framing.watched is not None:
        watched = framing.watched[:height, :width]
    kinds = np.repeat(np.arange(len(KINDS)), [_number(kind, share) for kind in KINDS])
    laid, under = _defects(good, np.flatnonzero(fold_of >= 0), watched, rng, share)
    return Sample(
        (*good, *laid),
        np.concatenate([np.full(len(good), -1), kinds]),
        np.concatenate([fold_of, fold_of[under]]),
        group_of.reshape(-1).astype(np.int64),
        folds.barred[np.ix_(judged, groups)],
    )


def _defects(
    good: Sequence[Image],
    judged: NDArray[np.int64],
    watched: NDArray[np.bool_],
    rng: np.random.Generator,
    share: float,
) -> tuple[list[Image], list[int]]:
    """Lay defects of every kind, in turn, on judged images; return them, and on which image each lies."""
    laid, under = [], []
    for kind in KINDS:
        number = _number(kind, share)
        for index in rng.choice(judged, number, replace=len(judged) < number).tolist():
            donor = good[int(rng.integers(len(good)))]
            laid.append(_laid(kind, good[index], donor, watched, rng))
            under.append(index)
    return laid, under


def _number(kind: str, share: float) -> int:
    return max(1, round(EACH * BROAD.get(kind, 1) * share))


def _framed(path: Path, framing: Framing) -> Image:
    """Return what a model sees of the image, (H, W) or (H, W, 3)."""
    try:
        seen = to_input(read_frame(path, framing.geometry.channels), framing.geometry)[0]
    except EngineInputError as error:
        raise refused(path, error) from error
    picture: Image = seen[:, :, 0] if seen.shape[2] == 1 else seen
    return picture


def _laid(
    kind: str, image: Image, donor: Image, watched: NDArray[np.bool_], rng: np.random.Generator
) -> Image:
    """Lay a defect where something is watched; where little is, the last try stays as it fell."""
    laid = image
    for _ in range(_TRIES):
        laid = lay(kind, image, donor, rng)
        changed = laid != image if image.ndim == 2 else (laid != image).any(axis=2)
        if (changed & watched).sum() * 2 >= max(1, changed.sum()):
            break
    return laid
