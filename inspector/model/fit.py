"""Fits a model on good parts: `fit` is the table of contents, and each step has its room.

images -> survey (images.py) -> batches (batches.py) -> folds (folds.py) -> tuning, where asked for (tune.py) -> spec (spec.py) -> features (patches.py, collect.py)
-> known defects (known.py) -> held-out models and their scores (methods/) -> threshold (calibrate.py) -> final graph (graph.py) -> references -> pack (pack.py)
"""

import json
import resource
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray

from inspector.clock import NS_PER_S, SystemClock, utc_label
from inspector.engine.preprocess import Geometry, to_input
from inspector.errors import ModelError
from inspector.model.batches import Batches, find_batches
from inspector.model.calibrate import Threshold, check_number, check_rate, choose_threshold
from inspector.model.defects import DefectImages, list_defects, require_no_copies
from inspector.model.folds import Folds, choose_folds
from inspector.model.framing import Framing, plan
from inspector.model.images import list_images, read_frame, survey
from inspector.model.imported import ImportedModel, fit_imported
from inspector.model.learning import Point, learning_curve
from inspector.model.likeness import to_sheet
from inspector.model.methods.base import method_named
from inspector.model.options import IMPORTED, FitOptions
from inspector.model.pack import CALIBRATION, GRAPH, THUMBNAILS, Pack, check_target, save_pack
from inspector.model.patches import PatchModel, fit_patches, spec_for
from inspector.model.progress import Progress, silent
from inspector.model.proportions import CONFIDENCE
from inspector.model.score_nodes import Exposure
from inspector.model.scoring import compiled
from inspector.model.tune import Tuning, check_tuning, tune

# Good images that the pack keeps for the self-test. Three let an engine through whose weights were rounded to 13 bits and
# whose scores were off by 5 % elsewhere; twelve saw it, and 14 bits too. They cost a tenth of a second at the start.
_REFERENCES = 12


@dataclass(frozen=True, slots=True)
class FitResult:
    """The pack and what fitting took. `peak_rss_mb` is that of the whole process so far."""

    pack: Pack
    images: int
    seconds: float
    peak_rss_mb: float
    method: str
    bank: int
    threshold: float
    warnings: tuple[str, ...]
    tuning: Tuning | None = None

    def as_json(self) -> dict[str, object]:
        """Return the figures under their published names."""
        names = ("images", "seconds", "peak_rss_mb", "method", "bank", "threshold")
        return {name: getattr(self, name) for name in names}


def fit(
    good: Path,
    out: Path,
    options: FitOptions | None = None,
    progress: Progress = silent,
    *,
    defects: Path | None = None,
    defect_masks: Path | None = None,
    tune_within_ms: float | None = None,
) -> FitResult:
    """Fit on all images below `good` and write the pack `out`. Raises ImagesError, ModelError, PackError.

    The threshold comes from models that were fitted without the images they judge; the pack's model is fitted on all.
    `defects`: examples of known ones in sub-folders, with their masks in the same places below `defect_masks`.
    `tune_within_ms`: choose sizes, taps and method anew, whose time for an image is at most this (infinite: no limit).
    """
    options = options or FitOptions()
    clock = SystemClock()
    started_ns = clock.now_ns()
    _check(options)
    if tune_within_ms is not None:
        check_tuning(options, tune_within_ms)
    check_target(out)
    examples = _defects(defects, defect_masks)
    paths = list_images(good)
    check_number(len(paths))
    found = survey(paths)
    check_number(found.different)
    if examples is not None:
        require_no_copies(examples.examples, paths)
    batches = find_batches(paths, good, found.thumbnails)
    folds = choose_folds(batches, np.random.default_rng(options.seed))
    tuning = None
    if tune_within_ms is not None:
        tuning = tune(paths, folds, options, found, budget_ms=tune_within_ms, progress=progress)
        options = tuning.chosen.candidate
    framing = plan(options.frame, found, paths, options.sizes)
    model = _model(options, framing, paths, folds, progress)
    framing = replace(framing, geometry=model.geometry)  # an imported network has sides of its own

    if examples is not None:
        model = model.met(examples, progress)
    shown = model.held_out(paths, folds, progress)
    model = model.settled(shown.usual(batches, options.false_reject_rate), options.false_reject_rate)
    scores = model.joined(shown)
    threshold = choose_threshold(scores, options.false_reject_rate, batches)
    without = choose_threshold(shown.scores, options.false_reject_rate, batches)
    curve = learning_curve(scores, options.false_reject_rate, batches, threshold.next_images)
    # The held-out models do without: exposure only speaks outside the range of all good images.
    exposure = Exposure(float(model.grey.min()), float(model.grey.max()), limit=threshold.value)
    graph, kept = model.fused(exposure, progress)

    known = () if examples is None else examples.warnings
    warnings = (
        *found.warnings,
        *known,
        *model.warnings(threshold.value),
        *framing.warnings(),
        *threshold.warnings,
    )
    references = _references(paths, scores, graph, model.geometry)
    facts = {
        **_what(options, model, kept, exposure),
        **framing.facts(),
        **_worth(options, batches, folds, threshold, curve),
        "defects": model.known_facts(without.value, threshold.value),
        "tuning": tuning and tuning.facts(),
        "images": len(paths),
        "warnings": warnings,
        "references": [{"file": name, "score": score} for name, (_, score) in references.items()],
    }
    files = {
        GRAPH: graph.SerializeToString(),
        THUMBNAILS: to_sheet(found.thumbnails),
        CALIBRATION: _calibration(paths, good, batches, folds, scores),
        **framing.files(),
        **{name: png for name, (png, _) in references.items()},
    }
    pack = save_pack(out, facts, files)
    seconds = (clock.now_ns() - started_ns) / NS_PER_S
    peak_rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return FitResult(
        pack, len(paths), seconds, peak_rss_mb, options.method, kept, threshold.value, warnings, tuning
    )


def _defects(folder: Path | None, masks: Path | None) -> DefectImages | None:
    if folder is not None:
        return list_defects(folder, masks)
    if masks is not None:
        raise ModelError(
            f"expected --defects beside --defect-masks {masks}, there is none; say whose masks they are"
        )
    return None


def _check(options: FitOptions) -> None:
    check_rate(options.false_reject_rate)
    if options.bank < 10:
        raise ModelError(f"expected a bank of at least 10 patches, got {options.bank}; 3000 is the default")
    if options.seed < 0:
        raise ModelError(f"expected a seed of at least 0, got {options.seed}; 0 is the default")
    for size in options.sizes:
        if not 64 <= size <= 2048:
            raise ModelError(f"expected a size of 64 to 2048 pixels, got {size}; 256 is the default")


def _model(
    options: FitOptions, framing: Framing, paths: Sequence[Path], folds: Folds, progress: Progress
) -> PatchModel | ImportedModel:
    """Choose spec and method, and pass over the images."""
    if options.method == IMPORTED:
        return fit_imported(options, framing, paths, progress)
    if options.network is not None:
        raise ModelError(
            f"expected --method {IMPORTED} beside --network {options.network}, got {options.method}; leave out one of them"
        )
    spec = spec_for(options, framing)
    method = method_named(options.method, bank=options.bank, seed=options.seed)
    return fit_patches(spec, method, paths, folds, seed=options.seed, progress=progress)


def _what(
    options: FitOptions, model: PatchModel | ImportedModel, kept: int, exposure: Exposure
) -> dict[str, object]:
    """Return the manifest's entries about the model."""
    size = model.geometry
    return {
        "created": utc_label(),
        "method": options.method,
        "input": {"channels": size.channels, "height": size.height, "width": size.width},
        **model.facts(),
        "bank": kept,
        "grey": (exposure.darkest, exposure.brightest),
        "seed": options.seed,
    }


def _worth(
    options: FitOptions, batches: Batches, folds: Folds, threshold: Threshold, curve: Sequence[Point]
) -> dict[str, object]:
    """Return the manifest's entries about the threshold and what it rests on."""
    return {
        "threshold": threshold.value,
        "false_reject_rate": options.false_reject_rate,
        "held_out": {
            "by": batches.source,
            "batches": len(batches.names),
            "families": len(np.unique(batches.family_of)),
            "folds": folds.count,
            "images": len(batches.batch_of),
            "false_reject_rate": threshold.rate,
            "interval": threshold.interval,
            "next_images": threshold.next_images,
            # What an imported network has seen is not known: perhaps these very images.
            "promised": threshold.promised and options.method != IMPORTED,
            "confidence": CONFIDENCE,
            "learning": [asdict(point) for point in curve],
        },
    }


def _calibration(
    paths: Sequence[Path], root: Path, batches: Batches, folds: Folds, scores: NDArray[np.float64]
) -> bytes:
    """Return calibration.json: one entry for each good image."""
    entries = [
        {
            "image": str(path.relative_to(root)),
            "batch": batch,
            "family": int(family) + 1,  # as warnings count them
            "fold": int(fold),
            "score": float(score),
        }
        for path, batch, family, fold, score in zip(
            paths, batches.labels(), batches.family_of, folds.fold_of, scores, strict=True
        )
    ]
    return json.dumps({"held_out": entries}, indent=1).encode()


def _references(
    paths: Sequence[Path], scores: NDArray[np.float64], graph: onnx.ModelProto, geometry: Geometry
) -> dict[str, tuple[bytes, float]]:
    """Return good images from the best to the worst as PNG of the graph's input size, with the final graph's score of each."""
    order = np.argsort(scores, kind="stable")
    ranks = np.linspace(0, len(order) - 1, _REFERENCES).astype(np.int64)
    names = ["best", *(f"rank-{number:02}" for number in range(2, _REFERENCES)), "worst"]
    chosen = dict(zip(names, order[ranks], strict=True))
    references = {}
    with compiled(graph, geometry) as engine:
        for name, index in chosen.items():
            prepared = to_input(read_frame(paths[index], geometry.channels), geometry)
            pixels = prepared[0, :, :, 0] if geometry.channels == 1 else prepared[0, :, :, ::-1]
            written, png = cv2.imencode(".png", pixels)
            if not written:
                raise ModelError(f"{paths[index]}: cannot be encoded as PNG for the pack; replace the image")
            references[f"reference/{name}.png"] = (png.tobytes(), engine.score_prepared(prepared).value)
    return references
