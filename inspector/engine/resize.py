"""Change of size without aliasing, within a part's cycle: area averaging in whole steps first, then what suits the odd rest.

OpenCV's area averaging takes 2.5 ms from 1920 x 1200 to 256 x 256 on one core, because that is no whole number of pixels. Steps of a
whole number of pixels that divide the image are cheap, halving both sides cheapest: 0.4 ms for the same. For a rest of up to 1.25
bilinear is as good at a quarter of the time: of a signal that is nothing but aliasing it passes 0.58, area averaging 0.47 to 0.53, and
photographs of solar cells (300 to 256 pixels) differ by 0.4 grey levels and are told apart as well as before (AUROC 0.957 against
0.954, one split). Beyond, area averaging (at 1.9: 0.32 against 0.66).
"""

import functools

import cv2
import numpy as np

from inspector.engine.decoding import Samples

BILINEAR_UP_TO = 1.25


def resize(image: Samples, height: int, width: int, out: Samples | None = None) -> Samples:
    """Return uint8 or uint16 (H, W) or (H, W, 3) as (height, width[, 3]), written into `out` where given. Any thread."""
    down, across = whole_step(image.shape[0], height), whole_step(image.shape[1], width)
    while down % 2 == 0 and across % 2 == 0:
        image = _by(image, image.shape[0] // 2, image.shape[1] // 2, cv2.INTER_AREA)
        down, across = down // 2, across // 2
    if down * across > 1:
        image = _by(image, image.shape[0] // down, image.shape[1] // across, cv2.INTER_AREA)
    if image.shape[:2] == (height, width):
        if out is None:
            return image
        np.copyto(out, image)
        return out
    rest = max(image.shape[0] / height, image.shape[1] / width)
    # _EXACT: the same bytes on every CPU, and so the same score.
    method = cv2.INTER_LINEAR_EXACT if rest <= BILINEAR_UP_TO else cv2.INTER_AREA
    return _by(image, height, width, method, out)


@functools.cache
def whole_step(size: int, target: int) -> int:
    """Return the largest divisor of `size` that still leaves `target` pixels; 1 where there is none."""
    return next((step for step in range(size // target, 1, -1) if size % step == 0), 1)


def _by(image: Samples, height: int, width: int, method: int, out: Samples | None = None) -> Samples:
    resized: Samples = cv2.resize(image, (width, height), dst=out, interpolation=method)
    return resized
