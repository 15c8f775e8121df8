"""Views are made comparable, and the stated rate is that of parts, not of views."""

import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.model.batches import Batches
from inspector.model.calibrate import choose_threshold
from inspector.model.folds import Folds, choose_folds
from inspector.model.view_limits import joined, over_limits, view_limits

RATE = 0.02
IMAGES, NEXT = 150, 2000


def drawn(rng: np.random.Generator, count: int, views: int) -> NDArray[np.float64]:
    """Return scores (count, views): lognormal with a heavier tail, each view on a scale of its own."""
    normal = rng.normal(size=(count, views))
    scores: NDArray[np.float64] = np.exp(0.2 * normal + 0.05 * np.maximum(normal, 0) ** 2)
    return scores * np.arange(1, views + 1)


def one_batch(rng: np.random.Generator) -> tuple[Batches, Folds]:
    batches = Batches(np.zeros(IMAGES, np.int64), ("all",), np.arange(IMAGES), "none")
    return batches, choose_folds(batches, rng)


@pytest.mark.parametrize("views", [2, 8])
def test_parts_are_rejected_at_the_stated_rate_however_many_views_they_have(views: int) -> None:
    """Against limits of each view at that rate, which reject nearly as many times more parts."""
    rng = np.random.default_rng(0)
    ours, each_alone = [], []
    for _ in range(40):
        batches, folds = one_batch(rng)
        scores, new = drawn(rng, IMAGES, views), drawn(rng, NEXT, views)
        limits, _ = joined(scores, folds, batches, RATE)
        alone = [choose_threshold(column, RATE, batches).value for column in scores.T]
        ours.append((new > limits).any(axis=1).mean())
        each_alone.append((new > alone).any(axis=1).mean())
    assert np.mean(ours) == pytest.approx(RATE, abs=0.006)
    assert np.mean(each_alone) > 0.75 * views * RATE


def test_the_limits_leave_the_stated_share_of_held_out_parts_above() -> None:
    rng = np.random.default_rng(1)
    batches, folds = one_batch(rng)
    _, relative = joined(drawn(rng, IMAGES, 3), folds, batches, RATE)
    assert (relative.max(axis=1) > 1).mean() <= RATE
    assert np.sort(relative.max(axis=1))[-4] <= 1 < np.sort(relative.max(axis=1))[-1]


def test_each_view_has_a_say_whatever_its_scale() -> None:
    rng = np.random.default_rng(2)
    batches, folds = one_batch(rng)
    scores = drawn(rng, IMAGES, 3) * [1e-3, 1, 1e3]
    _, relative = joined(scores, folds, batches, RATE)
    decided = np.bincount(relative.argmax(axis=1), minlength=3)
    assert decided.min() > IMAGES / 6


def test_no_image_sets_the_limit_that_it_is_measured_by() -> None:
    rng = np.random.default_rng(3)
    _, folds = one_batch(rng)
    scores = drawn(rng, IMAGES, 2)
    before = over_limits(scores, folds, RATE)
    fold = folds.fold_of == 0
    scores[fold] *= 3
    np.testing.assert_allclose(over_limits(scores, folds, RATE)[fold], 3 * before[fold])
    assert not np.allclose(over_limits(scores, folds, RATE)[~fold], before[~fold])


def test_a_view_that_is_always_the_same_has_a_limit_too() -> None:
    scores = np.column_stack([np.full(50, 0.5), np.zeros(50)])
    limits = view_limits(scores, RATE)
    assert limits[0] == pytest.approx(0.5)
    assert limits[1] > 0
