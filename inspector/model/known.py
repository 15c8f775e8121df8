"""Fits what is known of defects beside the model of the good parts: look at the examples, settle what evidence is worth, report."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inspector.model.defects import DefectImages
from inspector.model.evidence import Evidence, Ground
from inspector.model.examples import Eye, Looked, held_out_evidence, look, passes
from inspector.model.graph import features_graph
from inspector.model.methods.base import Detector
from inspector.model.progress import HELD_OUT_DEFECTS, KNOWN, Progress, counter
from inspector.model.scoring import compiled
from inspector.model.settling import Shown, confidences, confusion, named, settle
from inspector.model.spec import ModelSpec
from inspector.model.wording import counted

_HARDLY = 0.5  # share of held-out examples rejected below which a class is called hardly found


@dataclass(frozen=True, slots=True)
class Known:
    """Examples of known defects: what was seen of them, and what held-out models say of each (`shown`).

    `broad` float64 (m,): the evidence for its own class that a fifth of an example's cells exceed.
    """

    images: DefectImages
    looked: Looked
    shown: Shown
    evidence: Evidence
    broad: NDArray[np.float64]

    def warnings(self, threshold: float) -> Iterator[str]:
        """Yield which classes are hardly found, or told by the day or the lot of their examples instead. After `settled`."""
        settled = self.evidence.settled
        if settled is None:
            return
        rejected = self.shown.joined(settled) > threshold
        for kind, (name, limit) in enumerate(zip(self.looked.names, settled.limits, strict=True)):
            own = rejected[self.looked.kinds == kind]
            if own.mean() < _HARDLY:
                yield (
                    f"{name} is hardly found: {int(own.sum())} of {counted(len(own), 'held-out example')} rejected, so that most parts "
                    "with it will pass; see whether it shows in the images at all, try a larger --size or --tune, mark it (--defect-masks), "
                    "or add examples"
                )
            if np.median(self.broad[self.looked.kinds == kind]) > limit:
                yield (
                    f"most examples of {name} count as {name} over a fifth of the picture and more: if the defect is smaller, they differ "
                    "from the good images in something else, as day, lamp or lot, and good parts of those will be rejected; add such good "
                    "images, and do not trust the figures of this defect"
                )

    def settled(self, good: Shown, rate: float) -> "Known":
        """Return the same with evidence that is worth something, from held-out good images at a false-reject rate."""
        settled = settle(self.evidence, good, self.shown, self.looked.kinds, rate)
        return replace(self, evidence=replace(self.evidence, settled=settled))

    def joined(self, good: Shown) -> NDArray[np.float64]:
        """Return the scores of good images with known defects, as the graph joins them. After `settled`."""
        return good.scores if self.evidence.settled is None else good.joined(self.evidence.settled)

    def facts(self, without: float, threshold: float) -> dict[str, object]:
        """Return the manifest's entry; `without` is the threshold that would hold without known defects. After `settled`."""
        settled = self.evidence.settled
        if settled is None:
            return {}
        kinds, classes = self.looked.kinds, len(self.looked.names)
        before = self.shown.scores > without
        rejected = self.shown.joined(settled) > threshold
        names = named(confidences(self.evidence, settled, self.shown.evidence))
        right = names[rejected] == kinds[rejected]
        return {
            "classes": [
                {
                    "name": name,
                    "examples": count,
                    "recall": float(rejected[kinds == kind].mean()),
                    "recall_without": float(before[kinds == kind].mean()),
                }
                for kind, (name, count) in enumerate(zip(self.looked.names, self.images.counts, strict=True))
            ],
            "masks": sum(example.mask is not None for example in self.images.examples),
            "recall": float(rejected.mean()),
            "recall_without": float(before.mean()),
            "named_right": float(right.mean()) if len(right) else None,
            "confusion": confusion(kinds[rejected], names[rejected], classes),
        }


def meet(
    spec: ModelSpec, detector: Detector, grounds: list[Ground], images: DefectImages, progress: Progress
) -> Known:
    """Look at the examples by the model of the good parts, `detector` and `grounds` of all of them, and hold each of them out."""
    count = len(images.examples)
    with compiled(features_graph(spec), spec.geometry) as engine:
        eye = Eye(spec, engine)
        advance = counter(progress, KNOWN, count * passes(images))
        looked = look(eye, detector, images, grounds, advance)
        advance = counter(progress, HELD_OUT_DEFECTS, count)
        evidence, broad = held_out_evidence(eye, looked, images.examples, grounds, advance)
    return Known(images, looked, Shown(looked.scores, evidence), looked.fit(grounds), broad)
