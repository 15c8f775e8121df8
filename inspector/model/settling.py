"""What evidence for known defects is worth: settled on good images and examples that it was not fitted on."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.engine.base import Score
from inspector.model.batches import Batches
from inspector.model.evidence import Evidence, Settled
from inspector.model.kinds import own_kinds, without

# Evidence may cost this share of the false rejects: each of them is taken from the oddness that finds defects nobody has seen yet.
# Magnetic tiles, each class left out in turn: at a quarter, unknown ones lose 0 to 3 points of recall and known ones gain 16.
_BUDGET = 0.25
_USUAL = 0.02  # share of good images above which a class's evidence is unusual: makes classes comparable
_LEAST_LIMIT = 1.0  # standard deviations of good patches: where held-out good images show no evidence at all
_SLOPES = np.geomspace(0.05, 20, 40)  # over the spread of the log ratios
_NONE_AT = np.linspace(0, 1, 41)  # quantiles of the log ratios


@dataclass(frozen=True, slots=True)
class Shown:
    """What images of held-out parts gave: `scores` float64 (n,) without known defects, `evidence` float64 (n, k)."""

    scores: NDArray[np.float64]
    evidence: NDArray[np.float64]

    def take(self, index: int, answer: Score) -> None:
        """Take in what the graph of a held-out model answered to image `index`."""
        self.scores[index] = answer.value
        self.evidence[index] = [] if answer.defects is None else answer.defects

    def joined(self, settled: Settled) -> NDArray[np.float64]:
        """Return the scores with known defects, as the graph joins them."""
        relative = settled.unit * (self.evidence / settled.limits).max(axis=1)
        return np.asarray(np.maximum(self.scores, relative))

    def usual(self, batches: Batches, rate: float) -> "Shown":
        """Return what remains without kinds of their own: as for the threshold, they must not say what is evidence (kinds.py)."""
        kept = without(own_kinds(self.scores, batches, rate), len(self.scores))
        return Shown(self.scores[kept], self.evidence[kept])


def settle(
    evidence: Evidence, good: Shown, examples: Shown, kinds: NDArray[np.int64], rate: float
) -> Settled:
    """Return the limits that held-out good images pass at a quarter of the false-reject rate, all classes together, and the confidences.

    `kinds` int64 (m,): the class of each of `examples`.
    """
    usual = np.maximum(_upper(good.evidence, _USUAL), _LEAST_LIMIT)
    strongest = (good.evidence / usual).max(axis=1)
    limits = np.maximum(usual * _upper(strongest, _BUDGET * rate), _LEAST_LIMIT).astype(np.float32)
    slope, none = _confidence(
        evidence.mean + evidence.deviation * good.evidence,
        evidence.mean + evidence.deviation * examples.evidence,
        kinds,
    )
    return Settled(limits, float(_upper(good.scores, rate)), slope, none)


def confidences(evidence: Evidence, settled: Settled, shown: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the confidence in each class, float64 (n, k), for evidence (n, k): what the graph hands out as `defects`."""
    ratios = evidence.mean + evidence.deviation * shown
    return np.exp(_log_shares(ratios, settled.slope, settled.none))[:, :-1]


def named(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the class named for each row of confidences (n, k), or -1 where none of them is likelier."""
    best = shares.argmax(axis=1)
    none = 1 - shares.sum(axis=1)
    return np.where(shares.max(axis=1) >= none, best, -1)


def confusion(kinds: NDArray[np.int64], names: NDArray[np.int64], classes: int) -> list[list[int]]:
    """Return how often each class (rows) was given each name (columns, the last is none)."""
    table = np.zeros((classes, classes + 1), np.int64)
    np.add.at(table, (kinds, names), 1)  # -1 is the last column
    return [[int(count) for count in row] for row in table]


def _upper(values: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    """Return the value along the first axis that a share of `rate` exceeds, the highest where there are too few (as choose_threshold)."""
    ordered = np.sort(values, axis=0)
    rank = min(len(ordered), math.ceil((len(ordered) + 1) * (1 - rate) - 1e-9))
    upper: NDArray[np.float64] = ordered[rank - 1]
    return upper


def _confidence(
    good: NDArray[np.float64], examples: NDArray[np.float64], kinds: NDArray[np.int64]
) -> tuple[float, float]:
    """Return slope and log ratio of "none of them" under which the truth is likeliest; good images stand for none.

    All classes and "none" count alike, however many images there are of each.
    """
    ratios, truth = np.concatenate([examples, good]), np.append(kinds, np.full(len(good), -1))
    counts = np.bincount(truth + 1)
    weights = 1 / counts[truth + 1]
    spread = max(float(examples.std()), 1e-6)
    best = (-np.inf, 0.0, 0.0)
    for none in np.quantile(ratios.max(axis=1), _NONE_AT):
        for slope in _SLOPES / spread:
            likelihood = _log_shares(ratios, float(slope), float(none))[np.arange(len(truth)), truth]
            best = max(best, (float(weights @ likelihood), float(slope), float(none)))
    return best[1], best[2]


def _log_shares(ratios: NDArray[np.float64], slope: float, none: float) -> NDArray[np.float64]:
    """Return the logarithm of each class's share and, last, that of none: float64 (n, k + 1)."""
    logits = slope * np.column_stack([ratios, np.full(len(ratios), none)])
    logits -= logits.max(axis=1, keepdims=True)
    shares: NDArray[np.float64] = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return shares
