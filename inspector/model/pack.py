"""The model pack: a folder with the graph, its manifest, the calibration and a few reference images.

    graph.onnx         what the engine compiles
    calibration.json   the score of each held-out good image, and which batch it was of
    fitted.npz         what the graph was made of, where its bank can grow (fitted.py); only fitting reads it
    thumbnails.png     the good images, small, so that evaluating can tell copies of them
    mask.png           what of the frame is ignored, black, where a mask was given: the graph knows it, this is for people
    pose.png           the reference that parts are aligned to, scaled down, where they are; pose_watched.png, what of it is compared
    reference/*.png    good images as the graph sees them, several views one below the other, with their scores in the manifest
    manifest.json      what the model is, its threshold, and size and SHA-256 of every other file

Written aside and renamed when complete; read only after every hash was checked.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from inspector.engine.alignment import Alignment
from inspector.engine.preprocess import Geometry, input_shape_of
from inspector.errors import EngineInputError, ImagesError, PackError, ServiceError
from inspector.model.atomic import replace_folder
from inspector.model.framing import POSE, POSE_WATCHED
from inspector.model.images import read_image
from inspector.model.manifest import FileEntry, Manifest, Reference

FORMAT = 2
GRAPH, MANIFEST, CALIBRATION = "graph.onnx", "manifest.json", "calibration.json"
THUMBNAILS = "thumbnails.png"
_MANIFEST_BYTES_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack whose files all match its manifest. `geometries`: how a frame becomes each view's slice of the graph's input."""

    path: Path
    graph: Path
    geometries: tuple[Geometry, ...]
    threshold: float
    model_hash: str
    manifest: Manifest

    @property
    def geometry(self) -> Geometry:
        """That of the only view, or the first: all have the same input and frame."""
        return self.geometries[0]

    @property
    def views(self) -> tuple[str, ...]:
        """The names of the part's views, in the order of `geometries`; empty where it has but one."""
        return tuple(view.name for view in self.manifest.views)

    @property
    def defects(self) -> tuple[str, ...]:
        """The names of the known defects, in the order of the graph's output; empty where it knows none."""
        known = self.manifest.defects
        return () if known is None else tuple(defect.name for defect in known.classes)

    def references(self) -> Iterator[tuple[Reference, NDArray[np.uint8]]]:
        """Yield the reference images, each as the graph's input [V, H, W, C]."""
        shape = input_shape_of(self.geometries)
        for reference in self.manifest.references:
            image = read_image(self.path / reference.file, shape[3])
            if image.size != math.prod(shape):
                raise PackError(
                    f"{self.path / reference.file}: expected an image of {shape[2]} x {shape[0] * shape[1]} pixels, "
                    f"it has {image.shape[1]} x {image.shape[0]}; fit the model again"
                )
            yield reference, image.reshape(shape)


def check_target(path: Path) -> None:
    """Raise PackError where `path` is something other than a pack: it would be replaced."""
    if path.exists() and not (path / MANIFEST).is_file():
        raise PackError(
            f"{path}: expected a model pack or nothing, found something else; choose another --out"
        )


def save_pack(path: Path, facts: Mapping[str, object], files: Mapping[str, bytes]) -> Pack:
    """Write `files` and the manifest of `facts` to `path`, whole or not at all; an earlier pack there stays until then.

    Raises PackError where `path` is something other than a pack, or cannot be written.
    """
    check_target(path)
    entries = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()
    }
    content = {"format": FORMAT, **facts, "files": entries}
    content["model_hash"] = _content_hash(content)
    text = json.dumps(content, indent=2, sort_keys=True) + "\n"
    try:
        replace_folder(path, {**files, MANIFEST: text.encode()})
    except OSError as error:
        raise PackError(
            f"{path}: cannot write the model pack, {error.strerror}; check the folder and the free space"
        ) from error
    return load_pack(path)


def load_pack(path: Path) -> Pack:
    """Return the pack at `path` after checking every file against its manifest. Raises PackError; nothing is parsed before."""
    manifest = _read_manifest(path / MANIFEST)
    for name, entry in manifest.files.items():
        _check_file(path / name, entry)
    if GRAPH not in manifest.files:
        raise PackError(f"{path}: expected {GRAPH} in the manifest, it is not listed; fit the model again")
    if any(len(reference.views) != len(manifest.views) for reference in manifest.references):
        raise PackError(
            f"{path}: expected {len(manifest.views)} scores of views with each reference image; fit the model again"
        )
    geometry = _geometry(path, manifest)
    views = tuple(replace(geometry, roi=view.roi, picture=view.picture) for view in manifest.views)
    return Pack(path, path / GRAPH, views or (geometry,), manifest.threshold, manifest.model_hash, manifest)


def _geometry(path: Path, manifest: Manifest) -> Geometry:
    """Return how frames become the graph's input, from a pack whose files were checked."""
    size, frame = manifest.input, manifest.frame
    try:
        alignment = None
        if frame.align is not None:
            if frame.size is None or POSE not in manifest.files:
                raise PackError(
                    f"{path}: expected {POSE} and a frame size with an alignment; fit the model again"
                )
            watched = path / POSE_WATCHED
            alignment = Alignment(
                read_image(path / POSE, 1),
                frame.size,
                frame.align.limit_px,
                frame.align.limit_deg,
                read_image(watched, 1) if POSE_WATCHED in manifest.files else None,
            )
        return Geometry(
            size.channels,
            size.height,
            size.width,
            roi=frame.roi,
            picture=frame.picture,
            frame=frame.size,
            aspect=frame.aspect,
            bits=frame.bits,
            alignment=alignment,
        )
    except (EngineInputError, ImagesError) as error:
        raise PackError(f"{path}: {error}; fit the model again") from error


def require_unchanged(pack: Pack) -> None:
    """Raise ServiceError where another pack lies at its path now, PackError where none that is whole does.

    They part at the exit status: the service manager starts the station again with another model, never with a damaged one.
    """
    if load_pack(pack.path).model_hash != pack.model_hash:
        raise ServiceError(
            f"{pack.path}: expected the model that this station started with, found another one; "
            "the station has to be started again to take it"
        )


def _read_manifest(path: Path) -> Manifest:
    try:
        if path.stat().st_size > _MANIFEST_BYTES_MAX:
            raise PackError(
                f"{path}: expected a manifest below {_MANIFEST_BYTES_MAX} bytes, it is larger; fit the model again"
            )
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
    except FileNotFoundError as error:
        missing = f"{path.name} is missing" if path.parent.is_dir() else "there is no such folder"
        raise PackError(
            f"{path.parent}: expected a model pack, {missing}; check the path, or fit the model"
        ) from error
    except OSError as error:
        raise PackError(
            f"{path}: expected a model pack, {error.strerror}; check the path, or fit the model"
        ) from error
    except (ValueError, RecursionError) as error:
        raise PackError(
            f"{path}: expected JSON, it is truncated or damaged; fit the model again or restore the pack"
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        raise PackError(
            f"{path}: expected a manifest with its format number, there is none; fit the model again"
        )
    if content["format"] != FORMAT:
        remedy = (
            "update Inspector or fit the model again"
            if content["format"] > FORMAT
            else "an earlier Inspector wrote it: fit the model again"
        )
        raise PackError(f"{path}: expected pack format {FORMAT}, found {content['format']}; {remedy}")
    if content.get("model_hash") != _content_hash(content):
        raise PackError(
            f"{path}: expected the content its model_hash names, it was altered; fit the model again or restore the pack"
        )
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise PackError(f"{path}: {place}: {first['msg']}; fit the model again") from error


def _content_hash(content: Mapping[str, object]) -> str:
    """Return the SHA-256 of everything but `model_hash`, in one canonical spelling."""
    rest = {key: value for key, value in content.items() if key != "model_hash"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _check_file(path: Path, entry: FileEntry) -> None:
    try:
        size = path.stat().st_size
        if size != entry.bytes:
            raise PackError(
                f"{path}: expected {entry.bytes} bytes, found {size}; the file is truncated or altered, restore the pack"
            )
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PackError(
            f"{path}: expected this file of the pack, {error.strerror}; restore the pack or fit the model again"
        ) from error
    if found != entry.sha256:
        raise PackError(
            f"{path}: expected sha256 {entry.sha256[:12]}..., found {found[:12]}...; the file was altered, restore the pack"
        )
