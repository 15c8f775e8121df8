"""Evidence for known defects: how much likelier a patch is of a defect that was seen before than of a good part.

Good patches and those of each defect are taken as normal distributions with one covariance: linear discriminant analysis
(Fisher 1936). Ten examples do not fill a covariance of hundreds of dimensions, so it is pooled over good patches and all
defects, and shrunk towards equal variances (Friedman, "Regularized discriminant analysis", JASA 1989). The logarithm of
the likelihood ratio is then linear in the features: one 1x1 convolution in the graph, on whatever method compares the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.model.whitening import Moments, Whitening, whitening

# How much of the covariance comes from within the defects, and how far it is shrunk. Measured on magnetic tiles with 5 to 20
# examples, at two scales: a share of 0.2 to 0.8 and a shrinkage of 0.1 to 0.5 differ by less than their standard errors.
_WITHIN_DEFECTS = 0.5
_SHRINKAGE = 0.3

Patches = tuple[
    NDArray[np.float32], ...
]  # one example's defective patches: an array (n, depth) for each branch


@dataclass(frozen=True, slots=True)
class Ground:
    """The good patches of one branch: their whitening, and their covariance in whitened space, float64 (depth, depth)."""

    whitening: Whitening
    covariance: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Settled:
    """What evidence is worth, from images that it was not fitted on.

    `limits` float32 (k,): evidence that is worth `unit` of score. The confidence in class c is the softmax, over all classes and
    "none of them", of slope * log likelihood ratio; `none` is that of the last.
    """

    limits: NDArray[np.float32]
    unit: float
    slope: float
    none: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """For k classes: evidence = feature @ kernel + offset, summed over the branches, in standard deviations of good patches.

    `kernels` float32 (depth, k) and `offsets` float32 (k,) for each branch. `mean + deviation * evidence` is the logarithm of the
    likelihood ratio, float32 (k,) each. `settled` is None as long as only fitting looks at it.
    """

    names: tuple[str, ...]
    kernels: tuple[NDArray[np.float32], ...]
    offsets: tuple[NDArray[np.float32], ...]
    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    settled: Settled | None = None


def ground(moments: Moments) -> Ground:
    """Return what good patches with these moments are like. Raises ModelError where they have no spread."""
    white = whitening(moments)
    mean = moments.total / moments.count
    covariance = moments.outer / moments.count - np.outer(mean, mean)
    projection = white.projection.astype(np.float64)
    return Ground(white, projection.T @ covariance @ projection)


@dataclass(frozen=True, slots=True)
class Sums:
    """What examples of one class add up to in one branch's whitened space, each counting alike; those of a union are their sum.

    `outer` float64 (depth, depth) and `total` float64 (depth,): sums of the examples' mean outer product and mean patch. `count` of them.
    """

    outer: NDArray[np.float64]
    total: NDArray[np.float64]
    count: int

    @classmethod
    def of(cls, good: Ground, examples: Sequence[NDArray[np.float32]]) -> "Sums":
        """Add up the patches (n, depth) of each example, all in one product: hundreds of small ones would wait for each other's threads."""
        white = good.whitening.apply(np.concatenate(examples)).astype(np.float64)
        shares = np.concatenate([np.full(len(example), 1 / len(example)) for example in examples])
        weighted = white * shares[:, None]
        return cls(weighted.T @ white, weighted.sum(axis=0), len(examples))

    def __sub__(self, other: "Sums") -> "Sums":
        return Sums(self.outer - other.outer, self.total - other.total, self.count - other.count)


def fit_evidence(
    names: Sequence[str], grounds: Sequence[Ground], examples: Sequence[Sequence[Patches]]
) -> Evidence:
    """Return the evidence for the classes `names`; `examples` holds each class's examples, one at least.

    Each example counts alike, however many patches of it are defective. Several branches are averaged.
    """
    sums = [
        [Sums.of(good, [example[branch] for example in of_class]) for of_class in examples]
        for branch, good in enumerate(grounds)
    ]
    return evidence_of(names, grounds, sums)


def evidence_of(names: Sequence[str], grounds: Sequence[Ground], sums: Sequence[Sequence[Sums]]) -> Evidence:
    """Return the evidence for the classes `names` of whose examples each branch has the sums."""
    kernels, offsets = [], []
    mean, deviation = np.zeros(len(names)), np.zeros(len(names))
    for good, of_branch in zip(grounds, sums, strict=True):
        directions, ratio, spread = _discriminant(good.covariance, of_branch)
        kernels.append(good.whitening.projection @ directions)
        offsets.append(-good.whitening.mean @ kernels[-1])
        mean += ratio / len(grounds)
        deviation += spread / len(grounds)
    scale = len(grounds) * deviation
    return Evidence(
        tuple(names),
        tuple((kernel / scale).astype(np.float32) for kernel in kernels),
        tuple((offset / scale).astype(np.float32) for offset in offsets),
        mean.astype(np.float32),
        deviation.astype(np.float32),
    )


def _discriminant(
    covariance: NDArray[np.float64], classes: Sequence[Sums]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return, in whitened space, where good patches have mean 0: directions (depth, k), and mean and deviation of the log ratio on them."""
    centres = np.stack([sums.total / sums.count for sums in classes])
    within = np.zeros_like(covariance)
    for sums, centre in zip(classes, centres, strict=True):
        within += (sums.outer / sums.count - np.outer(centre, centre)) / len(classes)
    pooled = (1 - _WITHIN_DEFECTS) * covariance + _WITHIN_DEFECTS * within
    equal = np.trace(pooled) / len(pooled) * np.eye(len(pooled))
    directions = np.linalg.solve((1 - _SHRINKAGE) * pooled + _SHRINKAGE * equal, centres.T)
    mean = -0.5 * (centres.T * directions).sum(axis=0)
    variance = (directions * (covariance @ directions)).sum(axis=0)
    return directions, mean, np.sqrt(np.maximum(variance, 1e-12))
