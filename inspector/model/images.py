"""Folders of images: what is in them, what they have in common, and reading one."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.engine.decoding import Samples
from inspector.engine.preprocess import ASPECT_TOLERANCE
from inspector.errors import EngineInputError, ImagesError, PoseError
from inspector.model.likeness import thumbnail
from inspector.model.progress import Advance, uncounted
from inspector.model.wording import counted

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pnm", ".jp2"}
)
STEP = 32  # sides of a graph's input come in steps of this by default, so that no grid is cut
_NAMED = 10  # unreadable images that a message names
_SIZES_NAMED = 3  # sizes of images that a message names


@dataclass(frozen=True, slots=True)
class Survey:
    """What images have in common: 1 or 3 channels, the median aspect (width / height), how many differ, oddities to tell.

    `thumbnails` uint8 (n, SIDE, SIDE), in the images' order. `size` (width, height) where all have the same, `uniform` where their
    aspects do, `bits` of their grey levels. `sizes` says in words which sizes there are, where there are several.
    """

    channels: int
    aspect: float
    different: int
    thumbnails: NDArray[np.uint8]
    warnings: tuple[str, ...]
    size: tuple[int, int] | None = None
    uniform: bool = True
    bits: int = 8
    sizes: str = ""
    digests: tuple[str, ...] = ()


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
    return _to_eight(read_frame(path, channels))


def _to_eight(frame: Samples) -> NDArray[np.uint8]:
    """Return a picture of 8 bits, the upper ones of those that the frame uses: for people, masks and comparisons."""
    if frame.dtype == np.uint8:
        return frame.astype(np.uint8, copy=False)
    used = int(np.bitwise_or.reduce(frame, axis=None)).bit_length()
    return (frame >> max(0, used - 8)).astype(np.uint8)


def read_frame(path: Path, channels: int) -> Samples:
    """Return the image as `read_image` does, but uint16 where the file holds more than 8 bits: what an engine scores."""
    flags = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR_RGB
    flags |= cv2.IMREAD_ANYDEPTH
    flags |= cv2.IMREAD_IGNORE_ORIENTATION  # a camera knows no EXIF: pixels are taken as they are stored
    # OpenCV would print its own lines beside our one. For good: of two threads that read, each would restore what the other had set.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        # From memory, since imread fills up a JPEG that was cut off with grey, and says nothing.
        image: NDArray[Any] | None = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flags)
    except OSError as error:
        raise ImagesError(
            f"{path}: cannot be read, {error.strerror}; check the file and its rights"
        ) from error
    except cv2.error:  # what OpenCV raises for an empty file
        image = None
    if image is None:
        raise ImagesError(f"{path}: expected an image, OpenCV cannot decode it; remove or replace the file")
    if image.dtype not in (np.uint8, np.uint16):
        raise ImagesError(
            f"{path}: expected grey levels of 8 to 16 bits, got {image.dtype}; save it as PNG or TIFF of whole numbers"
        )
    return image


def refused(path: Path, error: EngineInputError) -> ImagesError:
    """Return what is said of the image at `path` that the engine does not take: what helps with a file, not with a camera."""
    if isinstance(error, PoseError):
        found = str(error).partition("; ")[0]
        return ImagesError(
            f"{path}: {found}; fit with more pixels or degrees in --align, or leave the image out"
        )
    return ImagesError(f"{path}: {error}; or leave the image out")


def batch_of(path: Path, root: Path) -> str:
    """Return the first folder below `root` on the way to `path`: its batch, or its kind of defect; root's name without one."""
    parts = path.relative_to(root).parts
    return parts[0] if len(parts) > 1 else root.name


@dataclass(frozen=True, slots=True)
class _Look:
    """What one image gave: `used`, every bit that is set in it; `digest`, the SHA-256 of its pixels."""

    size: tuple[int, int]
    used: int
    coloured: bool
    digest: str
    thumbnail: NDArray[np.uint8]


def survey(paths: Sequence[Path], advance: Advance = uncounted) -> Survey:
    """Read every image once, on all cores, and say what they have in common. Raises ImagesError that names the unreadable ones."""
    looks, unreadable = [], []
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)), "survey") as pool:
        for look in pool.map(_look, paths):
            if isinstance(look, ImagesError):
                unreadable.append(look)
            else:
                looks.append(look)
            advance(1)
    require_readable(unreadable, len(paths))
    sizes: dict[tuple[int, int], list[Path]] = {}
    for path, look in zip(paths, looks, strict=True):
        sizes.setdefault(look.size, []).append(path)
    aspects = np.array([width / height for width, height in (look.size for look in looks)])
    aspect = float(np.median(aspects))
    coloured, different = sum(look.coloured for look in looks), len({look.digest for look in looks})
    used = int(np.bitwise_or.reduce([look.used for look in looks]))
    named = _named(sizes) if len(sizes) > 1 else ""
    warnings = tuple(_oddities(aspects, aspect, coloured, different, named))
    return Survey(
        3 if coloured else 1,
        aspect,
        different,
        np.stack([look.thumbnail for look in looks]),
        warnings,
        size=next(iter(sizes)) if len(sizes) == 1 else None,
        uniform=not _others(aspects, aspect),
        bits=next(bits for bits in (8, 10, 12, 14, 16) if used < 2**bits),
        sizes=named,
        digests=tuple(look.digest for look in looks),
    )


def _look(path: Path) -> _Look | ImagesError:
    try:
        frame = read_frame(path, channels=3)
    except ImagesError as error:
        return error
    image = _to_eight(frame)
    return _Look(
        (image.shape[1], image.shape[0]),
        int(np.bitwise_or.reduce(frame, axis=None)),
        bool((image[..., :2] != image[..., 1:]).any()),
        hashlib.sha256(frame.tobytes()).hexdigest(),
        thumbnail(image),
    )


def require_readable(unreadable: Sequence[ImagesError], total: int) -> None:
    """Raise one ImagesError for all images that could not be read: the first ten by name, and how many there are."""
    if len(unreadable) == 1:
        raise unreadable[0]
    if unreadable:
        names = ", ".join(str(error).split(": ", 1)[0] for error in unreadable[:_NAMED])
        more = f" and {len(unreadable) - _NAMED} more" if len(unreadable) > _NAMED else ""
        raise ImagesError(
            f"expected {total} images, OpenCV cannot decode {len(unreadable)}: {names}{more}; remove or replace these files"
        )


def _named(sizes: dict[tuple[int, int], list[Path]]) -> str:
    """Return the most frequent sizes in words: how many images have each, and one of them."""
    ordered = sorted(sizes.items(), key=lambda entry: (-len(entry[1]), entry[0]))
    words = [
        f"{width} x {height} ({counted(len(paths), 'image')}, e.g. {paths[0]})"
        for (width, height), paths in ordered[:_SIZES_NAMED]
    ]
    more = len(ordered) - _SIZES_NAMED
    return ", ".join(words) + (f" and {more} more sizes" if more > 0 else "")


def _oddities(
    aspects: NDArray[np.float64], aspect: float, coloured: int, different: int, sizes: str
) -> Iterator[str]:
    total = len(aspects)
    odd = _others(aspects, aspect)
    if odd:
        yield (
            f"{odd} of {total} images have another shape than width = {aspect:.2f} x height and are stretched to it: {sizes}; "
            "a camera has one size: fit on the files of one size, or crop all files to one size beforehand"
        )
    if 0 < coloured < total:
        yield f"{total - coloured} of {total} images are grey among coloured ones; fit on images of one camera"
    if different < total:
        yield f"{total - different} of {total} images are copies of others, and tell nothing new; remove the copies"


def _others(aspects: NDArray[np.float64], aspect: float) -> int:
    """Return how many are of another shape."""
    return int((np.abs(np.log(aspects / aspect)) > ASPECT_TOLERANCE).sum())


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
