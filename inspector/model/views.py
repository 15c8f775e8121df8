"""The model of a part with several places, each unlike the others: what patches.py is for one, for all of them in one graph.

Each view is fitted as a part of its own: its features, its detector, its scores of held-out images. Then they are joined: a unit for
each (view_limits.py), the threshold on the part's worst view, and one graph whose backbone runs once over all views (graph.views_graph).
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from inspector.engine.preprocess import Geometry
from inspector.errors import ModelError
from inspector.model.batches import Batches
from inspector.model.checkpoint import Checkpoint, CheckpointPart
from inspector.model.defects import DefectImages
from inspector.model.folds import Folds
from inspector.model.framing import Framing
from inspector.model.graph import ViewHead, require_batches, views_graph
from inspector.model.int8_gate import Settled
from inspector.model.methods.choice import method_for
from inspector.model.options import FLOAT32, FitOptions
from inspector.model.patches import PatchModel, fit_patches, spec_for
from inspector.model.progress import Progress, part_of
from inspector.model.score_nodes import Exposure
from inspector.model.search_check import check_search
from inspector.model.settling import Shown
from inspector.model.view_limits import joined

_WELL_FILLED = 0.5  # share of the common input: a view below pays for more than it sees


@dataclass(frozen=True, slots=True)
class ViewsModel:
    """The views by name, in their order.

    After `judged`: `limits` (V,), the score above which each rejects, and `relative` float64 (n, V), held-out scores over such limits.
    """

    names: tuple[str, ...]
    views: tuple[PatchModel, ...]
    framing: Framing
    limits: tuple[float, ...] = ()
    relative: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))

    @property
    def geometry(self) -> Geometry:
        """What the views have in common: the input's size, and the frame."""
        return self.framing.geometry

    @property
    def geometries(self) -> tuple[Geometry, ...]:
        """How a frame becomes each view's slice of the graph's input."""
        return tuple(view.geometry for view in self.views)

    @property
    def grey(self) -> NDArray[np.float64]:
        """Mean grey level of each view of each good image, float64 (n, V)."""
        return np.stack([view.grey for view in self.views], axis=1)

    def shares(self) -> dict[str, NDArray[np.float64]]:
        """Return the held-out scores over the limits, float64 (n,), by the view's name. After `judged`."""
        return dict(zip(self.names, self.relative.T, strict=True))

    def warnings(self, threshold: float) -> tuple[str, ...]:
        """Return what the user should know, whatever the threshold."""
        del threshold
        return tuple(self._unfilled())

    def _unfilled(self) -> Iterator[str]:
        for name, geometry in zip(self.names, self.geometries, strict=True):
            filled = geometry.filled[0] * geometry.filled[1] / (geometry.width * geometry.height)
            if filled < _WELL_FILLED:
                yield (
                    f"view {name} fills {filled:.0%} of the input of {geometry.width} x {geometry.height} pixels that all views share: "
                    "it is seen in less detail than it costs; draw the regions more alike in shape, or choose a larger --size"
                )

    def judged(
        self,
        paths: Sequence[Path],
        folds: Folds,
        batches: Batches,
        rate: float,
        *,
        progress: Progress,
        checkpoint: Checkpoint,
    ) -> "tuple[ViewsModel, Shown]":
        """Return the model with its limits, and the part's held-out scores: those of its worst view, about 1 at the threshold.

        The limits leave the stated rate of held-out parts above 1, not of views.
        """
        scores = np.empty((len(paths), len(self.views)))
        for number, (name, view) in enumerate(zip(self.names, self.views, strict=True)):
            told, kept = part_of(progress, number, len(self.views)), CheckpointPart(checkpoint, name)
            scores[:, number] = view.held_out(paths, folds, told, kept).scores
        limits, relative = joined(scores, folds, batches, rate)
        model = replace(self, limits=tuple(float(limit) for limit in limits), relative=relative)
        return model, Shown(relative.max(axis=1), np.empty((len(paths), 0)))

    def met(self, images: DefectImages, progress: Progress) -> "ViewsModel":
        """Refuse: nobody says in which view a known defect is."""
        del images, progress
        raise ModelError(
            "expected no --defects beside several views; leave them out, or fit a pack for each view"
        )

    def settled(self, good: Shown, rate: float) -> "ViewsModel":
        """Return it as it is: it knows no defects."""
        del good, rate
        return self

    def joined(self, good: Shown) -> NDArray[np.float64]:
        """Return the scores of good parts."""
        return good.scores

    def known_facts(self, without: float, threshold: float) -> None:
        """Return nothing: it knows no defects."""

    def completed(self, progress: Progress) -> "ViewsModel":
        """Return the model with the detectors of all good images."""
        count = len(self.views)
        whole = (view.completed(part_of(progress, number, count)) for number, view in enumerate(self.views))
        return replace(self, views=tuple(whole))

    def files(self) -> dict[str, bytes]:
        """Return nothing: a pack with views does not grow."""
        return {}

    def fused(self, exposure: Exposure, progress: Progress) -> tuple[onnx.ModelProto, int]:
        """Return the graph that decides, and how much it keeps of the good parts. After `judged` and `completed`.

        The views have exposures of their own in the place of `exposure`.
        """
        del exposure, progress
        heads = []
        for view, limit in zip(self.views, self.limits, strict=True):
            if view.whole is None:
                raise ModelError("a view was not completed; report this as a fault of Inspector")
            own = Exposure(float(view.grey.min()), float(view.grey.max()), limit=limit)
            heads.append(ViewHead(view.spec, view.whole, limit, own))
        return views_graph(heads), sum(head.detector.size for head in heads)

    def facts(self) -> dict[str, object]:
        """Return what the manifest says of it. After `judged` and `completed`; takes seconds where large banks are searched."""
        heads = [head for view in self.views if view.whole is not None for head in view.whole.heads]
        trainings = [training for view in self.views for training in view.collected.without(None)]
        searched = check_search(heads, trainings)
        return {
            **self.views[0].described(),
            "search": searched and asdict(searched),
            "views": [self._entry(number) for number in range(len(self.views))],
        }

    def _entry(self, number: int) -> dict[str, object]:
        geometry, grey = self.geometries[number], self.views[number].grey
        return {
            "name": self.names[number],
            "roi": geometry.roi,
            "picture": geometry.picture,
            "limit": self.limits[number],
            "grey": (float(grey.min()), float(grey.max())),
            "false_reject_rate": float((self.relative[:, number] > 1).mean()),
        }


def fit_views(
    options: FitOptions,
    framing: Framing,
    paths: Sequence[Path],
    folds: Folds,
    *,
    progress: Progress,
    checkpoint: Checkpoint,
) -> ViewsModel:
    """Pass over the good images once for each view. Raises ModelError for a backbone that takes one image at a time."""
    specs = [spec_for(options, view) for view in framing.views]
    require_batches(specs)
    names = tuple(view.name for view in options.views)
    views = []
    for number, (name, spec) in enumerate(zip(names, specs, strict=True)):
        view = fit_patches(
            spec,
            method_for(options, spec),
            paths,
            folds,
            seed=options.seed,
            progress=part_of(progress, number, len(specs)),
            checkpoint=CheckpointPart(checkpoint, name),
        )
        views.append(replace(view, precision=Settled(spec, FLOAT32, "several views stay in float32")))
    return ViewsModel(names, tuple(views), framing)
