"""Fits a model on good parts: `fit` is the table of contents, and each step has its room.

images -> survey (images.py) -> batches (batches.py) -> folds (folds.py) -> tuning, where asked for (tune.py) -> spec (spec.py)
-> features (patches.py, collect.py; of several views: views.py)
-> known defects (known.py) -> held-out models and their scores (methods/) -> threshold (calibrate.py) -> final graph (graph.py)
-> what the pack says of it (facts.py) -> pack (pack.py)

What takes long is kept beside the pack while it grows (checkpoint.py), so that an interrupted fit goes on where it was.
"""

import hashlib
import resource
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspector.clock import NS_PER_S, SystemClock
from inspector.errors import ModelError
from inspector.model import facts
from inspector.model.backbone import open_backbone
from inspector.model.batches import Batches, find_batches
from inspector.model.calibrate import Threshold, check_number, check_rate, choose_threshold
from inspector.model.checkpoint import Checkpoint, Tell, key_of, untold
from inspector.model.defects import DefectImages, list_defects, require_no_copies
from inspector.model.folds import Folds, choose_folds
from inspector.model.framing import Framing
from inspector.model.images import Survey, list_images, survey
from inspector.model.imported import ImportedModel, fit_imported
from inspector.model.int8_gate import settled_precision
from inspector.model.learning import Point, learning_curve
from inspector.model.likeness import to_sheet
from inspector.model.methods.choice import method_for
from inspector.model.options import FLOAT32, IMPORTED, INT8, LEAST_SIZE, FitOptions
from inspector.model.pack import CALIBRATION, GRAPH, THUMBNAILS, Pack, check_target, save_pack
from inspector.model.patches import PatchModel, fit_patches, spec_for
from inspector.model.progress import (
    FEATURES,
    HELD_OUT,
    HELD_OUT_DEFECTS,
    IMAGES,
    KNOWN,
    MODEL,
    Progress,
    counter,
    silent,
)
from inspector.model.score_nodes import Exposure
from inspector.model.settling import Shown
from inspector.model.tune import Tuning, check_tuning, tune
from inspector.model.view_framing import plan_frames, settled_views
from inspector.model.views import ViewsModel, fit_views

Model = PatchModel | ImportedModel | ViewsModel


@dataclass(frozen=True, slots=True)
class FitResult:
    """The pack and what fitting took. `seconds` count what an interrupted start had kept; `peak_rss_mb` is of the whole process so far."""

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
    tell: Tell = untold,
) -> FitResult:
    """Fit on all images below `good` and write the pack `out`. Raises ImagesError, ModelError, PackError.

    The threshold comes from models that were fitted without the images they judge; the pack's model is fitted on all.
    `defects`: examples of known ones in sub-folders, with their masks in the same places below `defect_masks`.
    `tune_within_ms`: choose sizes, taps and method anew, whose time for an image is at most this (infinite: no limit).
    A fit that was interrupted goes on where it was, if all of this and all images are the same: `tell` hears of it.
    """
    options = settled_views(
        options or FitOptions(), defects=defects is not None, tuning=tune_within_ms is not None
    )
    started_ns = SystemClock().now_ns()
    _check(options)
    if tune_within_ms is not None:
        check_tuning(options, tune_within_ms)
    check_target(out)
    examples = _defects(defects, defect_masks)
    goods = look_at(good, options.seed, progress)
    if examples is not None:
        require_no_copies(examples.examples, goods.paths)
    tuning, tuned_s = None, 0.0
    if tune_within_ms is not None:
        trials = Checkpoint.beside(out, _key(options, goods, None, tune_within_ms), tell)
        tuning = tune(
            goods.paths,
            goods.folds,
            options,
            goods.found,
            budget_ms=tune_within_ms,
            progress=progress,
            checkpoint=trials,
        )
        options, tuned_s = tuning.chosen.candidate, trials.earlier_s
    framing = plan_frames(options, goods.found, goods.paths)
    checkpoint = Checkpoint.beside(out, _key(options, goods, examples), tell)
    model = _model(options, framing, goods, progress, checkpoint)
    framing = replace(framing, geometry=model.geometry)  # an imported network has sides of its own

    if examples is not None:
        model = model.met(examples, progress)
    model, shown = _held_out(model, goods, options.false_reject_rate, progress, checkpoint)
    model, calibrated = _calibrate(model, shown, goods, options.false_reject_rate)
    model = model.completed(progress)
    fitted = _Fitted(options, goods, framing, model, calibrated, tuning, examples)
    pack, kept = _write(out, fitted, progress)
    checkpoint.remove()
    return finished(pack, kept, started_ns, tuning, tuned_s + checkpoint.earlier_s)


def finished(
    pack: Pack, bank: int, started_ns: int, tuning: Tuning | None = None, earlier_s: float = 0.0
) -> FitResult:
    """Return the result of a fit that began at `started_ns`, and had taken `earlier_s` before it was interrupted."""
    manifest = pack.manifest
    seconds = earlier_s + (SystemClock().now_ns() - started_ns) / NS_PER_S
    peak_rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return FitResult(
        pack,
        manifest.images,
        seconds,
        peak_rss_mb,
        manifest.method,
        bank,
        pack.threshold,
        manifest.warnings,
        tuning,
    )


def stages(method: str, *, defects: bool) -> tuple[str, ...]:
    """Return the stages that `fit` reports, in order, but for those of tuning."""
    if method == IMPORTED:
        return IMAGES, FEATURES, MODEL
    known = (MODEL, KNOWN, HELD_OUT_DEFECTS) if defects else ()
    return IMAGES, FEATURES, *known, HELD_OUT, *(() if defects else (MODEL,))


@dataclass(frozen=True, slots=True)
class Goods:
    """The good images below `root`: what they have in common, which belong together, and which are held out together."""

    root: Path
    paths: list[Path]
    found: Survey
    batches: Batches
    folds: Folds

    @property
    def names(self) -> list[str]:
        """Each image's path below the root."""
        return [str(path.relative_to(self.root)) for path in self.paths]


def look_at(good: Path, seed: int, progress: Progress) -> Goods:
    """Survey the good images. Raises ImagesError where they are too few or cannot be read."""
    paths = list_images(good)
    check_number(len(paths))
    found = survey(paths, counter(progress, IMAGES, len(paths)))
    check_number(found.different)
    batches = find_batches(paths, good, found.thumbnails)
    return Goods(good, paths, found, batches, choose_folds(batches, np.random.default_rng(seed)))


@dataclass(frozen=True, slots=True)
class _Calibrated:
    """Held-out scores float64 (n,), the threshold from them, the one that would hold without known defects, and what more would bring."""

    scores: NDArray[np.float64]
    threshold: Threshold
    without: Threshold
    curve: tuple[Point, ...]


def _held_out(
    model: Model, goods: Goods, rate: float, progress: Progress, checkpoint: Checkpoint
) -> tuple[Model, Shown]:
    """Return what models say of images that they have not seen, and the model that knows of it."""
    if isinstance(model, ViewsModel):
        return model.judged(
            goods.paths, goods.folds, goods.batches, rate, progress=progress, checkpoint=checkpoint
        )
    return model, model.held_out(goods.paths, goods.folds, progress, checkpoint)


def _calibrate(model: Model, shown: Shown, goods: Goods, rate: float) -> tuple[Model, _Calibrated]:
    """Settle what known defects are worth, and choose the threshold."""
    batches = goods.batches
    model = model.settled(shown.usual(batches, rate), rate)
    scores = model.joined(shown)
    threshold = choose_threshold(scores, rate, batches)
    without = choose_threshold(shown.scores, rate, batches)
    curve = learning_curve(scores, rate, batches, threshold.next_images)
    return model, _Calibrated(scores, threshold, without, curve)


@dataclass(frozen=True, slots=True)
class _Fitted:
    """All that a pack is made of."""

    options: FitOptions
    goods: Goods
    framing: Framing
    model: Model
    calibrated: _Calibrated
    tuning: Tuning | None
    examples: DefectImages | None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know."""
        limit = self.calibrated.threshold
        return (
            *self.goods.found.warnings,
            *(() if self.examples is None else self.examples.warnings),
            *self.model.warnings(limit.value),
            *self.framing.warnings(),
            *limit.warnings,
        )


def _write(out: Path, fitted: _Fitted, progress: Progress) -> tuple[Pack, int]:
    """Write the pack of the model that is fitted on all; return it, and how much it keeps of the good parts."""
    goods, model, calibrated = fitted.goods, fitted.model, fitted.calibrated
    threshold = calibrated.threshold
    # The held-out models do without: exposure only speaks outside the range of all good images.
    exposure = Exposure(float(model.grey.min()), float(model.grey.max()), limit=threshold.value)
    graph, kept = model.fused(exposure, progress)
    views = model if isinstance(model, ViewsModel) else None
    geometry = views.geometries if views else model.geometry
    images = facts.references(goods.paths, calibrated.scores, graph, geometry)
    said = {
        **facts.what(fitted.options, model, kept, exposure),
        **fitted.framing.facts(),
        **facts.worth(fitted.options, goods.batches, goods.folds.count, threshold, calibrated.curve),
        "defects": model.known_facts(calibrated.without.value, threshold.value),
        "tuning": fitted.tuning and fitted.tuning.facts(),
        "images": len(goods.paths),
        "warnings": fitted.warnings,
        "references": [entry for _, entry in images.values()],
    }
    files = {
        GRAPH: graph.SerializeToString(),
        THUMBNAILS: to_sheet(goods.found.thumbnails),
        CALIBRATION: facts.calibration(
            goods.names,
            goods.batches,
            goods.folds.fold_of,
            calibrated.scores,
            views.shares() if views else None,
        ),
        **fitted.framing.files(),
        **model.files(),
        **{name: png for name, (png, _) in images.items()},
    }
    return save_pack(out, said, files), kept


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
    if options.method == IMPORTED and options.precision == INT8:
        raise ModelError(
            f"expected --precision {FLOAT32} beside --method {IMPORTED}, whose network stays as it is, got {INT8}; leave it out"
        )
    for size in options.sizes:
        if not LEAST_SIZE <= size <= 2048:
            raise ModelError(
                f"expected a size of {LEAST_SIZE} to 2048 pixels, got {size}; 256 is the default"
            )


def _model(
    options: FitOptions, framing: Framing, goods: Goods, progress: Progress, checkpoint: Checkpoint
) -> Model:
    """Choose spec and method, and pass over the images."""
    if options.method == IMPORTED:
        return fit_imported(options, framing, goods.paths, progress)
    if options.network is not None:
        raise ModelError(
            f"expected --method {IMPORTED} beside --network {options.network}, got {options.method}; leave out one of them"
        )
    if options.views:
        return fit_views(options, framing, goods.paths, goods.folds, progress=progress, checkpoint=checkpoint)
    spec = spec_for(options, framing)
    settled = settled_precision(spec, options, goods.paths, goods.folds, framing, progress=progress)
    method = method_for(options, settled.spec)
    model = fit_patches(
        settled.spec,
        method,
        goods.paths,
        goods.folds,
        seed=options.seed,
        progress=progress,
        checkpoint=checkpoint,
    )
    return replace(model, precision=settled)


def _key(
    options: FitOptions, goods: Goods, examples: DefectImages | None, within_ms: float | None = None
) -> str:
    """Return what an interrupted fit, or tuning `within_ms`, must have in common with this one: everything that the result depends on."""
    files = [options.network, options.frame.mask, options.frame.reference]
    shown = () if examples is None else examples.examples
    files += [file for example in shown for file in (example.path, example.mask)]
    contents = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file and file.is_file()]
    backbone = None if options.method == IMPORTED else open_backbone(options.backbone).sha256
    return key_of(
        {
            "options": options,
            "backbone": backbone,
            "within_ms": within_ms,
            "good": goods.names,
            "families": goods.batches.family_of.tolist(),
            "folds": goods.folds.fold_of.tolist(),
            "defects": [(str(example.path), example.kind) for example in shown],
        },
        [*goods.found.digests, *contents],
    )
