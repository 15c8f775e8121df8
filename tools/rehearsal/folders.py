"""Which images are fitted on and which are shown as parts, and the raw files that simcam plays."""

import itertools
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.errors import ImagesError
from inspector.model.images import batch_of, list_images, read_image

ENOUGH_BATCHES = 3  # from here on whole batches are kept apart


@dataclass(frozen=True, slots=True)
class Shown:
    """An image that passes the camera as a part: the camera's name for it, where it came from, and its truth."""

    name: str
    path: Path
    good: bool


def split(good: Path, fit_share: float, seed: int) -> tuple[list[Path], list[Path]]:
    """Return the good images to fit on and those to show; no image is in both.

    Whole batches (sub-folders) are kept apart where there are at least three, since images of one batch flatter the model.
    """
    images = list_images(good)
    rng = random.Random(seed)
    batches: dict[str, list[Path]] = {}
    for path in images:
        batches.setdefault(batch_of(path, good), []).append(path)
    groups = list(batches.values()) if len(batches) >= ENOUGH_BATCHES else [[path] for path in images]
    rng.shuffle(groups)
    fitted: list[Path] = []
    shown: list[Path] = []
    for group in groups:
        (fitted if len(fitted) + len(group) / 2 <= fit_share * len(images) else shown).extend(group)
    if not fitted or not shown:
        raise ImagesError(
            f"{good}: expected enough good images to fit on some and show others, found {len(images)}; add images"
        )
    return sorted(fitted), sorted(shown)


def link_images(images: Sequence[Path], root: Path, folder: Path) -> None:
    """Make `folder` a copy of `root` that holds only `images`, as links."""
    for path in images:
        link = folder / path.relative_to(root)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.resolve())


def name_images(good: Sequence[Path], good_root: Path, bad: Sequence[Path], bad_root: Path) -> list[Shown]:
    """Return the parts to show, named after their files: good/lot-3/0012, unique whatever the suffixes."""
    shown: dict[str, Shown] = {}
    for truth, paths, root in (("good", good, good_root), ("bad", bad, bad_root)):
        for path in paths:
            name = f"{truth}/{path.relative_to(root).with_suffix('').as_posix()}"
            numbered = (f"{name}~{number}" for number in itertools.count(2))
            unique = next(each for each in itertools.chain([name], numbered) if each not in shown)
            shown[unique] = Shown(unique, path, truth == "good")
    return list(shown.values())


def choose(shown: Sequence[Shown], parts: int | None, seed: int) -> list[Shown]:
    """Return at most `parts` of the images at random: what never passes the camera need not be made a camera file."""
    if parts is None or parts >= len(shown):
        return list(shown)
    return random.Random(seed).sample(list(shown), parts)


@dataclass(frozen=True, slots=True)
class Sensor:
    """What the camera makes of every image. Size in pixels; 1 channel or 3 (RGB)."""

    width: int
    height: int
    channels: int

    def image(self, path: Path) -> NDArray[np.uint8]:
        """Return the image as the camera sees it: stretched to the sensor where it has another size. Raises ImagesError."""
        image = read_image(path, self.channels)
        if image.shape[:2] == (self.height, self.width):
            return image
        shrinks = image.shape[0] * image.shape[1] > self.width * self.height
        stretched: NDArray[np.uint8] = cv2.resize(
            image, (self.width, self.height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
        return stretched


def choose_sensor(shown: Sequence[Shown], channels: int) -> tuple[Sensor, int]:
    """Return a sensor of the size that most images have, and how many have another. Raises ImagesError."""
    sizes = Counter(read_image(each.path, channels).shape[:2] for each in shown)
    (height, width), same = sizes.most_common(1)[0]
    return Sensor(width, height, channels), len(shown) - same


def write_camera_files(shown: Sequence[Shown], sensor: Sensor, folder: Path) -> None:
    """Write each image as the PGM or PPM that simcam plays."""
    for each in shown:
        file = folder / f"{each.name}.{'pgm' if sensor.channels == 1 else 'ppm'}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_netpbm(sensor.image(each.path)))


def write_truth(shown: Sequence[Shown], file: Path) -> None:
    """Write the names for linesim."""
    names = {
        truth: [each.name for each in shown if each.good is good]
        for truth, good in (("good", True), ("bad", False))
    }
    file.write_text(json.dumps(names), encoding="utf-8")


def _netpbm(image: NDArray[np.uint8]) -> bytes:
    height, width = image.shape[:2]
    return b"P%d\n%d %d\n255\n" % (5 if image.ndim == 2 else 6, width, height) + image.tobytes()
