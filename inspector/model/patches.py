"""The model that is fitted here: patches of the good parts, by one of the methods."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from inspector.engine.preprocess import Geometry
from inspector.model.backbone import open_backbone
from inspector.model.checkpoint import NOTHING_KEPT, Checkpoint
from inspector.model.collect import collect
from inspector.model.defects import DefectImages
from inspector.model.detector import fit_detector
from inspector.model.evidence import ground
from inspector.model.fitted import FITTED, to_file
from inspector.model.folds import Folds
from inspector.model.framing import Framing
from inspector.model.graph import fused_graph
from inspector.model.int8 import Int8Backbone
from inspector.model.int8_gate import Settled
from inspector.model.known import Known, meet
from inspector.model.methods.base import Detector, Method
from inspector.model.options import FitOptions, pooling_name
from inspector.model.progress import FEATURES, HELD_OUT, MODEL, Advance, Progress, counter
from inspector.model.score_nodes import Exposure
from inspector.model.scoring import score_all
from inspector.model.search_check import check_search
from inspector.model.settling import Shown
from inspector.model.spec import ModelSpec, model_spec
from inspector.model.training import Collected


@dataclass(frozen=True, slots=True)
class PatchModel:
    """What is fitted (spec and method), what one pass over the good images left of them, and what is known of defects."""

    spec: ModelSpec
    method: Method
    collected: Collected
    known: Known | None = None
    precision: Settled | None = None
    whole: Detector | None = None  # fitted on all good images, where that was needed already

    @property
    def geometry(self) -> Geometry:
        """Of the graph's input."""
        return self.spec.geometry

    def warnings(self, threshold: float) -> tuple[str, ...]:
        """Return what the user should know of it at this threshold: how far to trust what is known of defects."""
        return () if self.known is None else tuple(self.known.warnings(threshold))

    @property
    def grey(self) -> NDArray[np.float64]:
        """Mean grey level of each good image, float64 (n,)."""
        return self.collected.grey

    def met(self, images: DefectImages, progress: Progress) -> "PatchModel":
        """Return the model that also knows these defects; what that is worth is settled later."""
        trainings = self.collected.without(None)
        detector = fit_detector(self.spec, self.method, trainings, counter(progress, MODEL, self._steps))
        grounds = [ground(training.moments) for training in trainings]
        return replace(self, known=meet(self.spec, detector, grounds, images, progress), whole=detector)

    def settled(self, good: Shown, rate: float) -> "PatchModel":
        """Return the model whose known defects count, by what held-out good images showed at this false-reject rate."""
        return self if self.known is None else replace(self, known=self.known.settled(good, rate))

    def joined(self, good: Shown) -> NDArray[np.float64]:
        """Return the scores of good images with what is known of defects."""
        return good.scores if self.known is None else self.known.joined(good)

    def known_facts(self, without: float, threshold: float) -> dict[str, object] | None:
        """Return what the manifest says of known defects, None where there are none; see Known.facts."""
        return None if self.known is None else self.known.facts(without, threshold)

    def held_out(
        self,
        paths: Sequence[Path],
        folds: Folds,
        progress: Progress,
        checkpoint: Checkpoint = NOTHING_KEPT,
    ) -> Shown:
        """Return each good image's score and evidence by a model that saw nothing of the image's fold.

        Images that `checkpoint` has are not scored again.
        """
        kinds = 0 if self.known is None else len(self.known.looked.names)
        shown = Shown(np.full(len(paths), np.nan), np.full((len(paths), kinds), np.nan))
        kept = checkpoint.load(HELD_OUT)
        if kept is not None:
            shown = Shown(kept["scores"], kept["evidence"])
        advance = counter(progress, HELD_OUT, folds.count * self._steps + len(paths))
        for fold in range(folds.count):
            held_out = np.flatnonzero(folds.fold_of == fold)
            left = held_out[np.isnan(shown.scores[held_out])]
            advance(len(held_out) - len(left))
            if not len(left):
                advance(self._steps)
                continue
            graph = self.graph_without(folds.barred[fold], advance)
            files = [paths[index] for index in left.tolist()]
            answers = score_all(graph, self.spec.geometry, files, self.spec.channels)
            for index, answer in zip(left.tolist(), answers, strict=True):
                shown.take(index, answer)
                advance(1)
                if checkpoint.due():
                    checkpoint.save(HELD_OUT, {"scores": shown.scores, "evidence": shown.evidence})
        return shown

    def graph_without(self, barred: NDArray[np.bool_], advance: Advance) -> onnx.ModelProto:
        """Return the graph of a model that saw none of the groups where `barred` (groups,) is true."""
        trainings = self.collected.without(barred)
        detector = fit_detector(self.spec, self.method, trainings, advance)
        if self.known is not None:
            evidence = self.known.looked.fit([ground(training.moments) for training in trainings])
            detector = replace(detector, evidence=evidence)
        return fused_graph(self.spec, detector)

    def completed(self, progress: Progress) -> "PatchModel":
        """Return the model with the detector of all good images, and what is known of defects in it."""
        return replace(self, whole=self._whole(progress))

    def fused(self, exposure: Exposure, progress: Progress) -> tuple[onnx.ModelProto, int]:
        """Return the graph fitted on all good images, and how much it keeps of them."""
        detector = self._whole(progress)
        return fused_graph(self.spec, detector, exposure), detector.size

    def files(self) -> dict[str, bytes]:
        """Return what the pack keeps so that the bank can grow, if there is one. After `completed`."""
        backbone = self.spec.backbone
        ranges = backbone.ranges if isinstance(backbone, Int8Backbone) else {}
        content = None if self.whole is None else to_file(self.whole, ranges)
        return {} if content is None else {FITTED: content}

    def _whole(self, progress: Progress) -> Detector:
        detector = self.whole
        if detector is None:
            advance = counter(progress, MODEL, self._steps)
            detector = fit_detector(self.spec, self.method, self.collected.without(None), advance)
        return detector if self.known is None else replace(detector, evidence=self.known.evidence)

    def facts(self) -> dict[str, object]:
        """Return what the manifest says of it. After `completed`; takes seconds where a large bank is searched."""
        whole = self.whole
        searched = None if whole is None else check_search(whole.heads, self.collected.without(None))
        return {**self.described(), "search": searched and asdict(searched)}

    def described(self) -> dict[str, object]:
        """Return what the manifest says of spec and precision."""
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
            "precision": self.precision and self.precision.facts(),
        }

    @property
    def _steps(self) -> int:
        return self.method.steps * len(self.spec.branches)


def spec_for(options: FitOptions, framing: Framing) -> ModelSpec:
    """Return the spec of what these options ask for, on frames as planned for their sizes. Raises ModelError, WeightsError."""
    spec = model_spec(
        open_backbone(options.backbone),
        framing.geometry.channels,
        framing.sizes,
        options.taps,
        options.pooling,
        tile=framing.tile,
    )
    return replace(spec, framing=framing.geometry, watched=framing.watched)


def fit_patches(
    spec: ModelSpec,
    method: Method,
    paths: Sequence[Path],
    folds: Folds,
    *,
    seed: int,
    progress: Progress,
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> PatchModel:
    """Pass once over the good images."""
    collected = collect(
        spec,
        paths,
        folds.group_of,
        seed=seed,
        positions=method.positions,
        advance=counter(progress, FEATURES, len(paths)),
        candidates=method.candidates,
        checkpoint=checkpoint,
    )
    return PatchModel(spec, method, collected)
