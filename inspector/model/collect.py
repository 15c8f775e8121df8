"""One pass over the good images: features through the very engine that decides in operation, in bounded memory.

No features are kept. Held-out images go through their model's whole graph in a second pass instead: a file of the features of 10,000
images would be 4 GB and save a third of the second pass, and its scores would not be those of the graph that decides.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from inspector.engine.base import Score
from inspector.model.checkpoint import NOTHING_KEPT, Checkpoint
from inspector.model.graph import features_graph, split_features
from inspector.model.positions import GatheredPositions
from inspector.model.progress import Advance
from inspector.model.scoring import score_all
from inspector.model.spec import ModelSpec
from inspector.model.training import CANDIDATES, Collected, Gathered

# Whole images set aside where several branches must be made comparable: 16 of 576 cells and 384 values are 14 MB.
SAMPLES = 16
STAGE = "features"  # of a checkpoint
_WORTH_KEEPING_S = 3.0  # time of a pass that is not done twice


def collect(
    spec: ModelSpec,
    paths: Sequence[Path],
    group_of: NDArray[np.int64],
    *,
    seed: int,
    positions: bool,
    advance: Advance,
    candidates: int = CANDIDATES,
    samples: int = SAMPLES,
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> Collected:
    """Extract and gather the features of every image file, from where `checkpoint` left off: see gather."""
    gathering = Gathering(
        spec, group_of, seed=seed, positions=positions, candidates=candidates, samples=samples
    )
    kept = checkpoint.load(STAGE)
    if kept is not None:
        gathering.restore(kept)
        advance(gathering.done)
    if gathering.done < len(paths):
        left = paths[gathering.done :]
        # BLAS' other threads spin for some 25 ms after each product, on the cores that the engines need: a quarter of the pass.
        with threadpool_limits(1, user_api="blas"):
            for answer in score_all(features_graph(spec), spec.geometry, left, spec.channels):
                gathering.add(answer)
                advance(1)
                if checkpoint.due():
                    checkpoint.save(STAGE, gathering.state())
        if checkpoint.due(_WORTH_KEEPING_S):
            checkpoint.save(STAGE, gathering.state())
    return gathering.collected()


def gather(
    spec: ModelSpec,
    answers: Iterable[Score],
    group_of: NDArray[np.int64],
    *,
    seed: int,
    positions: bool,
    advance: Advance,
) -> Collected:
    """Gather what the features graph answered to each image. `group_of` (n,) says which images are left out together.

    `positions`: also gather the statistics of each place.
    """
    gathering = Gathering(spec, group_of, seed=seed, positions=positions)
    for answer in answers:
        gathering.add(answer)
        advance(1)
    return gathering.collected()


class Gathering:
    """Takes in the features of image after image; what it has so far can be kept, and taken in by another of the same make."""

    def __init__(
        self,
        spec: ModelSpec,
        group_of: NDArray[np.int64],
        *,
        seed: int,
        positions: bool,
        candidates: int = CANDIDATES,
        samples: int = SAMPLES,
    ) -> None:
        """Make room for it all. `samples`: images that are set aside at most, where there are several branches."""
        images, groups = len(group_of), int(group_of.max()) + 1
        self._spec, self._group_of, self._seed = spec, group_of, seed
        self._aside = _samples(group_of, samples) if samples and len(spec.branches) > 1 else frozenset()
        self._branches = tuple(
            Gathered(
                branch,
                groups,
                images - len(self._aside),
                len(self._aside),
                positions=GatheredPositions(branch, groups, seed) if positions else None,
                watched=spec.cells(branch.grid),
                candidates=candidates,
            )
            for branch in spec.branches
        )
        self._grey = np.empty(images)
        self.done = 0

    def add(self, answer: Score) -> None:
        """Take in what the features graph answered to the next image."""
        index, group = self.done, int(self._group_of[self.done])
        # Of the image's own number, so that it is the same whenever the pass began.
        rng = np.random.default_rng((self._seed, index))
        self._grey[index] = answer.value  # what the features graph hands out in the score's place
        parts = split_features(self._spec, answer.heatmap)
        for gathered, features in zip(self._branches, parts, strict=True):
            if index in self._aside:
                gathered.set_aside(features, group)
            else:
                gathered.add(features, group, rng)
        self.done += 1

    def state(self) -> dict[str, NDArray[Any]]:
        """Return what was taken in so far, as arrays."""
        branches = {
            f"{number}.{name}": part
            for number, gathered in enumerate(self._branches)
            for name, part in gathered.state().items()
        }
        return {"grey": self._grey[: self.done], **branches}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take in what another handed out as `state`. Before any image."""
        for number, gathered in enumerate(self._branches):
            start = f"{number}."
            gathered.restore(
                {name.removeprefix(start): part for name, part in state.items() if name.startswith(start)}
            )
        self.done = len(state["grey"])
        self._grey[: self.done] = state["grey"]

    def collected(self) -> Collected:
        """Return all of it."""
        return Collected(self._branches, self._grey)


def _samples(group_of: NDArray[np.int64], most: int) -> frozenset[int]:
    """Choose images spread over the groups: at most so many, and at most every fourth."""
    step = max(4, math.ceil(len(group_of) / most))
    return frozenset(np.argsort(group_of, kind="stable")[step // 2 :: step].tolist())
