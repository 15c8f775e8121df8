"""The model that is fitted here: patches of the good parts, by one of the methods."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from inspector.engine.preprocess import Geometry
from inspector.model.calibrate import Folds
from inspector.model.collect import collect
from inspector.model.detector import fit_detector
from inspector.model.graph import fused_graph
from inspector.model.methods.base import Method
from inspector.model.options import pooling_name
from inspector.model.progress import Advance, Progress, counter
from inspector.model.score_nodes import Exposure
from inspector.model.scoring import compiled, score_files
from inspector.model.spec import ModelSpec
from inspector.model.training import Collected


@dataclass(frozen=True, slots=True)
class PatchModel:
    """What is fitted (spec and method) and what one pass over the good images left of them."""

    spec: ModelSpec
    method: Method
    collected: Collected

    @property
    def geometry(self) -> Geometry:
        """Of the graph's input."""
        return self.spec.geometry

    @property
    def grey(self) -> NDArray[np.float64]:
        """Mean grey level of each good image, float64 (n,)."""
        return self.collected.grey

    def held_out_scores(self, paths: Sequence[Path], folds: Folds, progress: Progress) -> NDArray[np.float64]:
        """Return each image's score, float64 (n,), by the fused graph of a model that saw nothing of the image's fold."""
        scores = np.full(len(paths), np.nan)
        advance = counter(progress, "held-out models", folds.count * self._steps)
        for fold in range(folds.count):
            barred = np.arange(folds.count) == fold
            model, _ = self._fused(None, advance, barred)
            held_out = np.flatnonzero(folds.fold_of == fold)
            with compiled(model, self.spec.geometry) as engine:
                answers = score_files(engine, (paths[int(index)] for index in held_out), self.spec.channels)
                for index, answer in zip(held_out, answers, strict=True):
                    scores[index] = answer.value
        return scores

    def fused(self, exposure: Exposure, progress: Progress) -> tuple[onnx.ModelProto, int]:
        """Return the graph fitted on all good images, and how much it keeps of them."""
        return self._fused(exposure, counter(progress, "model", self._steps), None)

    def facts(self) -> dict[str, object]:
        """Return what the manifest says of it."""
        backbone = self.spec.backbone
        return {
            "backbone": {"name": backbone.name, "sha256": backbone.sha256},
            "branches": [
                {
                    "height": branch.height,
                    "width": branch.width,
                    "taps": [tap.name for tap in branch.taps],
                }
                for branch in self.spec.branches
            ],
            "pooling": pooling_name(self.spec.pooling),
        }

    @property
    def _steps(self) -> int:
        return self.method.steps * len(self.spec.branches)

    def _fused(
        self, exposure: Exposure | None, advance: Advance, barred: NDArray[np.bool_] | None
    ) -> tuple[onnx.ModelProto, int]:
        detector = fit_detector(self.spec, self.method, self.collected.without(barred), advance)
        return fused_graph(self.spec, detector, exposure), detector.size


def fit_patches(
    spec: ModelSpec, method: Method, paths: Sequence[Path], folds: Folds, *, seed: int, progress: Progress
) -> PatchModel:
    """Pass once over the good images."""
    advance = counter(progress, "features", len(paths))
    return PatchModel(
        spec,
        method,
        collect(spec, paths, folds.fold_of, seed=seed, positions=method.positions, advance=advance),
    )
