"""Fits a detector: a head for each branch, and what makes several comparable."""

from collections.abc import Sequence

import numpy as np

from inspector.model.graph import head_graph
from inspector.model.methods.base import Detector, Head, Method, Scale
from inspector.model.progress import Advance
from inspector.model.scoring import compiled_head
from inspector.model.spec import ModelSpec
from inspector.model.training import Training


def fit_detector(
    spec: ModelSpec, method: Method, trainings: Sequence[Training], advance: Advance
) -> Detector:
    """Return the detector for what each branch's pass over the good images left."""
    heads = tuple(method.fit(training, advance) for training in trainings)
    if len(heads) == 1:
        return Detector(heads)
    scales = tuple(_scale(spec, head, training) for head, training in zip(heads, trainings, strict=True))
    return Detector(heads, scales)


def _scale(spec: ModelSpec, head: Head, training: Training) -> Scale:
    """Measure one branch's plane on the good images that were set aside from fitting it."""
    alone = spec.alone(training.branch)
    with compiled_head(head_graph(alone, Detector((head,)))) as engine:
        planes = np.stack([engine.score(features).heatmap for features in training.samples])
    logarithms = np.log(np.maximum(planes.astype(np.float64), 1e-6))
    return Scale(float(logarithms.mean()), max(float(logarithms.std()), 1e-3))
