"""Which good images belong together: recorded in one go, by folder or time, or as alike as copies.

Two things are told apart. A *batch* is a lot, a day, a set-up: what differs between batches will differ again with the next one, so
the threshold is judged on whole batches. A *family* is the same part, or parts as alike as copies: they must never stand on both
sides of a fold, in whatever batches they lie.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inspector.model.images import batch_of
from inspector.model.likeness import families

Source = Literal["folders", "times", "likeness", "none"]

# A pause is this long at least, and this many times the usual distance of two images: breakfast is none, a shift is.
_PAUSE_S, _PAUSE_FACTOR = 3600.0, 20.0
LEAST = 5  # images of a batch that can be judged by itself
_STAMP = re.compile(
    r"(?<!\d)(20\d\d)[-_.]?([01]\d)[-_.]?([0-3]\d)[-_.T ]?([0-2]\d)[-_.:h]?([0-5]\d)(?:[-_.:m]?([0-5]\d))?"
)
_EXIF_STAMP = re.compile(rb"(20\d\d):([01]\d):([0-3]\d) ([0-2]\d):([0-5]\d):([0-5]\d)\x00")
_EXIF_BYTES = 65_536  # the first segment of a JPEG is no longer


@dataclass(frozen=True, slots=True)
class Batches:
    """The batch of each image by number from 0, the batches' names, and the family of each image. Arrays int64 (n,).

    `source`: where the batches come from; "none" where all images are one. `files`: the images' names, where they are known.
    """

    batch_of: NDArray[np.int64]
    names: tuple[str, ...]
    family_of: NDArray[np.int64]
    source: Source
    files: tuple[str, ...] = ()

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Images of each batch."""
        return np.bincount(self.batch_of, minlength=len(self.names))

    def part(self, chosen: NDArray[np.bool_]) -> "Batches":
        """Return the batches of the images where `chosen` (n,) is true, without those of which nothing is left."""
        kept, batch_of = np.unique(self.batch_of[chosen], return_inverse=True)
        names = tuple(self.names[number] for number in kept)
        files = tuple(name for name, taken in zip(self.files, chosen, strict=False) if taken)
        return Batches(
            batch_of.reshape(-1).astype(np.int64), names, self.family_of[chosen], self.source, files
        )

    def labels(self) -> list[str]:
        """Return the name of each image's batch."""
        return [self.names[number] for number in self.batch_of]


def find_batches(paths: Sequence[Path], root: Path, thumbnails: NDArray[np.uint8]) -> Batches:
    """Return batches by the sub-folders of `root`; without any by pauses in recording; without those by families."""
    found = _find(paths, root, families(thumbnails))
    return replace(found, files=tuple(str(path.relative_to(root)) for path in paths))


def _find(paths: Sequence[Path], root: Path, family_of: NDArray[np.int64]) -> Batches:
    folders = [batch_of(path, root) for path in paths]
    if len(set(folders)) > 1:
        return _named(folders, family_of, "folders")
    stamps = _stamps(paths)
    if stamps is not None and (parts := _by_pauses(stamps)) is not None:
        return _named(parts, family_of, "times")
    large = np.flatnonzero(np.bincount(family_of) >= LEAST)
    if len(large) > 1:
        names = [f"family {family + 1}" if family in large else "single images" for family in family_of]
        return _named(names, family_of, "likeness")
    return _named(folders, family_of, "none")


def _named(names: Sequence[str], family_of: NDArray[np.int64], source: Source) -> Batches:
    different, batch = np.unique(np.array(names), return_inverse=True)
    return Batches(batch.astype(np.int64), tuple(str(name) for name in different), family_of, source)


def _stamps(paths: Sequence[Path]) -> NDArray[np.float64] | None:
    """Return when each image was taken, seconds, or None where no source tells it for all of them.

    The file's name comes first, then EXIF. The file system's time comes last and is believed only where it can be the camera's:
    a copy that keeps no times writes hundreds of files within minutes, so that it shows no pause of an hour.
    """
    for read in (_from_name, _from_exif):
        found = [read(path) for path in paths]
        times = [stamp for stamp in found if stamp is not None]
        if len(times) == len(paths):
            return np.array(times)
    return np.array([path.stat().st_mtime for path in paths])


def _from_name(path: Path) -> float | None:
    match = _STAMP.search(path.stem)
    return None if match is None else _seconds(match.groups(default="0"))


def _from_exif(path: Path) -> float | None:
    with path.open("rb") as file:
        head = file.read(_EXIF_BYTES)
    matches = _EXIF_STAMP.findall(head) if b"Exif\x00" in head else []
    return _seconds([part.decode() for part in matches[-1]]) if matches else None


def _seconds(parts: Sequence[str]) -> float | None:
    try:
        # Only differences count, so that the camera's time zone does not matter; UTC has no hour twice.
        return datetime.fromisoformat("{}-{}-{}T{}:{}:{}+00:00".format(*parts)).timestamp()
    except ValueError:
        return None  # digits that are no time, as 20991399


def _by_pauses(stamps: NDArray[np.float64]) -> list[str] | None:
    """Cut the images where recording paused; None where it never did, or leaves no two batches worth the name."""
    if len(stamps) < 2 * LEAST:
        return None
    order = np.argsort(stamps, kind="stable")
    steps = np.diff(stamps[order])
    usual = float(np.median(steps))
    cuts = np.flatnonzero(steps > max(_PAUSE_S, _PAUSE_FACTOR * usual)) + 1
    edges = [0, *cuts.tolist(), len(stamps)]
    if sum(end - start >= LEAST for start, end in pairwise(edges)) < 2:
        return None
    names = [""] * len(stamps)
    for number, (start, end) in enumerate(pairwise(edges), start=1):
        for index in order[start:end]:
            names[index] = f"period {number:0{len(str(len(edges)))}}"
    return names
