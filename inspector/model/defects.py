"""Images of known defects: one sub-folder for each kind, its name the defect's, and masks of where it is, if there are any.

A folder without sub-folders is one kind that has no name of its own.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.errors import ImagesError
from inspector.model.images import find_mask, list_images, read_image

# Below, one odd example is a third of what a defect is said to look like. Magnetic tiles: 5 examples of each class help already.
LEAST_EXAMPLES = 3
UNNAMED = "defect"  # what images in no sub-folder are said to have
MOST_CLASSES = 64  # a name for each in every record; nobody tells more apart
# Letters, digits, - and _: names go into logs, labels of metrics and reports.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
_COPY_SIDE = 32  # pixels of the thumbnails that find what may be a copy
_COPY_GREY = 4.0  # grey levels that storing an image again may change, averaged over 3 x 3 pixels: JPEG at usual qualities


@dataclass(frozen=True, slots=True)
class Example:
    """One image with a known defect: its class by number, and its mask or None."""

    path: Path
    kind: int
    mask: Path | None


@dataclass(frozen=True, slots=True)
class DefectImages:
    """The names of the classes, sorted, all examples in their order, and oddities to tell."""

    names: tuple[str, ...]
    examples: tuple[Example, ...]
    warnings: tuple[str, ...] = ()

    @property
    def counts(self) -> tuple[int, ...]:
        """Examples of each class."""
        return tuple(
            sum(example.kind == kind for example in self.examples) for kind in range(len(self.names))
        )


def list_defects(folder: Path, masks: Path | None = None) -> DefectImages:
    """Return the examples below `folder`, with their masks below `masks` where that is given. Raises ImagesError.

    Without sub-folders all are of the one kind UNNAMED; images beside sub-folders are refused, since they may belong into one.
    A mask that is black throughout is none: published sets hold some, and an example helps without one too.
    """
    paths = list_images(folder)
    loose = [path for path in paths if path.parent == folder]
    if loose and len(loose) < len(paths):
        raise ImagesError(
            f"{loose[0]}: expected images of known defects in sub-folders named after the defect, found one beside them; "
            "move it into the folder of its defect, or all images into one folder where no kinds are to be told apart"
        )
    by_name: dict[str, list[Path]] = {}
    for path in paths:
        by_name.setdefault(UNNAMED if loose else path.relative_to(folder).parts[0], []).append(path)
    for name, of_class in by_name.items():
        _check_class(folder if loose else folder / name, name, len(of_class))
    if len(by_name) > MOST_CLASSES:
        raise ImagesError(
            f"{folder}: expected at most {MOST_CLASSES} kinds of defect, found {len(by_name)}; join those that are alike"
        )
    names = tuple(sorted(by_name))
    examples, black = [], []
    for kind, name in enumerate(names):
        for path in by_name[name]:
            mask = None if masks is None else find_mask(path, folder, masks)
            if mask is not None and not _white(mask).any():
                black.append(mask)
                mask = None
            examples.append(Example(path, kind, mask))
    warnings = (
        ()
        if not black
        else (
            f"{len(black)} of {len(examples)} masks are all black, {black[0]} the first: those defects are looked for as without masks",
        )
    )
    return DefectImages(names, tuple(examples), warnings)


def require_no_copies(examples: Sequence[Example], good: Sequence[Path]) -> None:
    """Raise ImagesError where an example is the same picture as a good one: a part cannot be both.

    Copies are looked for in thumbnails and confirmed at full size, since a small defect changes few pixels only.
    """
    known = np.stack([_thumbnail(read_image(path, 1)) for path in good])
    for example in examples:
        image = read_image(example.path, 1)
        apart = np.abs(known - _thumbnail(image)).max(axis=(1, 2))
        for index in np.flatnonzero(apart <= 2 * _COPY_GREY):
            if _same(image, read_image(good[int(index)], 1)):
                raise ImagesError(
                    f"{example.path}: expected an image with a defect, it is a copy of the good image {good[int(index)]}; "
                    "remove one of the two"
                )


def read_mask(path: Path, size: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return where the defect is, bool `size` (H, W). Raises ImagesError for a mask of another size."""
    mask = _white(path)
    if mask.shape != size:
        raise ImagesError(
            f"{path}: expected a mask of {size[1]} x {size[0]} pixels like its image, found {mask.shape[1]} x {mask.shape[0]}; "
            "draw it on the image as the camera took it"
        )
    return mask


def _check_class(folder: Path, name: str, count: int) -> None:
    if not _NAME.fullmatch(name):
        raise ImagesError(
            f"{folder}: expected the name of a defect of letters, digits, '-' and '_', at most 32 and a letter first, "
            f"got {name!r}; rename the folder"
        )
    if count < LEAST_EXAMPLES:
        raise ImagesError(
            f"{folder}: expected at least {LEAST_EXAMPLES} examples of a defect, found {count}, and from fewer nothing can be held out "
            "to see whether they help; add images, or remove the folder"
        )


def _white(path: Path) -> NDArray[np.bool_]:
    return np.asarray(read_image(path, 1) > 127)


def _thumbnail(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    small = cv2.resize(image, (_COPY_SIDE, _COPY_SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def _same(image: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    return (
        image.shape == other.shape and float(cv2.blur(cv2.absdiff(image, other), (3, 3)).max()) <= _COPY_GREY
    )
