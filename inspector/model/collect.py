"""One pass over the good images: features through the very engine that decides in operation, in bounded memory."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspector.engine.base import Score
from inspector.model.graph import features_graph, split_features
from inspector.model.positions import GatheredPositions
from inspector.model.progress import Advance
from inspector.model.scoring import compiled, score_files
from inspector.model.spec import ModelSpec
from inspector.model.training import Collected, Gathered

# Whole images set aside where several branches must be made comparable: 16 of 576 cells and 384 values are 14 MB.
SAMPLES = 16


def collect(
    spec: ModelSpec,
    paths: Sequence[Path],
    group_of: NDArray[np.int64],
    *,
    seed: int,
    positions: bool,
    advance: Advance,
) -> Collected:
    """Extract and gather the features of every image file: see gather."""
    with compiled(features_graph(spec), spec.geometry) as engine:
        answers = score_files(engine, paths, spec.channels)
        return gather(spec, answers, group_of, seed=seed, positions=positions, advance=advance)


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
    rng = np.random.default_rng(seed)
    images, groups = len(group_of), int(group_of.max()) + 1
    aside = _samples(group_of) if len(spec.branches) > 1 else frozenset()
    branches = tuple(
        Gathered(
            branch,
            groups,
            images - len(aside),
            len(aside),
            positions=GatheredPositions(branch, groups, seed) if positions else None,
            watched=spec.cells(branch.grid),
        )
        for branch in spec.branches
    )
    grey = np.empty(images)
    for index, answer in enumerate(answers):
        grey[index] = answer.value  # what the features graph hands out in the score's place
        group = int(group_of[index])
        for gathered, features in zip(branches, split_features(spec, answer.heatmap), strict=True):
            if index in aside:
                gathered.set_aside(features, group)
            else:
                gathered.add(features, group, rng)
        advance(1)
    return Collected(branches, grey)


def _samples(group_of: NDArray[np.int64]) -> frozenset[int]:
    """Choose images spread over the groups: at most SAMPLES, and at most every fourth."""
    step = max(4, math.ceil(len(group_of) / SAMPLES))
    return frozenset(np.argsort(group_of, kind="stable")[step // 2 :: step].tolist())
