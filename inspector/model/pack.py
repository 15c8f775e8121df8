"""The model pack: a folder with the graph, its manifest, the calibration and a few reference images.

    graph.onnx         what the engine compiles
    calibration.json   the score of each held-out good image, and which batch it was of
    thumbnails.png     the good images, small, so that evaluating can tell copies of them
    mask.png           what of the frame is ignored, black, where a mask was given: the graph knows it, this is for people
    pose.png           the reference that parts are aligned to, scaled down, where they are; pose_watched.png, what of it is compared
    reference/*.png    good images as the graph sees them, with their scores in the manifest
    manifest.json      what the model is, its threshold, and size and SHA-256 of every other file

Written aside and renamed when complete; read only after every hash was checked.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from inspector.engine.alignment import Alignment
from inspector.engine.preprocess import Geometry
from inspector.errors import EngineInputError, ImagesError, PackError, ServiceError
from inspector.model.atomic import replace_folder
from inspector.model.framing import POSE, POSE_WATCHED
from inspector.model.images import read_image

FORMAT = 2
GRAPH, MANIFEST, CALIBRATION = "graph.onnx", "manifest.json", "calibration.json"
THUMBNAILS = "thumbnails.png"
_MANIFEST_BYTES_MAX = 1_000_000

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
# Plain names only, at most one folder deep: a manifest must not reach outside its pack.
FileName = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9_-]+/)?[A-Za-z0-9_-]+\.(onnx|json|png)$")]
Rate = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class FileEntry(_Strict):
    """Size in bytes and SHA-256 of one file of the pack."""

    bytes: Annotated[int, Field(ge=0)]
    sha256: Sha256


class InputGeometry(_Strict):
    """The graph's input: channels (1 mono, 3 RGB), height and width in pixels."""

    channels: Literal[1, 3]
    height: Annotated[int, Field(ge=1)]
    width: Annotated[int, Field(ge=1)]


class TileEntry(_Strict):
    """Side and overlap of tiles, in pixels of the graph's input."""

    side: Annotated[int, Field(ge=64)]
    overlap: Annotated[int, Field(ge=0)]


class AlignEntry(_Strict):
    """How far a part may lie from the reference pose: pixels of the frame, degrees."""

    limit_px: Annotated[float, Field(gt=0)]
    limit_deg: Annotated[float, Field(ge=0, le=45)]


Side = Annotated[int, Field(ge=1)]


class FrameEntry(_Strict):
    """The frame that the model was fitted for, and how it becomes the input; see Geometry."""

    size: tuple[Side, Side] | None  # width, height
    aspect: Annotated[float, Field(gt=0)] | None
    bits: Annotated[int, Field(ge=8, le=16)]
    roi: tuple[int, int, Side, Side] | None
    picture: tuple[Side, Side] | None
    tile: TileEntry | None
    masked: bool
    align: AlignEntry | None


class Backbone(_Strict):
    """The pretrained network, and its weight file's SHA-256."""

    name: str
    sha256: Sha256


class ImportedNetwork(_Strict):
    """The network of the method `imported`: its file and that one's SHA-256, and the outputs that are used."""

    name: str
    sha256: Sha256
    outputs: Annotated[tuple[str, ...], Field(min_length=1)]


class BranchInput(_Strict):
    """One pass through the backbone: its input in pixels, and the taps that are compared."""

    height: Annotated[int, Field(ge=1)]
    width: Annotated[int, Field(ge=1)]
    taps: tuple[str, ...]


class LearningPoint(_Strict):
    """What `images` good images of `batches` batches give; see learning.py. `foreseen`: from what is known, not measured."""

    images: Annotated[int, Field(ge=1)]
    batches: Annotated[int, Field(ge=1)]
    threshold: tuple[float, float]
    highest_rate: Rate | None
    foreseen: bool


class HeldOut(_Strict):
    """What the threshold rests on: which batches were held out, the share of held-out images above it, and what may come.

    `by`: what sets batches apart. `interval`: of the share above the threshold in a next batch of `next_images`; null where the
    batches are too few to tell. `promised`: whether it speaks of other days and lots, or only of parts like these.
    """

    by: Literal["folders", "times", "likeness", "none"]
    batches: Annotated[int, Field(ge=1)]
    families: Annotated[int, Field(ge=1)]
    folds: Annotated[int, Field(ge=2)]
    images: Annotated[int, Field(ge=1)]
    false_reject_rate: Rate
    interval: tuple[Rate, Rate] | None
    next_images: Annotated[int, Field(ge=1)]
    promised: bool
    confidence: Rate
    learning: tuple[LearningPoint, ...]


class KnownDefect(_Strict):
    """One kind of defect, and the share of its held-out examples that is rejected with and without knowing it."""

    name: str
    examples: Annotated[int, Field(ge=1)]
    recall: Rate
    recall_without: Rate


class KnownDefects(_Strict):
    """What examples of defects brought, by models that saw neither an example nor its near-copies.

    Without masks its help was used to find where the others have their defects, so that the figures are a little too good.
    The output `defects` of the graph is in the order of `classes`. `masks`: examples that had one. `named_right`: share of the
    rejected ones. `confusion`: rejected ones of each class (rows) by the name they were given (columns; the last is none).
    """

    classes: Annotated[tuple[KnownDefect, ...], Field(min_length=1)]
    masks: Annotated[int, Field(ge=0)]
    recall: Rate
    recall_without: Rate
    named_right: Rate | None
    confusion: tuple[tuple[int, ...], ...]


class TriedModel(_Strict):
    """What tuning tried: the time of an image on the machine that fitted (p50), and the AUROC by kind of synthetic defect.

    `auroc` is None where the time was over the budget.
    """

    method: str
    sizes: tuple[int, ...]
    taps: tuple[tuple[str, ...], ...]
    pooling: Literal["max"] | float
    engine_ms: float
    auroc: dict[str, Rate] | None
    chosen: bool


class TuningRecord(_Strict):
    """What was tried, in order; `budget_ms` None: as slow as may be."""

    budget_ms: float | None
    tried: tuple[TriedModel, ...]


class Reference(_Strict):
    """A good image as the graph sees it, and the score that the graph gave it in float32."""

    file: FileName
    score: float


class Manifest(_Strict):
    """What a pack says about itself. `model_hash` is the SHA-256 of all the rest, and so of every file."""

    format: Literal[2]
    created: str
    method: str
    input: InputGeometry
    frame: FrameEntry
    backbone: Backbone | None
    network: ImportedNetwork | None = None
    branches: tuple[BranchInput, ...]
    pooling: Literal["max"] | float
    bank: Annotated[int, Field(ge=0)]  # what the method keeps of the good parts: entries, directions
    grey: tuple[float, float]  # mean grey level of the darkest and the brightest good image
    threshold: Annotated[float, Field(gt=0)]
    false_reject_rate: Rate
    held_out: HeldOut
    defects: KnownDefects | None = None
    tuning: TuningRecord | None = None
    images: Annotated[int, Field(ge=1)]
    seed: int
    warnings: tuple[str, ...]
    references: tuple[Reference, ...]
    files: dict[FileName, FileEntry]
    model_hash: Sha256


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack whose files all match its manifest."""

    path: Path
    graph: Path
    geometry: Geometry
    threshold: float
    model_hash: str
    manifest: Manifest

    @property
    def defects(self) -> tuple[str, ...]:
        """The names of the known defects, in the order of the graph's output; empty where it knows none."""
        known = self.manifest.defects
        return () if known is None else tuple(defect.name for defect in known.classes)


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
    return Pack(
        path, path / GRAPH, _geometry(path, manifest), manifest.threshold, manifest.model_hash, manifest
    )


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
