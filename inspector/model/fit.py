"""Fits a model on good parts: `fit` is the table of contents, and each step has its room.

images -> survey (images.py) -> folds (calibrate.py) -> spec (spec.py) -> features (patches.py, collect.py) -> held-out models and
their scores (methods/) -> threshold (calibrate.py) -> final graph (graph.py) -> references -> pack (pack.py)
"""

import json
import resource
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray

from inspector.clock import NS_PER_S, SystemClock, utc_label
from inspector.engine.preprocess import Geometry, to_input
from inspector.errors import ModelError
from inspector.model.backbone import open_backbone
from inspector.model.calibrate import (
    CONFIDENCE,
    Folds,
    Threshold,
    check_number,
    check_rate,
    choose_folds,
    choose_threshold,
    clopper_pearson,
)
from inspector.model.images import Survey, batch_of, input_size, list_images, read_image, survey
from inspector.model.methods.base import method_named
from inspector.model.options import FitOptions
from inspector.model.pack import CALIBRATION, GRAPH, Pack, check_target, save_pack
from inspector.model.patches import PatchModel, fit_patches
from inspector.model.progress import Progress, silent
from inspector.model.score_nodes import Exposure
from inspector.model.scoring import compiled
from inspector.model.spec import model_spec


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

    def as_json(self) -> dict[str, object]:
        """Return the figures under their published names."""
        names = ("images", "seconds", "peak_rss_mb", "method", "bank", "threshold")
        return {name: getattr(self, name) for name in names}


def fit(good: Path, out: Path, options: FitOptions | None = None, progress: Progress = silent) -> FitResult:
    """Fit on all images below `good` and write the pack `out`. Raises ImagesError, ModelError, PackError.

    The threshold comes from models that were fitted without the images they judge; the pack's model is fitted on all.
    """
    options = options or FitOptions()
    clock = SystemClock()
    started_ns = clock.now_ns()
    _check(options)
    check_target(out)
    paths = list_images(good)
    batches = [batch_of(path, good) for path in paths]
    folds = choose_folds(batches, np.random.default_rng(options.seed))
    found = survey(paths)
    check_number(found.different)
    model = _model(options, found, paths, folds, progress)

    scores = model.held_out_scores(paths, folds, progress)
    threshold = choose_threshold(scores, options.false_reject_rate)
    # The held-out models do without: exposure only speaks outside the range of all good images.
    exposure = Exposure(float(model.grey.min()), float(model.grey.max()), limit=threshold.value)
    graph, kept = model.fused(exposure, progress)

    warnings = (
        *found.warnings,
        *folds.warnings,
        *threshold.warnings,
        *_batch_warnings(batches, folds, scores, threshold),
    )
    references = _references(paths, scores, graph, model.geometry)
    facts = {
        **_what(options, model, kept, exposure),
        **_worth(options, batches, folds, threshold),
        "images": len(paths),
        "warnings": warnings,
        "references": [{"file": name, "score": score} for name, (_, score) in references.items()],
    }
    files = {
        GRAPH: graph.SerializeToString(),
        CALIBRATION: _calibration(paths, good, batches, folds, scores),
        **{name: png for name, (png, _) in references.items()},
    }
    pack = save_pack(out, facts, files)
    seconds = (clock.now_ns() - started_ns) / NS_PER_S
    peak_rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return FitResult(pack, len(paths), seconds, peak_rss_mb, options.method, kept, threshold.value, warnings)


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
    options: FitOptions, found: Survey, paths: Sequence[Path], folds: Folds, progress: Progress
) -> PatchModel:
    """Choose spec and method, and pass over the images."""
    sizes = [input_size(found.aspect, pixels) for pixels in options.sizes]
    spec = model_spec(open_backbone(options.backbone), found.channels, sizes, options.taps, options.pooling)
    method = method_named(options.method, bank=options.bank, seed=options.seed)
    return fit_patches(spec, method, paths, folds, seed=options.seed, progress=progress)


def _batch_warnings(
    batches: Sequence[str], folds: Folds, scores: NDArray[np.float64], threshold: Threshold
) -> Iterator[str]:
    """Name the batches that, held out whole, were rejected far more often than all together."""
    if not folds.by_batch:
        return
    names = np.array(batches)
    for name in np.unique(names):
        of_batch = scores[names == name]
        above = int((of_batch > threshold.value).sum())
        if clopper_pearson(above, len(of_batch))[0] > threshold.rate:
            yield f"batch {name}: {above} of {len(of_batch)} images are above the threshold; a new batch may fare like this one"


def _what(options: FitOptions, model: PatchModel, kept: int, exposure: Exposure) -> dict[str, object]:
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
    options: FitOptions, batches: Sequence[str], folds: Folds, threshold: Threshold
) -> dict[str, object]:
    """Return the manifest's entries about the threshold and what it rests on."""
    return {
        "threshold": threshold.value,
        "false_reject_rate": options.false_reject_rate,
        "held_out": {
            "by": "batch" if folds.by_batch else "random",
            "batches": len(set(batches)),
            "images": len(batches),
            "false_reject_rate": threshold.rate,
            "interval": threshold.interval,
            "confidence": CONFIDENCE,
        },
    }


def _calibration(
    paths: Sequence[Path], root: Path, batches: Sequence[str], folds: Folds, scores: NDArray[np.float64]
) -> bytes:
    """Return calibration.json: one entry for each good image."""
    entries = [
        {"image": str(path.relative_to(root)), "batch": batch, "fold": int(fold), "score": float(score)}
        for path, batch, fold, score in zip(paths, batches, folds.fold_of, scores, strict=True)
    ]
    return json.dumps({"held_out": entries}, indent=1).encode()


def _references(
    paths: Sequence[Path], scores: NDArray[np.float64], graph: onnx.ModelProto, geometry: Geometry
) -> dict[str, tuple[bytes, float]]:
    """Return the best, median and worst good image as PNG of the graph's input size, with the final graph's score of each."""
    order = np.argsort(scores, kind="stable")
    chosen = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    references = {}
    with compiled(graph, geometry) as engine:
        for name, index in chosen.items():
            pixels = to_input(read_image(paths[index], geometry.channels), geometry)[0].squeeze()
            written, png = cv2.imencode(".png", pixels if pixels.ndim == 2 else pixels[..., ::-1])
            if not written:
                raise ModelError(f"{paths[index]}: cannot be encoded as PNG for the pack; replace the image")
            references[f"reference/{name}.png"] = (png.tobytes(), engine.score(pixels).value)
    return references
