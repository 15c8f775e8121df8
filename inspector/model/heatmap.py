"""Shows where a score comes from: the heat map laid over the image."""

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.engine.base import Score
from inspector.engine.place import compose, invert, shift

_STRENGTH = 0.6  # of the colour at twice the threshold and above


def overlay(image: NDArray[np.uint8], heatmap: NDArray[np.float32], threshold: float) -> NDArray[np.uint8]:
    """Return `image` (H, W) or (H, W, 3) RGB as BGR uint8 (H, W, 3) with the heat map (h, w) over it.

    Colour begins at half the threshold and is full at twice; what is above the threshold gets an outline.
    """
    height, width = image.shape[:2]
    base = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR if image.ndim == 2 else cv2.COLOR_RGB2BGR)
    relative = cv2.resize(heatmap, (width, height), interpolation=cv2.INTER_LINEAR) / np.float32(threshold)
    level = np.clip((relative - 0.5) / 1.5, 0, 1)
    colour = cv2.applyColorMap((level * 255).astype(np.uint8), cv2.COLORMAP_TURBO)
    weight = (_STRENGTH * np.minimum(1, 2 * level))[..., None]
    mixed = np.rint(base * (1 - weight) + colour * weight).astype(np.uint8)
    outlines, _ = cv2.findContours((relative > 1).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    drawn: NDArray[np.uint8] = cv2.drawContours(
        mixed, outlines, -1, (255, 255, 255), max(1, min(height, width) // 256)
    )
    return drawn


def in_frame(score: Score, width: int, height: int) -> NDArray[np.float32]:
    """Return the heat map in pixels of the raw frame, float32 (height, width): linear between cells, 0 where none looks."""
    rows, columns = score.heatmap.shape
    to_cells = invert(score.cells_to_frame)
    # OpenCV counts from the centre of the first pixel, we from its corner.
    matrix = np.array(compose(compose(shift(-0.5, -0.5), to_cells), shift(0.5, 0.5))).reshape(2, 3)
    warped: NDArray[np.float32] = cv2.warpAffine(
        score.heatmap,
        matrix,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    a, b, c, d, e, f = to_cells
    x, y = np.arange(width)[None, :] + 0.5, np.arange(height)[:, None] + 0.5
    column, row = a * x + b * y + c, d * x + e * y + f
    inside = (column >= 0) & (column <= columns) & (row >= 0) & (row <= rows)
    return np.where(inside, warped, np.float32(0))
