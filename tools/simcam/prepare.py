#!/usr/bin/env python3
"""Turn folders of images into what simcam plays: one folder of raw images for each device.

    python tools/simcam/prepare.py ROOT cam0=photos/good cam1=photos/bad [--colour] [--width W --height H]

writes ``ROOT/cam0/<path without extension>.pgm`` (``.ppm`` with ``--colour``), in the sub-folders of
the source. Start the GenICam software with ``SIMCAM_ROOT=ROOT``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

# What OpenCV reads everywhere; other files in a folder are left alone.
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})
NAME_LIMIT = 59  # bytes of a device name, as simcam's identity.c has it


class PrepareError(ValueError):
    """The source or the device cannot be prepared: no images, an unreadable image, a bad name."""


def find_images(folder: Path) -> list[Path]:
    """List the images under ``folder``, in name order; raises PrepareError when there are none."""
    images = sorted(
        path for path in folder.rglob("*") if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES
    )
    if not images:
        raise PrepareError(f"{folder}: expected images ({', '.join(sorted(IMAGE_SUFFIXES))}), found none")
    return images


def write_raw(source: Path, target: Path, *, colour: bool, size: tuple[int, int] | None = None) -> None:
    """Write one image as PGM (P5), or PPM (P6) if ``colour``; ``size`` = (width, height) scales it.

    The file is renamed into place, so that a camera that plays never sees half of it.
    """
    flags = cv2.IMREAD_COLOR_RGB if colour else cv2.IMREAD_GRAYSCALE
    flags |= cv2.IMREAD_IGNORE_ORIENTATION  # a camera knows no EXIF
    try:
        # From memory, since imread fills up a JPEG that was cut off with grey, and says nothing.
        image = cv2.imdecode(np.frombuffer(source.read_bytes(), np.uint8), flags)
    except cv2.error:  # what OpenCV raises for an empty file
        image = None
    if image is None:
        raise PrepareError(f"{source}: expected an image that OpenCV can decode; remove or repair the file")
    if size is not None and size != (image.shape[1], image.shape[0]):
        shrinks = size[0] < image.shape[1]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    header = f"{'P6' if colour else 'P5'}\n{image.shape[1]} {image.shape[0]}\n255\n".encode("ascii")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    partial.write_bytes(header + image.tobytes())
    partial.replace(target)


def prepare_device(
    root: Path,
    name: str,
    sources: Iterable[Path],
    *,
    colour: bool = False,
    size: tuple[int, int] | None = None,
) -> list[str]:
    """Make the device ``name`` under ``root`` from image files and folders of images.

    Returns the names of its images, as the control socket knows them (``pulse image=NAME``), in the
    order of ``sources``. A file keeps its stem; what lies in a folder keeps its path under the folder.
    Raises PrepareError: no images, an unreadable image, two images of one name, a name that simcam
    would not show as a device.
    """
    if not name or name.startswith(".") or "/" in name or len(os.fsencode(name)) > NAME_LIMIT:
        raise PrepareError(f"{name!r}: a device name has 1 to {NAME_LIMIT} bytes, no '/' and no leading '.'")
    suffix = ".ppm" if colour else ".pgm"
    written: dict[str, Path] = {}
    for source in sources:
        inside = [(path, path.relative_to(source)) for path in find_images(source)] if source.is_dir() else []
        for path, relative in inside or [(source, Path(source.name))]:
            image = relative.with_suffix("").as_posix()
            if image in written:
                raise PrepareError(f"{path}: has the same name as {written[image]}; rename one of them")
            write_raw(path, root / name / f"{image}{suffix}", colour=colour, size=size)
            written[image] = path
    if not written:
        raise PrepareError(f"{name}: expected image files or folders, came nothing")
    return list(written)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Prepare folders of images for simcam.")
    parser.add_argument("root", type=Path, help="folder of the devices (SIMCAM_ROOT)")
    parser.add_argument("devices", nargs="+", metavar="NAME=FOLDER", help="a device and its images")
    parser.add_argument("--colour", action="store_true", help="keep colour (PPM); default is grey (PGM)")
    parser.add_argument("--width", type=int, help="scale to this width; needs --height")
    parser.add_argument("--height", type=int, help="scale to this height; needs --width")
    options = parser.parse_args(arguments)
    if (options.width is None) != (options.height is None):
        parser.error("--width and --height belong together")
    for device in options.devices:
        if "=" not in device:
            parser.error(f"expected NAME=FOLDER, came {device!r}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parse(arguments)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # it would print beside our one line
    size = None if options.width is None else (options.width, options.height)
    for device in options.devices:
        name, folder = device.split("=", 1)
        try:
            images = prepare_device(options.root, name, [Path(folder)], colour=options.colour, size=size)
        except (PrepareError, OSError) as error:
            print(f"prepare: {error}", file=sys.stderr)
            return 2
        print(f"{name}: {len(images)} images in {options.root / name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
