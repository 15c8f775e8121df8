"""Statistics of each place on a part, in few dimensions, summed up in one pass."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.model.spec import Branch

DIMENSIONS = 64
_BYTES = 512 << 20  # of all groups' sums: a fine grid with many groups gets fewer dimensions
_LEAST_DIMENSIONS = 8


class PositionMoments:
    """Count, sums and sums of outer products of (cells, k) around `centre` (cells, k); those of a union are their sum.

    Deviations from a typical image are summed, since float32 sums of large values would swallow them.
    """

    def __init__(self, centre: NDArray[np.float32]) -> None:
        cells, dimensions = centre.shape
        self.centre, self.count = centre, 0
        self.total = np.zeros((cells, dimensions), np.float32)
        self.outer = np.zeros((cells, dimensions, dimensions), np.float32)

    def add(self, values: NDArray[np.float32]) -> None:
        """Take in one image's (cells, k)."""
        deviations = values - self.centre
        self.count += 1
        self.total += deviations
        self.outer += deviations[:, :, None] * deviations[:, None, :]

    def merge(self, other: "PositionMoments") -> None:
        """Take in another's images, summed around the same centre."""
        self.count += other.count
        self.total += other.total
        self.outer += other.outer

    def mean_and_covariance(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the mean deviation from `centre` (cells, k), and the covariance (cells, k, k)."""
        mean = self.total.astype(np.float64) / self.count
        outer = self.outer.astype(np.float64) / self.count
        return mean, outer - mean[:, :, None] * mean[:, None, :]


@dataclass(frozen=True, slots=True)
class Positions:
    """The basis, float32 (d, k) with orthonormal columns, and the moments in it."""

    basis: NDArray[np.float32]
    moments: PositionMoments


class GatheredPositions:
    """Takes in one branch's features, image by image, by group. Memory is fixed from the first image of each group."""

    def __init__(self, branch: Branch, groups: int, seed: int) -> None:
        room = (_BYTES / (4 * groups * branch.cells)) ** 0.5
        dimensions = min(DIMENSIONS, branch.depth, max(_LEAST_DIMENSIONS, int(room)))
        random = np.random.default_rng(seed).normal(size=(branch.depth, dimensions))
        self._basis = np.linalg.qr(random)[0].astype(np.float32)
        self._centre: NDArray[np.float32] | None = None
        self._groups: list[PositionMoments | None] = [None] * groups

    def add(self, features: NDArray[np.float32], group: int) -> None:
        """Take in an image's features (cells, depth)."""
        values = features @ self._basis
        if self._centre is None:
            self._centre = values
        moments = self._groups[group]
        if moments is None:
            moments = self._groups[group] = PositionMoments(self._centre)
        moments.add(values)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return what was taken in so far, as arrays."""
        kept = {group: moments for group, moments in enumerate(self._groups) if moments is not None}
        state: dict[str, NDArray[Any]] = {"groups": np.array(list(kept), np.int64)}
        if self._centre is not None:
            state["centre"] = self._centre
            state["counts"] = np.array([moments.count for moments in kept.values()])
            state["totals"] = np.stack([moments.total for moments in kept.values()])
            state["outers"] = np.stack([moments.outer for moments in kept.values()])
        return state

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take in what another of the same make handed out as `state`. Before anything else was taken in."""
        for place, group in enumerate(state["groups"].tolist()):
            self._centre = state["centre"]
            moments = self._groups[group] = PositionMoments(self._centre)
            moments.count = int(state["counts"][place])
            moments.total, moments.outer = state["totals"][place], state["outers"][place]

    def without(self, barred: NDArray[np.bool_]) -> Positions | None:
        """Return the sum over the groups that are not barred, None where there is no image in them."""
        kept = [m for m, out in zip(self._groups, barred, strict=True) if m is not None and not out]
        if not kept:
            return None
        total = PositionMoments(kept[0].centre)
        for moments in kept:
            total.merge(moments)
        return Positions(self._basis, total)
