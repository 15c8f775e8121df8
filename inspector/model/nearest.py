"""The method `nearest`: a patch is as odd as it is far from the nearest patch of the good parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from inspector.model.backbone import Weights
from inspector.model.bank import build_bank
from inspector.model.graph import Exposure, FeatureSpec, features_graph, fused_graph
from inspector.model.progress import Advance
from inspector.model.scoring import compiled, score_files
from inspector.model.whitening import Moments, whitening

# Patches that a bank is chosen from, over all images: 40,000 of 232 values are 37 MB, however many images there are.
CANDIDATES = 40_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What is fitted: the features, the backbone's weights, the bank's size, and the seed of everything random."""

    spec: FeatureSpec
    weights: Weights
    bank: int
    seed: int


@dataclass(frozen=True, slots=True)
class Patches:
    """What one pass over the good images leaves: each fold's moments, a random share of each image's patches, mean greys."""

    moments: list[Moments]
    candidates: NDArray[np.float32]
    fold_of: NDArray[np.int64]  # of each candidate
    grey: NDArray[np.float64]  # mean grey level of each image


def collect(plan: Plan, paths: Sequence[Path], fold_of: NDArray[np.int64], advance: Advance) -> Patches:
    """Extract the features of every image, in bounded memory. `fold_of` (n,) is the fold of each image."""
    spec, rng = plan.spec, np.random.default_rng(plan.seed)
    rows, columns = spec.grid
    share = min(rows * columns, max(1, CANDIDATES // len(paths)))
    candidates = np.empty((len(paths) * share, spec.depth), np.float32)
    grey = np.empty(len(paths))
    moments = [Moments.empty(spec.depth) for _ in range(int(fold_of.max()) + 1)]
    with compiled(features_graph(spec, plan.weights), spec) as engine:
        for index, score in enumerate(score_files(engine, paths, spec.channels)):
            features, grey[index] = (
                score.heatmap,
                score.value,
            )  # what the features graph hands out in their place
            moments[fold_of[index]] += Moments.of(features)
            chosen = np.sort(rng.choice(len(features), share, replace=False))
            candidates[index * share : (index + 1) * share] = features[chosen]
            advance(1)
    return Patches(moments, candidates, np.repeat(fold_of, share), grey)


def fused(
    plan: Plan,
    patches: Patches,
    advance: Advance,
    *,
    without: int | None = None,
    exposure: Exposure | None = None,
) -> tuple[onnx.ModelProto, int]:
    """Return the fused graph fitted on all patches, or all but the fold `without`, and its bank's real size."""
    kept = [moments for fold, moments in enumerate(patches.moments) if fold != without]
    white = whitening(sum(kept, start=Moments.empty(plan.spec.depth)))
    chosen = patches.candidates if without is None else patches.candidates[patches.fold_of != without]
    bank = build_bank(white.apply(chosen), plan.bank, np.random.default_rng(plan.seed), advance)
    return fused_graph(plan.spec, plan.weights, white, bank, exposure), len(bank.entries)


def held_out_scores(
    plan: Plan, patches: Patches, paths: Sequence[Path], fold_of: NDArray[np.int64], advance: Advance
) -> NDArray[np.float64]:
    """Return each image's score, float64 (n,), by the fused graph of a model fitted without the image's fold."""
    scores = np.full(len(paths), np.nan)
    for fold in range(len(patches.moments)):
        model, _ = fused(plan, patches, advance, without=fold)
        held_out = [index for index in range(len(paths)) if fold_of[index] == fold]
        with compiled(model, plan.spec) as engine:
            answers = score_files(engine, (paths[index] for index in held_out), plan.spec.channels)
            for index, answer in zip(held_out, answers, strict=True):
                scores[index] = answer.value
    return scores
