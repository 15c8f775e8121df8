import itertools

import numpy as np
import pytest

from inspector.model.metrics import PixelHistogram, auroc, percentiles


def by_pairs(good: np.ndarray, bad: np.ndarray) -> float:
    return float(np.mean([(b > g) + (b == g) / 2 for g, b in itertools.product(good, bad)]))


def test_auroc_is_the_share_of_ordered_pairs_with_ties_counted_half() -> None:
    rng = np.random.default_rng(0)
    good, bad = rng.integers(0, 8, 40) / 2, rng.integers(2, 10, 30) / 2
    assert auroc(good, bad) == pytest.approx(by_pairs(good, bad))


def test_auroc_of_perfect_blind_and_reversed() -> None:
    low, high = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    assert (auroc(low, high), auroc(low, low), auroc(high, low)) == (1.0, 0.5, 0.0)


def test_pixels_counted_in_bins_give_the_same_auroc() -> None:
    rng = np.random.default_rng(1)
    scores = rng.gamma(2, size=(4, 30, 20)).astype(np.float32)
    defect = rng.random((4, 30, 20)) < 0.1
    scores[defect] += 1
    histogram = PixelHistogram(float(scores.max()))
    for one, truth in zip(scores, defect, strict=True):
        histogram.add(one, truth)
    exact = auroc(scores[~defect].astype(np.float64), scores[defect].astype(np.float64))
    assert histogram.auroc() == pytest.approx(exact, abs=1e-4)


def test_percentiles_are_named() -> None:
    assert percentiles(list(range(101))) == {"p50": 50.0, "p99": 99.0}
