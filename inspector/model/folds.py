"""Which images are judged by a model that saw neither them, nor their batch, nor anything as alike as a copy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.model.batches import LEAST, Batches
from inspector.model.calibrate import check_number

FOLDS = 5
# Where each part stands in every batch (one tile under six exposures), leaving out a batch and all copies of it leaves nothing.
# Then families too are shared out, and each model does without some batches and without a third of the families.
_SHARES = 3
_ENOUGH = 0.5  # of the other batches' images must remain for a held-out model, else families are shared out


@dataclass(frozen=True, slots=True)
class Folds:
    """`fold_of` (n,): the fold an image is judged in; `group_of` (n,): images that are left out together, int64 from 0.

    `barred` bool (folds, groups): what the model of a fold must not see, the fold's own images and their copies.
    """

    fold_of: NDArray[np.int64]
    group_of: NDArray[np.int64]
    barred: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """Number of folds, and of models to fit."""
        return len(self.barred)

    def fitted_on(self, fold: int) -> NDArray[np.bool_]:
        """Return which images the fold's model is fitted on, bool (n,)."""
        seen: NDArray[np.bool_] = ~self.barred[fold][self.group_of]
        return seen


def choose_folds(batches: Batches, rng: np.random.Generator) -> Folds:
    """Hold out whole batches where there are several, whole families where there are not, and single images at the very last.

    Raises ImagesError below 20 images.
    """
    total = len(batches.batch_of)
    check_number(total)
    family_of = batches.family_of
    if batches.source in ("folders", "times") and _judged(batches.sizes, total):
        fold_of = balance(batches.sizes, FOLDS)[batches.batch_of]
        folds = _without_copies(fold_of, family_of)
        if _remaining(folds, fold_of) >= _ENOUGH:
            return folds
        if _judged(np.bincount(family_of), total):
            return _crossed(fold_of, balance(np.bincount(family_of), _SHARES)[family_of])
        return _apart(fold_of)
    sizes = np.bincount(family_of)
    if not _judged(sizes, total):  # nearly all are one family, as pictures of one part are
        return _apart((rng.permutation(total) % FOLDS).astype(np.int64))
    shuffled = rng.permutation(len(sizes))  # families are numbered in the files' order
    fold_of = balance(sizes[shuffled], FOLDS)[np.argsort(shuffled)][family_of]
    return _without_copies(fold_of, family_of)


def hold_out_families(batches: Batches) -> Folds:
    """Hold out whole families, however few images there are: of a single one nothing is left."""
    fold_of = balance(np.bincount(batches.family_of), FOLDS)[batches.family_of]
    return _without_copies(fold_of, batches.family_of)


def _judged(sizes: NDArray[np.int64], total: int) -> bool:
    """Say whether a model is left with something when the largest is held out."""
    return len(sizes) > 1 and total - int(sizes.max()) >= max(2 * LEAST, total // 10)


def _apart(fold_of: NDArray[np.int64]) -> Folds:
    """Bar from each fold its own images only, where all are alike and a copy means nothing."""
    return Folds(fold_of, fold_of, np.eye(int(fold_of.max()) + 1, dtype=np.bool_))


def _without_copies(fold_of: NDArray[np.int64], family_of: NDArray[np.int64]) -> Folds:
    """Bar from each fold the families of its images. Images that are barred from the same folds make a group."""
    count = int(fold_of.max()) + 1
    touched = np.zeros((int(family_of.max()) + 1, count), np.bool_)
    touched[family_of, fold_of] = True
    different, group_of = np.unique(touched[family_of], axis=0, return_inverse=True)
    return Folds(fold_of, group_of.reshape(-1).astype(np.int64), np.ascontiguousarray(different.T))


def _remaining(folds: Folds, fold_of: NDArray[np.int64]) -> float:
    """Return the least share of the other batches' images that a fold's model may see."""
    return min(float(folds.fitted_on(fold)[fold_of != fold].mean()) for fold in range(folds.count))


def _crossed(fold_of: NDArray[np.int64], share_of: NDArray[np.int64]) -> Folds:
    """Judge each share of the families in each fold by a model that saw neither that share nor that fold's batches."""
    cells, group_of = np.unique(np.stack([fold_of, share_of], axis=1), axis=0, return_inverse=True)
    barred = (cells[:, None, 0] == cells[None, :, 0]) | (cells[:, None, 1] == cells[None, :, 1])
    group_of = group_of.reshape(-1).astype(np.int64)
    return Folds(group_of, group_of, barred)


def balance(sizes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Share out batches over at most `count` folds of about equal size: the largest first, each to the emptiest fold."""
    load = np.zeros(min(count, len(sizes)), np.int64)
    fold_of_batch = np.zeros(len(sizes), np.int64)
    for batch in np.argsort(-sizes, kind="stable"):
        fold = int(load.argmin())
        fold_of_batch[batch] = fold
        load[fold] += sizes[batch]
    return fold_of_batch
