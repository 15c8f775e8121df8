"""What examples of known defects look like to the model: their defective patches, and the evidence by models that did not see them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.engine.base import Score
from inspector.engine.place import Affine, compose, stretch
from inspector.model.defects import DefectImages, Example, read_mask
from inspector.model.evidence import Evidence, Ground, Patches, fit_evidence
from inspector.model.graph import evidence_graph, features_graph, head_graph, split_features
from inspector.model.images import read_image
from inspector.model.likeness import families, thumbnail
from inspector.model.methods.base import Detector
from inspector.model.progress import Advance
from inspector.model.scoring import compiled, compiled_head
from inspector.model.spec import ModelSpec

# Without a mask, the oddest patches of an image stand for its defect. 3 to 15 did about as well on magnetic tiles.
ODDEST = 6
MOST_PATCHES = 64  # of one example, the oddest under its mask: more say nothing new, and memory stays bounded
_COVERED = (
    0.25  # share of a cell under the mask that makes it defective; half the highest share for what is smaller
)
_FINER = 8  # points a cell, both ways, at which a mask is looked up
_AT_ONCE = 16  # examples whose held-out models are asked together: one graph of as many times k outputs


@dataclass(frozen=True, slots=True)
class Looked:
    """What the model without known defects saw of the examples.

    `scores` float64 (m,); `patches` of each example; `kinds` int64 (m,), the class of each; `family_of` int64 (m,), examples as
    alike as copies.
    """

    names: tuple[str, ...]
    scores: NDArray[np.float64]
    patches: tuple[Patches, ...]
    kinds: NDArray[np.int64]
    family_of: NDArray[np.int64]

    def fit(self, grounds: Sequence[Ground], without: NDArray[np.bool_] | None = None) -> Evidence:
        """Return the evidence from all examples, or all but those where `without` (m,) is true."""
        used = np.ones(len(self.kinds), np.bool_) if without is None else ~without
        by_class = [
            [self.patches[index] for index in np.flatnonzero(used & (self.kinds == kind))]
            for kind in range(len(self.names))
        ]
        return fit_evidence(self.names, grounds, by_class)

    def left_out_with(self, index: int) -> NDArray[np.bool_]:
        """Return which examples a model may not see that judges example `index`: its family, itself only where no other would remain."""
        out: NDArray[np.bool_] = self.family_of == self.family_of[index]
        kind = self.kinds == self.kinds[index]
        if not (kind & ~out).any():
            out = np.arange(len(self.kinds)) == index
        # Other classes lose none: two defects on one part are of one family, and still two defects.
        return np.asarray(out & kind)


def look(spec: ModelSpec, detector: Detector, images: DefectImages, advance: Advance) -> Looked:
    """Pass once over the examples: score them by the model of the good parts alone, and take their defective patches."""
    scores, patches, thumbnails = [], [], []
    with compiled_head(head_graph(spec, detector)) as head:
        for example, image, features in _features(spec, images.examples):
            answer = head.score(features.heatmap)
            mask = None if example.mask is None else read_mask(example.mask, image.shape[:2])
            cells = _cells(spec, mask, answer.heatmap, features)
            branches = split_features(spec, features.heatmap)
            patches.append(tuple(part[chosen] for part, chosen in zip(branches, cells, strict=True)))
            scores.append(answer.value)
            thumbnails.append(thumbnail(image))
            advance(1)
    kinds = np.array([example.kind for example in images.examples])
    return Looked(images.names, np.array(scores), tuple(patches), kinds, families(np.stack(thumbnails)))


def held_out_evidence(
    spec: ModelSpec, looked: Looked, examples: Sequence[Example], grounds: Sequence[Ground], advance: Advance
) -> NDArray[np.float64]:
    """Return each example's evidence for each class, float64 (m, k), by a model that saw neither it nor its like."""
    known = len(looked.names)
    found = np.empty((len(examples), known))
    for start in range(0, len(examples), _AT_ONCE):
        some = range(start, min(start + _AT_ONCE, len(examples)))
        models = [looked.fit(grounds, looked.left_out_with(index)) for index in some]
        with compiled_head(evidence_graph(spec, _side_by_side(models))) as head:
            for place, (_, _, features) in enumerate(_features(spec, [examples[index] for index in some])):
                of_all = head.score(features.heatmap).heatmap[0]
                found[start + place] = of_all[place * known : (place + 1) * known]
                advance(1)
    return found


def _features(
    spec: ModelSpec, examples: Sequence[Example]
) -> Iterator[tuple[Example, NDArray[np.uint8], Score]]:
    """Yield each example, its image, and what the features graph hands out."""
    with compiled(features_graph(spec), spec.geometry) as engine:
        for example in examples:
            image = read_image(example.path, spec.channels)
            yield example, image, engine.score(image)


def _cells(
    spec: ModelSpec, mask: NDArray[np.bool_] | None, heatmap: NDArray[np.float32], features: Score
) -> list[NDArray[np.int64]]:
    """Return the numbers of each branch's defective cells, the oddest first."""
    chosen = []
    for branch in spec.branches:
        rows, columns = branch.grid
        odd = cv2.resize(heatmap, (columns, rows), interpolation=cv2.INTER_LINEAR).ravel()
        order = np.argsort(-odd, kind="stable")
        if mask is None:
            chosen.append(order[:ODDEST])
            continue
        to_frame = compose(
            _input_to_frame(spec, features), stretch((columns, rows), (spec.width, spec.height))
        )
        covered = _coverage(mask, to_frame, (rows, columns))
        watched = spec.cells(branch.grid)
        covered = (covered if watched is None else covered * watched).ravel()
        if not covered.any():
            chosen.append(order[:ODDEST])  # the defect is outside what the model looks at
            continue
        defective = covered >= min(_COVERED, float(covered.max()) / 2)
        chosen.append(order[defective[order]][:MOST_PATCHES])
    return chosen


def _input_to_frame(spec: ModelSpec, features: Score) -> Affine:
    """Return where pixels of the graph's input lie in the frame: features come as a map of one row."""
    across = features.heatmap.shape[1], features.heatmap.shape[0]
    return compose(features.cells_to_frame, stretch((spec.width, spec.height), across))


def _coverage(mask: NDArray[np.bool_], to_frame: Affine, grid: tuple[int, int]) -> NDArray[np.float32]:
    """Return the share of each cell under `mask` (H, W), float32 `grid`; `to_frame` maps cells to pixels of the mask."""
    rows, columns = grid
    fine = compose(to_frame, (1 / _FINER, 0.0, 0.5 / _FINER, 0.0, 1 / _FINER, 0.5 / _FINER))
    # OpenCV counts from the centre of the first pixel.
    centred = compose((1.0, 0.0, -0.5, 0.0, 1.0, -0.5), fine)
    points = cv2.warpAffine(
        mask.astype(np.float32),
        np.array(centred).reshape(2, 3),
        (columns * _FINER, rows * _FINER),
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
    )
    share: NDArray[np.float32] = points.reshape(rows, _FINER, columns, _FINER).mean(axis=(1, 3))
    return share


def _side_by_side(models: Sequence[Evidence]) -> Evidence:
    """Return one evidence with the classes of all models, one after the other."""
    return Evidence(
        tuple(f"{place}-{name}" for place, model in enumerate(models) for name in model.names),
        tuple(np.concatenate(kernels, axis=1) for kernels in zip(*(m.kernels for m in models), strict=True)),
        tuple(np.concatenate(offsets) for offsets in zip(*(m.offsets for m in models), strict=True)),
        np.concatenate([model.mean for model in models]),
        np.concatenate([model.deviation for model in models]),
    )
