"""What a model pack says about itself: the manifest, entry by entry, as it is checked when it is read."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
# Plain names only, at most one folder deep: a manifest must not reach outside its pack.
FileName = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z0-9_-]+/)?[A-Za-z0-9_-]+\.(onnx|json|npz|png)$")
]
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


class ViewEntry(_Strict):
    """One of several places of a part: its region of the frame, its picture in its slice of the input, and how it is judged.

    `limit`: its own threshold, by which the graph divides its score. `grey`: as the manifest's, of this view.
    `false_reject_rate`: share of the held-out images that this view alone puts above it.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,31}$")]
    roi: tuple[int, int, Side, Side]
    picture: tuple[Side, Side] | None
    limit: Annotated[float, Field(gt=0)]
    grey: tuple[float, float]
    false_reject_rate: Rate


class Backbone(_Strict):
    """The pretrained network, and its weight file's SHA-256."""

    name: str
    sha256: Sha256


class ImportedNetwork(_Strict):
    """The network of the method `imported`: its file and that one's SHA-256, and the outputs that are used."""

    name: str
    sha256: Sha256
    outputs: Annotated[tuple[str, ...], Field(min_length=1)]


class FoundAgreement(_Strict):
    """How far int8 is from float32 on the sample; see agreement.py."""

    images: Annotated[int, Field(ge=1)]
    worst: float
    deviation: float
    flips: Rate
    farthest_flip: float


class PrecisionEntry(_Strict):
    """What the backbone is computed in, why, within which bounds, and what was found where int8 was tried; see int8_gate.py."""

    taken: Literal["float32", "int8"]
    why: str
    deviation_bound: float
    flip_bound: float
    found: FoundAgreement | None


class SearchEntry(_Strict):
    """What searching a bank costs that is too large to be compared with entry by entry; see search_check.py.

    By which share the distance of so many good `patches` came out too large at most, and could have come out; null of no patches.
    """

    patches: Annotated[int, Field(ge=0)]
    largest_error: Annotated[float, Field(ge=0)] | None
    bound: Annotated[float, Field(ge=0)] | None


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
    """A good image as the graph sees it, and the score that the graph gave it in float32; of several views also that of each."""

    file: FileName
    score: float
    views: tuple[float, ...] = ()


class Grown(_Strict):
    """What the bank grew from, last: that model and its threshold; how many images and entries were added. See grow.py."""

    model_hash: Sha256
    threshold: Annotated[float, Field(gt=0)]
    images: Annotated[int, Field(ge=1)]
    entries: Annotated[int, Field(ge=0)]


class Manifest(_Strict):
    """What a pack says about itself. `model_hash` is the SHA-256 of all the rest, and so of every file."""

    format: Literal[2]
    created: str
    method: str
    input: InputGeometry
    frame: FrameEntry
    views: tuple[ViewEntry, ...] = ()
    backbone: Backbone | None
    network: ImportedNetwork | None = None
    branches: tuple[BranchInput, ...]
    pooling: Literal["max"] | float
    precision: PrecisionEntry | None = None
    bank: Annotated[int, Field(ge=0)]  # what the method keeps of the good parts: entries, directions
    search: SearchEntry | None = None
    grey: tuple[float, float]  # mean grey level of the darkest and the brightest good image
    threshold: Annotated[float, Field(gt=0)]
    false_reject_rate: Rate
    held_out: HeldOut
    defects: KnownDefects | None = None
    tuning: TuningRecord | None = None
    grown: Grown | None = None
    images: Annotated[int, Field(ge=1)]
    seed: int
    warnings: tuple[str, ...]
    references: tuple[Reference, ...]
    files: dict[FileName, FileEntry]
    model_hash: Sha256
