"""Shows where a score comes from: the heat map laid over the image."""

import cv2
import numpy as np
from numpy.typing import NDArray

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
