"""Measures a pack on labelled images: how well it tells bad from good, and what its threshold does."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.clock import NS_PER_MS, SystemClock
from inspector.engine.base import Engine, open_engine
from inspector.errors import ImagesError
from inspector.model.images import batch_of, find_mask, list_images, read_image
from inspector.model.metrics import PixelHistogram, auroc, percentiles
from inspector.model.pack import Pack
from inspector.model.progress import Progress, counter, silent


@dataclass(frozen=True, slots=True)
class _Scored:
    values: NDArray[np.float64]
    heatmaps: list[NDArray[np.float32]]
    milliseconds: list[float]


def evaluate(
    pack: Pack,
    good: Path,
    bad: Path,
    masks: Path | None = None,
    *,
    engine: str = "auto",
    progress: Progress = silent,
) -> dict[str, object]:
    """Return the figures under their published names; `auroc_pixel` only with masks. Raises ImagesError, EngineError.

    A part is rejected when its score is above the pack's threshold. `recall_by_defect` goes by the sub-folders of `bad`.
    """
    good_paths, bad_paths = list_images(good), list_images(bad)
    mask_paths = [find_mask(path, bad, masks) for path in bad_paths] if masks else []
    opened = open_engine(engine, pack.graph, pack.geometry)
    try:
        opened.warm_up()
        of_good = _score(opened, pack, good_paths, "good", progress)
        of_bad = _score(opened, pack, bad_paths, "bad", progress)
    finally:
        opened.close()
    rejected = of_bad.values > pack.threshold
    result: dict[str, object] = {
        "auroc": auroc(of_good.values, of_bad.values),
        "false_reject_rate": float((of_good.values > pack.threshold).mean()),
        "recall": float(rejected.mean()),
        "recall_by_defect": _by_defect(bad_paths, bad, rejected),
        "engine_ms": percentiles(of_good.milliseconds + of_bad.milliseconds),
        "engine": opened.name,
    }
    if masks:
        result["auroc_pixel"] = _pixel_auroc(pack, of_good, of_bad, mask_paths)
    return result


def _score(engine: Engine, pack: Pack, paths: Sequence[Path], stage: str, progress: Progress) -> _Scored:
    clock = SystemClock()
    values, heatmaps, milliseconds = np.empty(len(paths)), [], []
    advance = counter(progress, stage, len(paths))
    for index, path in enumerate(paths):
        image = read_image(path, pack.geometry.channels)
        start_ns = clock.now_ns()
        score = engine.score(image)
        milliseconds.append((clock.now_ns() - start_ns) / NS_PER_MS)
        values[index] = score.value
        heatmaps.append(score.heatmap)
        advance(1)
    return _Scored(values, heatmaps, milliseconds)


def _by_defect(paths: Sequence[Path], root: Path, rejected: NDArray[np.bool_]) -> dict[str, float]:
    groups: dict[str, list[bool]] = defaultdict(list)
    for path, is_rejected in zip(paths, rejected, strict=True):
        groups[batch_of(path, root)].append(bool(is_rejected))
    return {name: sum(group) / len(group) for name, group in sorted(groups.items())}


def _pixel_auroc(pack: Pack, good: _Scored, bad: _Scored, masks: Sequence[Path]) -> float:
    """Compare at the graph's input size; pixels of good images are all good, whatever is white in a mask is defect."""
    size = pack.geometry.width, pack.geometry.height
    histogram = PixelHistogram(max(float(heatmap.max()) for heatmap in (*good.heatmaps, *bad.heatmaps)))
    none = np.zeros((pack.geometry.height, pack.geometry.width), np.bool_)
    for heatmap in good.heatmaps:
        histogram.add(cv2.resize(heatmap, size, interpolation=cv2.INTER_LINEAR), none)
    seen = False
    for heatmap, path in zip(bad.heatmaps, masks, strict=True):
        white = (read_image(path, 1) > 127).astype(np.float32)
        defect = cv2.resize(white, size, interpolation=cv2.INTER_AREA) > 0  # a small defect must not vanish
        seen |= bool(defect.any())
        histogram.add(cv2.resize(heatmap, size, interpolation=cv2.INTER_LINEAR), defect)
    if not seen:
        raise ImagesError(
            f"{masks[0].parent}: expected masks with white where the defect is, all are black; correct the masks"
        )
    return histogram.auroc()
