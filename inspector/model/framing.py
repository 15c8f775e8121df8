"""How frames become the input of a model that is to be fitted: region, scale, mask, tiles and reference pose, decided once.

The pack keeps the decision (`facts`, `files`), and `inspector/engine/preprocess.py` carries it out wherever an image is scored.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.engine.alignment import Alignment, look_at, look_shape
from inspector.engine.preprocess import Geometry
from inspector.errors import EngineInputError, ImagesError, ModelError
from inspector.model.images import STEP, Survey, input_size, read_frame
from inspector.model.likeness import SIDE
from inspector.model.masking import Watched, filled_only, project, read_mask
from inspector.model.options import FrameOptions
from inspector.model.tiling import CELL, Tile

POSE, POSE_WATCHED, MASK = "pose.png", "pose_watched.png", "mask.png"
LARGEST = 64_000_000  # pixels of the graph's input


@dataclass(frozen=True, slots=True)
class Framing:
    """The decision. `geometry` is of the graph's input, `sizes` are the branches' (height, width).

    `watched` is what of the input counts (None: all), `tile` that of the largest branch, `mask` of the raw frame as it was given,
    `reference` the image whose pose was chosen as the most usual, None where none was. `views`: the decision for each of several places
    of a part; the rest is then what they have in common. See view_framing.py. `notes`: what else the user should know of it.
    """

    geometry: Geometry
    sizes: tuple[tuple[int, int], ...]
    watched: Watched | None = None
    tile: Tile | None = None
    mask: Watched | None = None
    reference: Path | None = None
    views: tuple["Framing", ...] = ()
    notes: tuple[str, ...] = ()

    def facts(self) -> dict[str, object]:
        """Return the manifest's entry about the frame."""
        geometry, alignment = self.geometry, self.geometry.alignment
        limits = alignment and {"limit_px": alignment.limit_px, "limit_deg": alignment.limit_deg}
        return {
            "frame": {
                "size": geometry.frame,
                "aspect": geometry.aspect,
                "bits": geometry.bits,
                "roi": geometry.roi,
                "picture": geometry.picture,
                "tile": self.tile and {"side": self.tile.side, "overlap": self.tile.overlap},
                "masked": self.mask is not None,
                "align": limits,
            }
        }

    def files(self) -> dict[str, bytes]:
        """Return the pack's files: the mask as it was given, for people, and the reference pose."""
        images: dict[str, NDArray[np.uint8] | None] = {}
        if self.mask is not None:
            images[MASK] = self.mask.astype(np.uint8) * np.uint8(255)
        if self.geometry.alignment is not None:
            images[POSE] = self.geometry.alignment.reference
            images[POSE_WATCHED] = self.geometry.alignment.watched
        return {name: _png(image) for name, image in images.items() if image is not None}

    def warnings(self) -> Iterator[str]:
        """Yield what the user should know of the decision."""
        yield from self.notes
        if self.reference is not None and (
            self.mask is not None or self.geometry.roi is not None or self.views
        ):
            yield (
                f"region and mask are taken for the pose of {self.reference}, the most usual image; if they were drawn on another, "
                "name that with --reference"
            )


def plan(options: FrameOptions, found: Survey, paths: Sequence[Path], sizes: Sequence[int]) -> Framing:
    """Decide for images of which `found` is known. `sizes` are sides of squares whose areas the branches have.

    Raises ModelError for what does not go together, ImagesError for images, masks or a reference that do not fit.
    """
    if options.reference is not None and options.align is None:
        raise ModelError(
            f"expected --align beside --reference {options.reference}, it is not there; only aligning takes a pose"
        )
    fixed = options.fixed
    if fixed and found.size is None:
        raise ImagesError(
            f"expected images of one size with {fixed}, found {found.sizes}; fit on the files of one size, "
            "or crop all files to one size beforehand"
        )
    width, height = found.size if found.size is not None else (found.aspect, 1.0)
    roi = options.roi
    if roi is not None and (roi[0] + roi[2] > width or roi[1] + roi[3] > height):
        raise ModelError(
            f"the region {list(roi)} does not fit in images of {width} x {height} pixels; correct {options.region_option}"
        )
    region = (roi[2], roi[3]) if roi is not None else (width, height)
    tile = None
    if options.scale is None and options.tile is None:
        areas, filled = _by_area(region, sizes, exact=found.uniform)
    else:
        areas, filled, tile = by_scale((round(region[0]), round(region[1])), options)
    inner_height, inner_width = max(areas, key=math.prod)
    geometry = Geometry(
        found.channels,
        inner_height,
        inner_width,
        roi=roi,
        picture=None if filled == (inner_width, inner_height) else filled,
        frame=found.size if fixed else None,
        aspect=found.aspect if found.uniform and not fixed else None,
        bits=options.bits or found.bits,
    )
    mask = None if options.mask is None else read_mask(options.mask, (round(width), round(height)))
    reference = None
    if options.align is not None:
        reference = options.reference or paths[_most_usual(found.thumbnails)]
        geometry = replace(geometry, alignment=_alignment(reference, options.align, geometry, mask))
    watched = filled_only(geometry) if mask is None else project(mask, geometry)
    return Framing(geometry, areas, watched, tile, mask, None if options.reference else reference)


def _by_area(
    region: tuple[float, float], sizes: Sequence[int], *, exact: bool
) -> tuple[tuple[tuple[int, int], ...], tuple[int, int]]:
    """Return the branches' (height, width) for areas of squares of `sizes`, and the (width, height) of the picture in the largest.

    `exact`: the scale is the same both ways, to half a pixel of the picture, and what is left of the input's steps of 32 stays
    empty. Else the picture is stretched to fill it.
    """
    areas = tuple(input_size(region[0] / region[1], size) for size in sizes)
    height, width = max(areas, key=math.prod)
    if not exact:
        return areas, (width, height)
    return areas, fitted_in(region, (width, height))


def fitted_in(region: tuple[float, float], size: tuple[int, int]) -> tuple[int, int]:
    """Return the (width, height) of the largest picture of the region in an input of (width, height) `size`, at one scale both ways."""
    scale = min(size[0] / region[0], size[1] / region[1])
    return (
        max(1, min(size[0], round(region[0] * scale))),
        max(1, min(size[1], round(region[1] * scale))),
    )


def by_scale(
    region: tuple[int, int], options: FrameOptions
) -> tuple[tuple[tuple[int, int], ...], tuple[int, int], Tile | None]:
    """Return the one branch's (height, width), the picture's (width, height), and the tile where it is larger than one."""
    scale = 1.0 if options.scale is None else options.scale
    if not (math.isfinite(scale) and min(region) * scale >= STEP):
        raise ModelError(
            f"expected a scale that leaves at least {STEP} pixels of {region[0]} x {region[1]}, got {scale:g}; "
            f"choose a --scale of {STEP / min(region):.3g} or more"
        )
    picture = round(region[0] * scale), round(region[1] * scale)
    tile = None if options.tile is None else Tile(*options.tile)
    step, least = STEP, STEP
    if tile is not None and max(picture) > tile.side:
        step, least = CELL, tile.side
    else:
        tile = None
    width, height = (max(least, math.ceil(side / step) * step) for side in picture)
    if width * height > LARGEST:
        raise ModelError(
            f"expected at most {LARGEST // 1_000_000} million pixels at this scale, got {width} x {height}; choose a smaller --scale"
        )
    return ((height, width),), picture, tile


def _most_usual(thumbnails: NDArray[np.uint8]) -> int:
    """Return which image is least unlike all others: the medoid of thumbnails, brightness and contrast taken out."""
    flat = thumbnails.reshape(-1, SIDE * SIDE).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    return int((flat @ flat.sum(axis=0)).argmax())


def _alignment(
    path: Path, limits: tuple[float, float], geometry: Geometry, mask: Watched | None
) -> Alignment:
    """Return the alignment to the pose of the image at `path`."""
    image = read_frame(path, 1)
    frame = image.shape[1], image.shape[0]
    if frame != geometry.frame:
        raise ImagesError(
            f"{path}: expected a reference of {geometry.frame} pixels like the images, it has {frame}; choose another --reference"
        )
    if image.dtype != np.uint8:
        image = cv2.convertScaleAbs(image, alpha=2.0 ** (8 - geometry.bits))
    seen = None
    if mask is not None:
        rows, columns = look_shape(frame)
        share = cv2.resize(mask.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
        seen = (share > 1 - 1e-6).astype(np.uint8) * 255
    try:
        return Alignment(look_at(image).astype(np.uint8), frame, *limits, seen)
    except EngineInputError as error:
        raise ModelError(str(error)) from error


def _png(image: NDArray[np.uint8]) -> bytes:
    written, png = cv2.imencode(".png", image)
    if not written:
        raise ModelError("an image of the pack cannot be encoded as PNG")
    return png.tobytes()
