"""What examples of known defects look like to the model: their defective patches, and the evidence by models that did not see them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.engine.base import Engine, Score
from inspector.engine.place import Affine, compose, stretch
from inspector.model.defects import DefectImages, Example, read_mask
from inspector.model.evidence import Evidence, Ground, Patches, Sums, evidence_of
from inspector.model.graph import evidence_graph, head_graph, split_features
from inspector.model.images import read_image
from inspector.model.likeness import families, thumbnail
from inspector.model.methods.base import Detector
from inspector.model.progress import Advance
from inspector.model.scoring import compiled_head, score_files
from inspector.model.spec import ModelSpec

# Without a mask, the oddest patches of an image stand for its defect; in some rounds more, those most like the class. On magnetic
# tiles with deep taps that finds all that masks find; with shallow ones the oddest are the defect already.
ODDEST, MOST_ALIKE = 15, 8
_ROUNDS = 3
MOST_PATCHES = 64  # of one example, the oddest under its mask: more say nothing new, and memory stays bounded
_COVERED = (
    0.25  # share of a cell under the mask that makes it defective; half the highest share for what is smaller
)
_FINER = 8  # points a cell, both ways, at which a mask is looked up
BROAD = 0.2  # share of a picture that few defects fill
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

    def fit(self, grounds: Sequence[Ground]) -> Evidence:
        """Return the evidence from all examples."""
        return evidence_of(self.names, grounds, self.sums(grounds))

    def sums(self, grounds: Sequence[Ground]) -> list[list[Sums]]:
        """Return what the examples of each class add up to in each branch."""
        kinds = [self.kinds == kind for kind in range(len(self.names))]
        return [[self._sum(good, branch, kind) for kind in kinds] for branch, good in enumerate(grounds)]

    def fit_without(
        self, out: NDArray[np.bool_], grounds: Sequence[Ground], sums: Sequence[Sequence[Sums]]
    ) -> Evidence:
        """Return the evidence from all examples but those where `out` (m,) is true, which are of one class. `sums` of all."""
        kind = int(self.kinds[out][0])
        left = [list(of_branch) for of_branch in sums]
        for branch, good in enumerate(grounds):
            left[branch][kind] -= self._sum(good, branch, out)
        return evidence_of(self.names, grounds, left)

    def _sum(self, good: Ground, branch: int, chosen: NDArray[np.bool_]) -> Sums:
        return Sums.of(good, [self.patches[index][branch] for index in np.flatnonzero(chosen).tolist()])

    def left_out_with(self, index: int) -> NDArray[np.bool_]:
        """Return which examples a model may not see that judges example `index`: its family, itself only where no other would remain."""
        out: NDArray[np.bool_] = self.family_of == self.family_of[index]
        kind = self.kinds == self.kinds[index]
        if not (kind & ~out).any():
            out = np.arange(len(self.kinds)) == index
        # Other classes lose none: two defects on one part are of one family, and still two defects.
        return np.asarray(out & kind)


@dataclass(frozen=True, slots=True)
class Eye:
    """What looks at images: the spec, and a warm engine of its features_graph."""

    spec: ModelSpec
    engine: Engine

    def features(self, examples: Sequence[Example]) -> Iterator[Score]:
        """Yield what the features graph hands out for each example."""
        yield from score_files(self.engine, [example.path for example in examples], self.spec.channels)


def look(
    eye: Eye, detector: Detector, images: DefectImages, grounds: Sequence[Ground], advance: Advance
) -> Looked:
    """Score the examples by the model of the good parts alone, and take their defective patches; `advance` counts `passes` over them."""
    scores, patches = [], []
    with compiled_head(head_graph(eye.spec, detector)) as head:
        for example, features in zip(images.examples, eye.features(images.examples), strict=True):
            answer = head.score(features.heatmap)
            patches.append(_patches(eye.spec, example, answer.heatmap, features, ODDEST))
            scores.append(answer.value)
            advance(1)
    looked = Looked(
        images.names,
        np.array(scores),
        tuple(patches),
        np.array([example.kind for example in images.examples]),
        families(np.stack([thumbnail(read_image(example.path, 1)) for example in images.examples])),
    )
    for _ in range(passes(images) - 1):
        looked = _looked_again(eye, looked, images.examples, grounds, advance)
    return looked


def passes(images: DefectImages) -> int:
    """Return how often `look` goes over the examples."""
    return 1 if all(example.mask is not None for example in images.examples) else 1 + _ROUNDS


def held_out_evidence(
    eye: Eye, looked: Looked, examples: Sequence[Example], grounds: Sequence[Ground], advance: Advance
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each example's evidence for each class, float64 (m, k), by a model that saw neither it nor its like.

    And, float64 (m,), that for its own class which a fifth of its cells exceed (BROAD): high where all of it differs from good parts.
    """
    found, broad = np.empty((len(examples), len(looked.names))), np.empty(len(examples))
    out = [looked.left_out_with(index) for index in range(len(examples))]
    for index, (planes, _) in enumerate(_held_out_planes(eye, looked, examples, grounds, out)):
        found[index] = planes.max(axis=(1, 2))
        broad[index] = np.quantile(planes[examples[index].kind], 1 - BROAD)
        advance(1)
    return found, broad


def _looked_again(
    eye: Eye, looked: Looked, examples: Sequence[Example], grounds: Sequence[Ground], advance: Advance
) -> Looked:
    """Take patches anew where there is no mask: those that look most like what the other examples of the class have in common.

    The oddest patches of an image are not always its defect (multiple-instance learning: Andrews et al., NIPS 2002).
    """
    patches = []
    out = [np.arange(len(examples)) == index for index in range(len(examples))]
    for example, (planes, features) in zip(
        examples, _held_out_planes(eye, looked, examples, grounds, out), strict=True
    ):
        patches.append(_patches(eye.spec, example, planes[example.kind], features, MOST_ALIKE))
        advance(1)
    return replace(looked, patches=tuple(patches))


def _held_out_planes(
    eye: Eye,
    looked: Looked,
    examples: Sequence[Example],
    grounds: Sequence[Ground],
    out: Sequence[NDArray[np.bool_]],
) -> Iterator[tuple[NDArray[np.float32], Score]]:
    """Yield each example's evidence [k, rows, columns] by a model without the examples in its entry of `out`, and its features."""
    known, sums = len(looked.names), looked.sums(grounds)
    for start in range(0, len(examples), _AT_ONCE):
        some = range(start, min(start + _AT_ONCE, len(examples)))
        models = _side_by_side([looked.fit_without(out[index], grounds, sums) for index in some])
        with compiled_head(evidence_graph(eye.spec, models)) as head:
            for place, features in enumerate(eye.features([examples[index] for index in some])):
                planes = head.score(features.heatmap).heatmap.reshape(-1, known, *eye.spec.grid)
                yield planes[place], features


def _patches(
    spec: ModelSpec, example: Example, heatmap: NDArray[np.float32], features: Score, most: int
) -> Patches:
    """Return the features [cells, depth] of each branch's defective cells: under the mask, or without one the `most` odd ones."""
    mask = None if example.mask is None else read_mask(example.mask, read_image(example.path, 1).shape)
    cells = _cells(spec, mask, heatmap, features, most)
    branches = split_features(spec, features.heatmap)
    return tuple(part[chosen] for part, chosen in zip(branches, cells, strict=True))


def _cells(
    spec: ModelSpec,
    mask: NDArray[np.bool_] | None,
    heatmap: NDArray[np.float32],
    features: Score,
    most: int,
) -> list[NDArray[np.int64]]:
    """Return the numbers of each branch's defective cells, the oddest first."""
    chosen = []
    for branch in spec.branches:
        rows, columns = branch.grid
        odd = cv2.resize(heatmap, (columns, rows), interpolation=cv2.INTER_LINEAR).ravel()
        order = np.argsort(-odd, kind="stable")
        if mask is None:
            chosen.append(order[:most])
            continue
        to_frame = compose(
            _input_to_frame(spec, features), stretch((columns, rows), (spec.width, spec.height))
        )
        covered = _coverage(mask, to_frame, (rows, columns))
        watched = spec.cells(branch.grid)
        covered = (covered if watched is None else covered * watched).ravel()
        if not covered.any():
            chosen.append(order[:most])  # the defect is outside what the model looks at
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
