"""Intervals and paired tests against brute force, published examples and their own error rates."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.model.compare import bootstrap, delong, mcnemar
from inspector.model.metrics import auroc

Floats = NDArray[np.float64]


def two_scorers(
    rng: np.random.Generator, edge: float = 0.0
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Return good and bad scores of the same images by two scorers; the first tells them apart better by `edge`."""
    good, bad = rng.normal(0, 1, 60), rng.normal(1, 1, 50)
    first = good + rng.normal(0, 0.7, 60), bad + edge + rng.normal(0, 0.7, 50)
    second = good + rng.normal(0, 0.7, 60), bad + rng.normal(0, 0.7, 50)
    return first, second


def test_delongs_variance_is_that_of_the_parts_of_each_image() -> None:
    """By the double sums of the paper, pair by pair."""
    first, second = two_scorers(np.random.default_rng(0))
    first = (first[0].round(1), first[1].round(1))  # with ties

    def psi(good: float, bad: float) -> float:
        return 1.0 if bad > good else 0.5 if bad == good else 0.0

    def parts(scores: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        good, bad = scores
        table = np.array([[psi(g, b) for b in bad] for g in good])
        return table.mean(axis=1), table.mean(axis=0)

    (good_1, bad_1), (good_2, bad_2) = parts(first), parts(second)
    variance = np.cov(np.stack([good_1, good_2])) / 60 + np.cov(np.stack([bad_1, bad_2])) / 50
    deviation = np.sqrt(variance[0, 0] + variance[1, 1] - 2 * variance[0, 1])
    found = delong(first, second)
    assert found.value == pytest.approx(auroc(*first) - auroc(*second))
    assert found.interval[1] - found.value == pytest.approx(1.95996 * deviation, rel=1e-4)


def test_delong_finds_a_difference_and_no_more_often_than_stated_where_there_is_none() -> None:
    rng = np.random.default_rng(1)
    alike = [delong(*two_scorers(rng)).p for _ in range(400)]
    assert 0.02 < np.mean(np.array(alike) < 0.05) < 0.085
    apart = [delong(*two_scorers(rng, edge=1.0)).p for _ in range(50)]
    assert np.mean(np.array(apart) < 0.05) > 0.9


def test_delong_of_one_scorer_with_itself_is_no_difference() -> None:
    first, _ = two_scorers(np.random.default_rng(2))
    found = delong(first, first)
    assert (found.value, found.interval, found.p) == (0.0, (0.0, 0.0), 1.0)


def decided(both: int, first: int, second: int, neither: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    one = np.repeat([True, True, False, False], [both, first, second, neither])
    other = np.repeat([True, False, True, False], [both, first, second, neither])
    return one, other


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [(0, 0, 1.0), (5, 5, 1.0), (0, 6, 0.03125), (2, 8, 0.109375), (10, 1, 0.01171875)],
)
def test_mcnemar_is_the_sign_test_of_the_disagreements(only_first: int, only_second: int, p: float) -> None:
    """Expected: the two-sided binomial test with 1/2, from tables."""
    found = mcnemar(*decided(20, only_first, only_second, 30))
    assert found[:2] == (only_first, only_second)
    assert found[2] == pytest.approx(p)


def test_mcnemar_by_counting_all_ways_to_fall() -> None:
    ways = [sum(way) for way in itertools.product((0, 1), repeat=9)]
    p = np.mean([way <= 2 or way >= 7 for way in ways])
    assert mcnemar(*decided(0, 2, 7, 0))[2] == pytest.approx(p)


def test_the_bootstrap_draws_within_strata() -> None:
    strata = np.repeat([0, 1, 2], [10, 5, 3])
    seen: list[list[int]] = []

    def figure(drawn: NDArray[np.int64]) -> float:
        seen.append(np.bincount(strata, weights=drawn).astype(int).tolist())
        return 0.0

    bootstrap(figure, strata)
    assert all(counts == [10, 5, 3] for counts in seen)


def test_the_bootstraps_interval_holds_the_true_auroc() -> None:
    """Scores a deviation apart: the AUROC is Phi(1 / sqrt 2) = 0.7602."""
    rng, held = np.random.default_rng(3), 0
    strata = np.repeat([0, 1], [60, 50])
    for _ in range(60):
        values = np.concatenate([rng.normal(0, 1, 60), rng.normal(1, 1, 50)])

        def figure(drawn: NDArray[np.int64], values: Floats = values) -> float:
            chosen = np.repeat(values, drawn)
            return auroc(chosen[:60], chosen[60:])

        low, high = bootstrap(figure, strata)
        held += low <= 0.7602 <= high
    assert held >= 52
