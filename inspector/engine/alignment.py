"""Where a part lies in its frame, against a reference image: translation and rotation, a small fraction of a pixel exactly.

First roughly, by phase correlation at a few angles (Kuglin and Hines, 1975), then by maximising the enhanced correlation coefficient
from there (Evangelidis and Psarakis, "Parametric image alignment using enhanced correlation coefficient maximization", PAMI 2008). Both
look at the frame scaled down to about `LOOK` pixels, and neither minds a lamp that ages.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.engine.decoding import Samples
from inspector.engine.place import IDENTITY, Affine, compose, invert, shift
from inspector.engine.resize import resize
from inspector.errors import EngineInputError, PoseError

LOOK = 192  # longer side of what is compared, in pixels
_ANGLE_STEP = (
    4.0  # degrees between the angles that are tried first: the refinement finds half of it from there
)
_STEPS, _PRECISE = 50, 1e-4  # of the refinement: at most so many, ended when the coefficient gains less
LEAST_CORRELATION = 0.5  # below, what is seen is not the part of the reference


@dataclass(frozen=True)
class Alignment:
    """The reference pose and how far from it a part may lie. `reference` is grey (h, w) as `look_at` makes it.

    `frame` is (width, height) of the raw frame. `limit_px` is in raw pixels, for the centre of the frame; `limit_deg` either way.
    `watched`, of the shape of `reference`, is 0 where the reference must not be compared; None compares all of it.
    """

    reference: NDArray[np.uint8]
    frame: tuple[int, int]
    limit_px: float
    limit_deg: float
    watched: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        if self.reference.shape != look_shape(self.frame):
            raise EngineInputError(
                f"the reference is {self.reference.shape}, expected {look_shape(self.frame)} for frames of {self.frame}: "
                "fit the pack again"
            )
        if not (self.limit_px > 0 and 0 <= self.limit_deg <= 45):
            raise EngineInputError(
                f"expected a limit above 0 pixels and of 0 to 45 degrees, got {self.limit_px:g} and {self.limit_deg:g}; "
                "correct --align"
            )

    def find(self, frame: Samples) -> Affine:
        """Return the map from the reference's coordinates to those of `frame`, (H, W) grey. PoseError beyond the limits.

        Any thread, one at a time.
        """
        seen = look_at(frame).astype(np.float32)
        if float(seen.std()) < 1.0:
            raise PoseError("the frame shows nothing to align: it is of one grey; check lamp and trigger")
        start = self._rough(seen)
        map_to_reference, correlation = self._refined(seen, start)
        if correlation < LEAST_CORRELATION:
            raise PoseError(
                f"no part like the reference is in the frame (correlation {correlation:.2f}, expected {LEAST_CORRELATION:g}); "
                "check trigger and camera, or fit the pack again"
            )
        pose = compose(self._enlarge, compose(invert(map_to_reference), self._shrink))
        self._require_within_limits(pose)
        return pose

    def _require_within_limits(self, pose: Affine) -> None:
        width, height = self.frame
        a, b, c, d, e, f = pose
        x, y = width / 2, height / 2
        moved = math.hypot(a * x + b * y + c - x, d * x + e * y + f - y)
        turned = abs(math.degrees(math.atan2(d, a)))
        if moved > self.limit_px or turned > self.limit_deg:
            raise PoseError(
                f"the part lies {moved:.1f} pixels and {turned:.2f} degrees from the reference, {self.limit_px:g} and "
                f"{self.limit_deg:g} are allowed; check how it is placed, or fit with a wider --align"
            )

    def _rough(self, seen: NDArray[np.float32]) -> Affine:
        """Return the best of the angles tried, as a map from `seen` to the reference, both scaled down."""
        best, found = -1.0, IDENTITY
        # Its own window it would lay on the image that it was given, not on a copy.
        windowed = seen * self._window
        for turn, reference in self._turned:
            (dx, dy), response = cv2.phaseCorrelate(windowed, reference)
            if response > best:
                best, found = response, compose(invert(turn), shift(dx, dy))
        return found

    def _refined(self, seen: NDArray[np.float32], start: Affine) -> tuple[Affine, float]:
        """Return the refined map from `seen` to the reference and the correlation coefficient, 0 where there is none."""
        half = (
            1.0,
            0.0,
            0.5,
            0.0,
            1.0,
            0.5,
        )  # OpenCV counts from the centre of the first pixel, we from its corner
        warp: Any = np.array(compose(invert(half), compose(start, half)), np.float32).reshape(2, 3)
        criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _STEPS, _PRECISE)
        try:
            # The frame is the template: so the mask, which lies on the reference, decides which pixels count.
            correlation, warp = cv2.findTransformECC(
                seen, self._floating, warp, cv2.MOTION_EUCLIDEAN, criteria, self.watched, 5
            )
        except cv2.error:  # it left the reference, or nothing correlates
            return start, 0.0
        found = tuple(float(value) for value in warp.reshape(-1))
        return compose(
            half, compose((found[0], found[1], found[2], found[3], found[4], found[5]), invert(half))
        ), correlation

    @cached_property
    def _floating(self) -> NDArray[np.float32]:
        return self.reference.astype(np.float32)

    @cached_property
    def _window(self) -> NDArray[np.float32]:
        height, width = self.reference.shape
        window: NDArray[np.float32] = cv2.createHanningWindow((width, height), cv2.CV_32F)
        return window

    @cached_property
    def _turned(self) -> list[tuple[Affine, NDArray[np.float32]]]:
        """Each of the angles tried as a map, and the reference turned by it, faded out towards its edges."""
        count = math.ceil(self.limit_deg / _ANGLE_STEP - 0.5)
        height, width = self.reference.shape
        found = []
        for step in range(-count, count + 1):
            turn = rotation(step * _ANGLE_STEP, (width / 2, height / 2))
            turned = move(self._floating, invert(turn), (0, 0, width, height))
            found.append((turn, turned * self._window))
        return found

    @cached_property
    def _shrink(self) -> Affine:
        """From coordinates of the raw frame to those of what is compared."""
        height, width = self.reference.shape
        return width / self.frame[0], 0.0, 0.0, 0.0, height / self.frame[1], 0.0

    @cached_property
    def _enlarge(self) -> Affine:
        return invert(self._shrink)


def look_shape(frame: tuple[int, int]) -> tuple[int, int]:
    """Return (height, width) of what is compared of frames of (width, height)."""
    factor = max(1.0, max(frame) / LOOK)
    return max(1, round(frame[1] / factor)), max(1, round(frame[0] / factor))


def look_at(frame: Samples) -> Samples:
    """Return a grey frame (H, W) as it is compared."""
    return resize(frame, *look_shape((frame.shape[1], frame.shape[0])))


def rotation(degrees: float, centre: tuple[float, float]) -> Affine:
    """Return the map that turns about `centre`, from x towards y."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = centre
    return c, -s, x - c * x + s * y, s, c, y - s * x - c * y


def move(image: NDArray[Any], pose: Affine, region: tuple[int, int, int, int]) -> NDArray[Any]:
    """Return the region of the reference's coordinates as seen in `image` through `pose`, bilinear; edges repeat."""
    x, y, width, height = region
    # OpenCV counts from the centre of the first pixel, we from its corner.
    matrix = np.array(compose(compose(shift(-0.5, -0.5), pose), shift(x + 0.5, y + 0.5)))
    moved: NDArray[Any] = cv2.warpAffine(
        image,
        matrix.reshape(2, 3),
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return moved
