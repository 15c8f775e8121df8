"""A frame as the camera of a station would send it: its size and pixel format, and a good part in it."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.camera.encoding import encode
from inspector.config.schema import CameraConfig
from inspector.engine.decoding import Region
from inspector.errors import ModelError
from inspector.model.pack import Pack
from inspector.pixels import PIXEL_FORMATS, PixelFormat, pixel_format

LINES = 1200  # of a camera of which nothing is known: a common sensor of 2.3 megapixels


@dataclass(frozen=True, slots=True)
class CameraFrame:
    """`data` flat uint8, the bytes of all lines. `assumed`: what nothing told, in words; empty where all was told."""

    width: int
    height: int
    form: PixelFormat
    data: NDArray[np.uint8]
    assumed: str


def camera_frame(camera: CameraConfig, pack: Pack, size: tuple[int, int] | None) -> CameraFrame:
    """Return a frame of `size` (width, height), else of that of camera.features, else of the model's.

    Raises ModelError where frames of this size are none of the model's, FeatureError where the format does not fill the lines.
    """
    geometry = pack.geometry
    set_size = camera.features.get("Width"), camera.features.get("Height")
    assumed = ""
    if size is None and isinstance(set_size[0], int) and isinstance(set_size[1], int):
        size = int(set_size[0]), int(set_size[1])
    if size is None:
        size = geometry.frame
    if size is None:
        aspect = geometry.aspect or geometry.filled[0] / geometry.filled[1]
        size = round(LINES * aspect / 4) * 4, LINES
        assumed = f"frames of {size[0]} x {size[1]} pixels, since nothing states the camera's; say it with --frame WIDTHxHEIGHT"
    for view in pack.geometries:
        view.require_frame(*size)
    named = camera.features.get("PixelFormat")
    form = (
        pixel_format(named)
        if isinstance(named, str)
        else PIXEL_FORMATS["Mono8" if geometry.channels == 1 else "BayerRG8"]
    )
    form.line_bytes(size[0])
    return CameraFrame(*size, form, encode(_picture(pack, size, form), form), assumed)


def _picture(pack: Pack, size: tuple[int, int], form: PixelFormat) -> NDArray[np.uint8]:
    """Return a good part as large as the frame: a reference image of the pack, where each region lies, or the reference pose."""
    geometry, (width, height) = pack.geometry, size
    colour = form.channels == 3 or bool(form.bayer)
    placed: list[tuple[NDArray[Any], Region]] = []
    if geometry.alignment is not None:
        placed.append((geometry.alignment.reference, (0, 0, width, height)))
    elif (seen := next(pack.references(), None)) is not None:
        for view, image in zip(pack.geometries, seen[1], strict=True):
            kept = image[: view.filled[1], : view.filled[0]]
            placed.append((kept[..., 0] if kept.shape[2] == 1 else kept, view.roi or (0, 0, width, height)))
    else:
        raise ModelError(f"{pack.path}: expected reference images, the pack has none; fit the model again")
    picture = np.zeros((height, width, 3) if colour else (height, width), np.uint8)
    for image, (x, y, wide, high) in placed:
        if colour and image.ndim == 2:
            part = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
        elif not colour and image.ndim == 3:
            part = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        else:
            part = image
        picture[y : y + high, x : x + wide] = cv2.resize(part, (wide, high), interpolation=cv2.INTER_LINEAR)
    return picture
