"""What one pass over the good images leaves for the methods, in bounded memory, so that any group of them can be left out afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.model.positions import GatheredPositions, Positions
from inspector.model.spec import Branch
from inspector.model.whitening import Moments

# Patches that a bank is chosen from, over all images: 40,000 of 384 values are 61 MB, however many images there are.
CANDIDATES = 40_000


@dataclass(frozen=True, slots=True)
class Training:
    """What a method is fitted on: the good images of one branch, or those that a held-out model may see.

    `moments` of all patches; `candidates` float32 (n, depth), a random share of each image's patches; `samples` float32
    (m, cells, depth), images that are in neither, empty where there is but one branch; `positions` where the method asked for them.
    """

    branch: Branch
    moments: Moments
    candidates: NDArray[np.float32]
    samples: NDArray[np.float32]
    positions: Positions | None = None


class Gathered:
    """Takes in one branch's features, image by image, by group: images that are left out together. Fixed memory from the start."""

    def __init__(
        self,
        branch: Branch,
        groups: int,
        images: int,
        samples: int,
        *,
        positions: GatheredPositions | None = None,
        watched: NDArray[np.float32] | None = None,
        candidates: int = CANDIDATES,
    ) -> None:
        """`watched`: 0 for each cell of the grid that says nothing, which is left out; None takes all. `candidates`: about how many."""
        self.branch = branch
        self._seen = np.arange(branch.cells) if watched is None else np.flatnonzero(watched)
        self._share = min(len(self._seen), max(1, candidates // max(1, images)))
        self._moments = [Moments.empty(branch.depth) for _ in range(groups)]
        self._candidates = np.empty((images * self._share, branch.depth), np.float32)
        self._group_of = np.empty(images, np.int64)
        self._samples = np.empty((samples, branch.cells, branch.depth), np.float32)
        self._group_of_sample = np.empty(samples, np.int64)
        self._images = self._sampled = 0
        self._positions = positions

    def add(self, features: NDArray[np.float32], group: int, rng: np.random.Generator) -> None:
        """Take in an image's features (cells, depth)."""
        seen = features[self._seen]
        self._moments[group] += Moments.of(seen)
        chosen = np.sort(rng.choice(len(seen), self._share, replace=False))
        start = self._images * self._share
        self._candidates[start : start + self._share] = seen[chosen]
        self._group_of[self._images] = group
        self._images += 1
        if self._positions is not None:
            self._positions.add(features, group)

    def set_aside(self, features: NDArray[np.float32], group: int) -> None:
        """Keep an image's features (cells, depth) whole, and out of all else."""
        self._samples[self._sampled] = features
        self._group_of_sample[self._sampled] = group
        self._sampled += 1

    def state(self) -> dict[str, NDArray[Any]]:
        """Return what was taken in so far, as arrays that are not copied."""
        end = self._images * self._share
        state: dict[str, NDArray[Any]] = {
            "counts": np.array([moments.count for moments in self._moments]),
            "totals": np.stack([moments.total for moments in self._moments]),
            "outers": np.stack([moments.outer for moments in self._moments]),
            "candidates": self._candidates[:end],
            "group_of": self._group_of[: self._images],
            "samples": self._samples[: self._sampled],
            "group_of_sample": self._group_of_sample[: self._sampled],
        }
        if self._positions is not None:
            state.update({f"positions.{name}": part for name, part in self._positions.state().items()})
        return state

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take in what another of the same make handed out as `state`. Before anything else was taken in."""
        self._moments = [
            Moments(int(count), total, outer)
            for count, total, outer in zip(state["counts"], state["totals"], state["outers"], strict=True)
        ]
        self._images, self._sampled = len(state["group_of"]), len(state["group_of_sample"])
        self._candidates[: self._images * self._share] = state["candidates"]
        self._group_of[: self._images] = state["group_of"]
        self._samples[: self._sampled] = state["samples"]
        self._group_of_sample[: self._sampled] = state["group_of_sample"]
        if self._positions is not None:
            self._positions.restore(
                {
                    name.removeprefix("positions."): part
                    for name, part in state.items()
                    if name.startswith("positions.")
                }
            )

    def without(self, barred: NDArray[np.bool_] | None) -> Training:
        """Return all of it, or what remains without the groups where `barred` (groups,) is true."""
        if barred is None:
            barred = np.zeros(len(self._moments), np.bool_)
        kept = [moments for moments, out in zip(self._moments, barred, strict=True) if not out]
        candidates, samples = self._candidates, self._samples
        if barred.any():  # else without the copy
            candidates = candidates[np.repeat(~barred[self._group_of], self._share)]
            samples = samples[~barred[self._group_of_sample]]
        total = sum(kept, start=Moments.empty(self.branch.depth))
        positions = self._positions.without(barred) if self._positions else None
        return Training(self.branch, total, candidates, samples, positions)


@dataclass(frozen=True, slots=True)
class Collected:
    """What the pass left: each branch's patches, and the mean grey level of each image, float64 (n,)."""

    branches: tuple[Gathered, ...]
    grey: NDArray[np.float64]

    def without(self, barred: NDArray[np.bool_] | None = None) -> tuple[Training, ...]:
        """Return what each branch is fitted on: all of it, or what remains without the groups that are `barred` (groups,)."""
        return tuple(gathered.without(barred) for gathered in self.branches)
