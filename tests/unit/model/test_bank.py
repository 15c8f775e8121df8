import numpy as np
import pytest

from inspector.model.bank import (
    build_bank,
    farthest_first,
    greedy_coreset,
    squared_to_nearest,
)
from inspector.model.whitening import Moments, whitening


def patches(count: int = 2000, depth: int = 8) -> np.ndarray:
    return np.random.default_rng(3).standard_normal((count, depth)).astype(np.float32)


def radius(candidates: np.ndarray, chosen: np.ndarray) -> float:
    """Distance of the worst candidate to its nearest chosen one, by brute force."""
    distances = np.linalg.norm(candidates[:, None] - candidates[chosen][None], axis=2)
    return float(distances.min(axis=1).max())


def test_each_entry_is_the_farthest_from_those_before() -> None:
    candidates = patches(300)
    chosen = greedy_coreset(candidates, 20, np.random.default_rng(0))
    assert len(set(chosen.tolist())) == 20
    for index in range(1, 20):
        distances = np.linalg.norm(candidates[:, None] - candidates[chosen[:index]][None], axis=2).min(axis=1)
        assert distances[chosen[index]] == pytest.approx(distances.max(), rel=1e-4)


def test_a_greedy_bank_leaves_no_patch_far_away() -> None:
    candidates = patches()
    greedy = greedy_coreset(candidates, 100, np.random.default_rng(0))
    at_random = np.random.default_rng(0).choice(len(candidates), 100, replace=False)
    assert radius(candidates, greedy) < 0.9 * radius(candidates, at_random)


def test_the_seed_decides() -> None:
    candidates = patches()
    banks = [build_bank(candidates, 50, np.random.default_rng(seed)).entries for seed in (1, 1, 2)]
    np.testing.assert_array_equal(banks[0], banks[1])
    assert not np.array_equal(banks[0], banks[2])


def test_choosing_in_the_projected_space_hardly_costs_coverage() -> None:
    candidates = patches(1000, 200)
    bank = build_bank(candidates, 100, np.random.default_rng(0))
    chosen = np.array([int(np.flatnonzero((candidates == entry).all(axis=1))[0]) for entry in bank.entries])
    exact = greedy_coreset(candidates, 100, np.random.default_rng(0))
    assert radius(candidates, chosen) < 1.1 * radius(candidates, exact)


def test_equal_patches_are_taken_once() -> None:
    candidates = np.repeat(patches(7), 50, axis=0)
    bank = build_bank(candidates, 100, np.random.default_rng(0))
    assert len(bank.entries) == 7
    assert len(np.unique(bank.entries, axis=0)) == 7


def test_progress_counts_every_entry() -> None:
    steps: list[int] = []
    greedy_coreset(patches(100), 30, np.random.default_rng(0), steps.append)
    assert sum(steps) == 30


def test_taking_many_at_once_takes_what_one_by_one_takes() -> None:
    candidates = patches(9000, 12)  # more than the pool that is looked at between two comparisons
    nearest, expected = np.full(len(candidates), np.inf, np.float32), []
    chosen = greedy_coreset(candidates, 700, np.random.default_rng(0))
    current = int(chosen[0])
    for _ in range(700):
        expected.append(current)
        np.minimum(nearest, np.square(candidates - candidates[current]).sum(axis=1), out=nearest)
        current = int(nearest.argmax())
    # Two candidates of one distance may change places by rounding; the bank is then as good.
    assert np.mean(chosen == expected) > 0.99


@pytest.mark.parametrize("depth", [2, 12])  # in two dimensions most candidates soon need no comparison
def test_taking_most_of_them_takes_what_one_by_one_takes(depth: int) -> None:
    candidates = patches(2500, depth)
    nearest, expected = np.full(len(candidates), np.inf, np.float32), []
    chosen = greedy_coreset(candidates, 2000, np.random.default_rng(0))
    current = int(chosen[0])
    for _ in range(2000):
        expected.append(current)
        np.minimum(nearest, np.square(candidates - candidates[current]).sum(axis=1), out=nearest)
        current = int(nearest.argmax())
    assert len(np.intersect1d(chosen, expected)) >= 1995
    rest = squared_to_nearest(candidates, candidates[chosen]).max()
    assert rest == pytest.approx(float(nearest.max()), rel=0.01)


def test_what_is_known_is_not_taken_again_and_all_is_left_near() -> None:
    candidates = patches(4000)
    known = candidates[::8]
    nearest = squared_to_nearest(candidates, known)
    taken = farthest_first(candidates, nearest, 4000, until=1.5)
    assert not np.isin(taken, np.arange(0, 4000, 8)).any()
    both = np.concatenate([np.arange(0, 4000, 8), taken])
    assert squared_to_nearest(candidates, candidates[both]).max() <= 1.5 + 1e-3
    assert len(farthest_first(known, squared_to_nearest(known, known), 10)) == 0


def test_only_what_is_taken_is_whitened_and_the_bank_is_the_same() -> None:
    candidates = patches(3000, 100)
    white = whitening(Moments.of(candidates))
    lazily = build_bank(candidates, 200, np.random.default_rng(0), white=white)
    eagerly = build_bank(white.apply(candidates), 200, np.random.default_rng(0))
    np.testing.assert_allclose(lazily.entries[:20], eagerly.entries[:20], atol=1e-3)
    assert lazily.spacing.mean() == pytest.approx(eagerly.spacing.mean(), rel=0.01)
