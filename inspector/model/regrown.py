"""A pack opened up and closed again: the spec that its graph was written by, and the pack of a bank that has grown."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from inspector.clock import utc_label
from inspector.errors import DisagreementError, PackError
from inspector.model import facts
from inspector.model.backbone import Backbone, open_backbone
from inspector.model.batches import Batches
from inspector.model.calibrate import Threshold
from inspector.model.fitted import FITTED, ranges_from_file, to_file
from inspector.model.framing import MASK
from inspector.model.graph import fused_graph
from inspector.model.images import read_image
from inspector.model.int8 import Int8Backbone, Ranges
from inspector.model.learning import Point
from inspector.model.likeness import from_sheet, to_sheet
from inspector.model.masking import filled_only, project
from inspector.model.methods.base import Detector
from inspector.model.options import BACKBONES, INT8, MAXIMUM
from inspector.model.pack import CALIBRATION, GRAPH, THUMBNAILS, Pack, save_pack
from inspector.model.score_nodes import Exposure
from inspector.model.scoring import compiled
from inspector.model.search_check import SearchChecked
from inspector.model.selftest import require_agreement
from inspector.model.spec import ModelSpec, model_spec
from inspector.model.tiling import Tile


@dataclass(frozen=True, slots=True)
class Grown:
    """What has grown. Scores and batches: of the old images first, then of those new ones that count. `ranges` of an int8 backbone.

    `folds`, `thumbnails` and `added` (their number) are of the new images; `fold_of` of those that count.
    """

    graph: onnx.ModelProto
    detector: Detector
    exposure: Exposure
    scores: NDArray[np.float64]
    batches: Batches
    threshold: Threshold
    curve: tuple[Point, ...]
    rate: float
    search: SearchChecked | None
    folds: int
    fold_of: NDArray[np.int64]
    thumbnails: NDArray[np.uint8]
    added: int
    warnings: tuple[str, ...]
    ranges: Ranges
    precision: Mapping[str, object] | None


def spec_of(pack: Pack, backbone: str | None = None) -> ModelSpec:
    """Return the spec that the pack was fitted by; `backbone` is its ONNX file where it has no name. Raises PackError."""
    manifest, geometry = pack.manifest, pack.geometry
    watched = filled_only(geometry)
    if manifest.frame.masked:
        watched = project(read_image(pack.path / MASK, 1) > 0, geometry)
    tile = manifest.frame.tile
    spec = model_spec(
        _rounded(pack, _backbone(pack, backbone)),
        geometry.channels,
        [(branch.height, branch.width) for branch in manifest.branches],
        [branch.taps for branch in manifest.branches],
        MAXIMUM if manifest.pooling == "max" else manifest.pooling,
        tile=None if tile is None else Tile(tile.side, tile.overlap),
    )
    return replace(spec, framing=geometry, watched=watched)


def _rounded(pack: Pack, exact: Backbone) -> Backbone:
    """Return the backbone in int8, by the very ranges of the pack, where that is in int8."""
    precision = pack.manifest.precision
    if precision is None or precision.taken != INT8:
        return exact
    ranges = ranges_from_file(pack.path / FITTED)
    if not ranges:
        raise PackError(
            f"{pack.path}: expected the ranges of its int8 backbone in {FITTED}, an earlier Inspector left them out; "
            "fit the model again on all images"
        )
    return Int8Backbone(exact, ranges)


def _backbone(pack: Pack, name: str | None) -> Backbone:
    wanted = pack.manifest.backbone
    if wanted is None:
        raise PackError(
            f"{pack.path}: expected a pack with a backbone, this one has none; fit the model again"
        )
    for candidate in (name,) if name else BACKBONES:
        backbone = open_backbone(candidate)
        if backbone.sha256 == wanted.sha256:
            return backbone
    raise PackError(
        f"{pack.path}: expected its backbone {wanted.name} (sha256 {wanted.sha256[:12]}...), it is not here; "
        "name its file with --backbone"
    )


def require_same(pack: Pack, spec: ModelSpec, detector: Detector) -> None:
    """Raise PackError unless the spec and the detector give the scores that the pack was calibrated with."""
    darkest, brightest = pack.manifest.grey
    exposure = Exposure(darkest, brightest, limit=pack.threshold)
    try:
        with compiled(fused_graph(spec, detector, exposure), spec.geometry) as engine:
            require_agreement(engine, pack)
    except DisagreementError as error:
        raise PackError(
            f"{pack.path}: expected to find again what this pack computes, its reference images score otherwise ({error}); "
            "fit the model again on all images"
        ) from error


def write_grown(out: Path, before: Pack, grown: Grown) -> Pack:
    """Write the pack. What is not in `grown` is as it was before. Raises PackError."""
    manifest = before.manifest
    references = _rescored(before, grown.graph)
    added = grown.added
    said = manifest.model_dump(mode="json", exclude={"format", "files", "model_hash"})
    said |= {
        "created": utc_label(),
        "bank": grown.detector.size,
        "grey": (grown.exposure.darkest, grown.exposure.brightest),
        "threshold": grown.threshold.value,
        "false_reject_rate": grown.rate,
        "held_out": _held_out(before, grown),
        "images": manifest.images + added,
        "precision": grown.precision,
        "search": grown.search and asdict(grown.search),
        "grown": {
            "model_hash": before.model_hash,
            "threshold": before.threshold,
            "images": added,
            "entries": grown.detector.size - manifest.bank,
        },
        "warnings": (*_promise(before, added), *grown.warnings, *grown.threshold.warnings),
        "references": [{"file": name, "score": score} for name, score in references.items()],
    }
    kept = {
        name: (before.path / name).read_bytes()
        for name in manifest.files
        if name not in (GRAPH, FITTED, THUMBNAILS, CALIBRATION)
    }
    thumbnails = np.concatenate([from_sheet((before.path / THUMBNAILS).read_bytes()), grown.thumbnails])
    fitted = to_file(grown.detector, grown.ranges)
    files = {
        **kept,
        GRAPH: grown.graph.SerializeToString(),
        THUMBNAILS: to_sheet(thumbnails),
        CALIBRATION: _calibration(before, grown),
        **({FITTED: fitted} if fitted else {}),
    }
    return save_pack(out, said, files)


def _promise(before: Pack, added: int) -> tuple[str, ...]:
    """Return what can be promised of a grown bank, and what cannot."""
    told = (
        (
            f"grown by {added} images from the model {before.model_hash[:12]}, without its {before.manifest.images} images: the threshold "
            "rests on the scores that those had before, which can only have fallen since, and so rejects rather fewer good parts than stated, "
            "and finds a defect less; fit on all images together when they are at hand"
        ),
    )
    if before.manifest.defects is None:
        return told
    return (
        *told,
        (
            "known defects are as they were, and so is what is said of them: good parts that look like one are still rejected; fit again "
            "on all images to know better"
        ),
    )


def _held_out(before: Pack, grown: Grown) -> dict[str, object]:
    """Return the manifest's entry about what the threshold rests on: the old folds and the new."""
    held_out, threshold, batches = before.manifest.held_out, grown.threshold, grown.batches
    return {
        **held_out.model_dump(mode="json"),
        "by": batches.source,
        "batches": len(batches.names),
        "families": len(np.unique(batches.family_of)),
        "folds": held_out.folds + grown.folds,
        "images": len(grown.scores),
        "false_reject_rate": threshold.rate,
        "interval": threshold.interval,
        "next_images": threshold.next_images,
        "promised": threshold.promised,
        "learning": [asdict(point) for point in grown.curve],
    }


def _calibration(before: Pack, grown: Grown) -> bytes:
    """Return calibration.json: the old entries, and one for each new image that counts."""
    old = json.loads((before.path / CALIBRATION).read_bytes())["held_out"]
    fold_of = np.concatenate(
        [[entry["fold"] for entry in old], before.manifest.held_out.folds + grown.fold_of]
    )
    return facts.calibration(grown.batches.files, grown.batches, fold_of.astype(np.int64), grown.scores)


def _rescored(before: Pack, graph: onnx.ModelProto) -> dict[str, float]:
    """Return the score of each of the pack's reference images by the new graph."""
    geometry = before.geometry
    found = {}
    with compiled(graph, geometry) as engine:
        for reference in before.manifest.references:
            image = read_image(before.path / reference.file, geometry.channels)
            prepared = image.reshape(geometry.input_shape)
            found[reference.file] = engine.score_prepared(prepared).value
    return found
