"""Whether a pack finds the defect where it is: heat maps against masks, in the images' own coordinates."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.engine.base import Score
from inspector.engine.place import compose, stretch
from inspector.errors import ImagesError
from inspector.model.defects import read_mask
from inspector.model.heatmap import in_frame
from inspector.model.judged import Judged
from inspector.model.metrics import PixelScores

# Images are compared at no more than this area, so that frames of 12 megapixels do not take minutes: a defect of 3 pixels in
# 4000 still covers one.
_PIXELS_MAX = 512 * 512


def pixel_scores(judged: Judged, masks: Sequence[Path]) -> PixelScores:
    """Count the pixels of all images; those of good ones are all good, whatever is white in a mask of a bad one is defect.

    What lies outside the region that a pack looks at scores 0 there, defects too: they were not looked for. Raises ImagesError
    where no mask has anything white, or one has another size than its image.
    """
    sample = [
        view.heatmap.reshape(-1) for score in judged.scores if score is not None for view in _views(score)
    ]
    counted = PixelScores(len(judged.scores), np.concatenate([np.zeros(1, np.float32), *sample]))
    top = max((float(values.max()) for values in sample), default=1.0)
    for index, (score, size) in enumerate(zip(judged.scores, judged.sizes, strict=True)):
        width, height = _compared(size)
        truth = np.zeros((height, width), np.bool_)
        if index >= judged.good:
            truth = _defect(masks[index - judged.good], size, (width, height))
        # A part beyond its pose is odd all over.
        plane = np.full((height, width), top, np.float32)
        counted.add(plane if score is None else _shown(score, size, (width, height)), truth)
    if not counted.regions:
        raise ImagesError(
            f"{masks[0].parent}: expected masks with white where the defect is, all are black; correct the masks"
        )
    return counted


def _compared(size: tuple[int, int]) -> tuple[int, int]:
    shrink = min(1.0, (_PIXELS_MAX / (size[0] * size[1])) ** 0.5)
    return max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))


def _defect(mask: Path, size: tuple[int, int], shown: tuple[int, int]) -> NDArray[np.bool_]:
    """Return where the defect is in an image of (width, height) `size` that is shown at (w, h) `shown`, bool (h, w)."""
    white = read_mask(mask, size[::-1]).astype(np.float32)
    defect: NDArray[np.bool_] = (
        cv2.resize(white, shown, interpolation=cv2.INTER_AREA) > 0
    )  # a small one must not vanish
    return defect


def _shown(score: Score, size: tuple[int, int], shown: tuple[int, int]) -> NDArray[np.float32]:
    """Return the heat map float32 (h, w) over an image of (width, height) `size` that is shown at (w, h) `shown`.

    Of several views that of all: where two overlap, what the odder one says.
    """
    planes = [
        in_frame(replace(view, cells_to_frame=compose(stretch(size, shown), view.cells_to_frame)), *shown)
        for view in _views(score)
    ]
    highest: NDArray[np.float32] = np.maximum.reduce(planes)
    return highest


def _views(score: Score) -> tuple[Score, ...]:
    return score.views or (score,)
