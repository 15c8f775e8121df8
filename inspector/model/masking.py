"""Masks: what of a frame is watched, down to the pixels of the graph's input and the cells of its grid.

An ignored pixel of the raw frame has no influence at all: each input pixel that it contributes to, by demosaicing, scaling or
alignment, is ignored too, and the graph puts nothing in its place before it computes anything (feature_nodes.py).
"""

import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.engine.preprocess import Geometry
from inspector.errors import ImagesError, ModelError
from inspector.model.images import read_image

Watched = NDArray[np.bool_]
# Pixels of the raw frame that demosaicing or interpolation of a turned part mixes into one.
_MIXED = 2
# Of one input pixel, how much of its own size scaling looks to either side at most: bilinear after whole steps (resize.py).
_REACH = 1.5
LEAST_SHARE = 1 / 16  # of a cell's pixels that must be watched: below, the cell says nothing


def read_mask(path: Path, frame: tuple[int, int]) -> Watched:
    """Return what is watched of a raw frame (width, height), bool (height, width).

    An image of the frame's size is black where it is ignored; a .json file is a list of polygons to ignore, each a list of [x, y] in
    pixels. Raises ImagesError.
    """
    width, height = frame
    if path.suffix.lower() == ".json":
        ignored = np.zeros((height, width), np.uint8)
        corners = [np.rint(np.array(polygon) - 0.5).astype(np.int32) for polygon in _polygons(path)]
        cv2.fillPoly(ignored, corners, 255)
        watched: Watched = ignored == 0
    else:
        image = read_image(path, 1)
        if image.shape != (height, width):
            raise ImagesError(
                f"{path}: expected a mask of {width} x {height} pixels like the images, it has {image.shape[1]} x {image.shape[0]}"
            )
        watched = image > 0
    if not watched.any():
        raise ImagesError(f"{path}: the mask ignores everything; draw it smaller, black is ignored")
    return watched


def _polygons(path: Path) -> list[list[list[float]]]:
    try:
        polygons = json.loads(path.read_text(encoding="utf-8"))
        fits = isinstance(polygons, list) and all(
            len(polygon) >= 3 and all(len(point) == 2 and all(np.isfinite(point)) for point in polygon)
            for polygon in polygons
        )
    except OSError as error:
        raise ImagesError(f"{path}: cannot be read, {error.strerror}; correct --mask") from error
    except (ValueError, TypeError):
        fits = False
    if not fits:
        raise ImagesError(
            f"{path}: expected polygons as in [[[10, 20], [90, 20], [90, 80]]], of at least three points each; correct the file"
        )
    found: list[list[list[float]]] = polygons
    return found


def project(watched: Watched, geometry: Geometry) -> Watched:
    """Return which pixels of the graph's input are watched, bool (height, width): those that see nothing of what is ignored.

    `watched` is of the raw frame, or of the reference where the geometry has an alignment. Beyond the picture nothing is.
    """
    height, width = watched.shape
    x, y, region_width, region_height = geometry.roi or (0, 0, width, height)
    ignored = cv2.integral((~watched).astype(np.uint8))  # one row and column more
    top, bottom = _reach(y, region_height, geometry.filled[1], height)
    left, right = _reach(x, region_width, geometry.filled[0], width)
    count = (
        ignored[np.ix_(bottom, right)]
        - ignored[np.ix_(top, right)]
        - ignored[np.ix_(bottom, left)]
        + ignored[np.ix_(top, left)]
    )
    found = np.zeros((geometry.height, geometry.width), np.bool_)
    found[: geometry.filled[1], : geometry.filled[0]] = count == 0
    if not found.any():
        raise ModelError(
            "the mask leaves nothing of the region to watch; draw it smaller, or choose another --roi"
        )
    return found


def filled_only(geometry: Geometry) -> Watched | None:
    """Return what is watched where nothing is masked: None for all of the input, or else the picture."""
    width, height = geometry.filled
    if (width, height) == (geometry.width, geometry.height):
        return None
    found = np.zeros((geometry.height, geometry.width), np.bool_)
    found[:height, :width] = True
    return found


def _reach(start: int, size: int, pixels: int, end: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return from which raw pixel to which (exclusive) each input pixel may see, along one side."""
    scale = size / pixels
    centres = start + (np.arange(pixels) + 0.5) * scale
    reach = _REACH * max(scale, 1.0) + _MIXED
    first = np.clip(np.floor(centres - reach), 0, end).astype(np.int64)
    last = np.clip(np.ceil(centres + reach), 0, end).astype(np.int64)
    return first, last


def cells_watched(watched: Watched, grid: tuple[int, int]) -> NDArray[np.float32]:
    """Return 1 for each cell of the grid that has enough to say, else 0: float32 (rows, columns). Raises ModelError where none has."""
    share = cv2.resize(watched.astype(np.float32), grid[::-1], interpolation=cv2.INTER_AREA)
    enough: NDArray[np.float32] = (share >= LEAST_SHARE).astype(np.float32)
    if not enough.any():
        raise ModelError(
            "the mask leaves less to watch than a patch that could be compared; draw it smaller, or scale the images up"
        )
    return enough
