"""Folders of images: what is in them, what they have in common, and reading one."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.errors import ImagesError

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pnm", ".jp2"}
)
STEP = 32  # sides of a graph's input come in steps of this by default, so that no grid is cut
_ASPECT_TOLERANCE = 0.05  # a part that is stretched less than this still looks like itself


@dataclass(frozen=True, slots=True)
class Survey:
    """What images have in common: 1 or 3 channels, the median aspect (width / height), how many differ, oddities to tell."""

    channels: int
    aspect: float
    different: int
    warnings: tuple[str, ...]


def list_images(folder: Path) -> list[Path]:
    """Return all images below `folder`, sorted by path. Raises ImagesError where there are none."""
    if not folder.is_dir():
        raise ImagesError(f"{folder}: expected a folder of images, there is none; correct the path")
    found = sorted(
        path for path in _files_below(folder) if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    if not found:
        raise ImagesError(
            f"{folder}: expected images ({', '.join(sorted(SUFFIXES))}), found none; correct the path"
        )
    return found


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield every file that is not hidden, also below linked folders: a lot is often a link to where it was recorded."""
    seen: set[Path] = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        here = Path(root)
        if here.resolve() in seen:
            folders.clear()  # a link to a folder above it, or one folder linked twice
            continue
        seen.add(here.resolve())
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (here / name for name in files if not name.startswith("."))


def read_image(path: Path, channels: int) -> NDArray[np.uint8]:
    """Return the image as uint8, (H, W) for one channel or (H, W, 3) RGB for three. Raises ImagesError."""
    flags = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR_RGB
    flags |= cv2.IMREAD_IGNORE_ORIENTATION  # a camera knows no EXIF: pixels are taken as they are stored
    level = cv2.utils.logging.setLogLevel(
        cv2.utils.logging.LOG_LEVEL_SILENT
    )  # OpenCV would print its own lines beside our one
    try:
        # From memory, since imread fills up a JPEG that was cut off with grey, and says nothing.
        image: NDArray[np.uint8] | None = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flags)
    except OSError as error:
        raise ImagesError(
            f"{path}: cannot be read, {error.strerror}; check the file and its rights"
        ) from error
    except cv2.error:  # what OpenCV raises for an empty file
        image = None
    finally:
        cv2.utils.logging.setLogLevel(level)
    if image is None:
        raise ImagesError(f"{path}: expected an image, OpenCV cannot decode it; remove or replace the file")
    return image


def batch_of(path: Path, root: Path) -> str:
    """Return the first folder below `root` on the way to `path`: its batch, or its kind of defect; root's name without one."""
    parts = path.relative_to(root).parts
    return parts[0] if len(parts) > 1 else root.name


def survey(paths: Sequence[Path]) -> Survey:
    """Read every image once and say what they have in common. Raises ImagesError for the first unreadable one."""
    aspects, coloured, contents = np.empty(len(paths)), 0, set()
    for index, path in enumerate(paths):
        image = read_image(path, channels=3)
        aspects[index] = image.shape[1] / image.shape[0]
        coloured += bool((image[..., :2] != image[..., 1:]).any())
        contents.add(hashlib.sha256(image.tobytes()).digest())
    aspect = float(np.median(aspects))
    odd = int((np.abs(np.log(aspects / aspect)) > _ASPECT_TOLERANCE).sum())
    warnings = []
    if odd:
        warnings.append(
            f"{odd} of {len(paths)} images have another shape than width = {aspect:.2f} x height and are stretched to it; "
            "fit on images of one camera and one region of interest"
        )
    if 0 < coloured < len(paths):
        warnings.append(
            f"{len(paths) - coloured} of {len(paths)} images are grey among coloured ones; fit on images of one camera"
        )
    if len(contents) < len(paths):
        warnings.append(
            f"{len(paths) - len(contents)} of {len(paths)} images are copies of others, and the threshold comes out too low; "
            "remove the copies"
        )
    return Survey(3 if coloured else 1, aspect, len(contents), tuple(warnings))


def input_size(aspect: float, pixels: int) -> tuple[int, int]:
    """Return (height, width) of an area of `pixels` squared with this aspect, sides in steps of 32.

    Of the four roundings the one nearest in area and aspect is taken.
    """
    exact = pixels / aspect**0.5, pixels * aspect**0.5
    options = [
        (max(STEP, STEP * (int(exact[0] // STEP) + i)), max(STEP, STEP * (int(exact[1] // STEP) + j)))
        for i in (0, 1)
        for j in (0, 1)
    ]
    return min(options, key=lambda side: abs(np.log(side[0] / exact[0])) + abs(np.log(side[1] / exact[1])))


def find_mask(image: Path, images: Path, masks: Path) -> Path:
    """Return the mask of an image: the same place below `masks`, as `<name>_mask.png` or `<name>.png`."""
    place = masks / image.relative_to(images).parent
    for candidate in (place / f"{image.stem}_mask.png", place / f"{image.stem}.png"):
        if candidate.is_file():
            return candidate
    raise ImagesError(
        f"{image}: expected its mask at {place / image.stem}_mask.png, there is none; add it or leave out --masks"
    )
