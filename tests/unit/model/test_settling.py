"""What evidence is worth: limits that spare good parts, confidences that mean something, names that are not guessed."""

import numpy as np
import pytest

from inspector.model.batches import Batches
from inspector.model.evidence import Evidence
from inspector.model.settling import Shown, confidences, confusion, named, settle


def evidence(classes: int) -> Evidence:
    return Evidence(
        tuple(f"kind{index}" for index in range(classes)),
        (),
        (),
        np.full(classes, -10, np.float32),
        np.full(classes, 4, np.float32),
    )


@pytest.fixture
def good() -> Shown:
    rng = np.random.default_rng(0)
    return Shown(rng.normal(1, 0.1, 400), np.abs(rng.normal(2, 0.5, (400, 2))))


def examples_at(*shown: tuple[float, float]) -> Shown:
    return Shown(np.full(len(shown), 1.0), np.array(shown))


def test_good_parts_hardly_reach_the_limits(good: Shown) -> None:
    """An evidence that counted from the highest of the good ones on would cost false rejects of its own."""
    kinds = np.array([0, 0, 0, 1, 1, 1])
    examples = examples_at((9, 2), (8, 2), (10, 3), (2, 9), (2, 8), (1, 10))
    settled = settle(evidence(2), good, examples, kinds, 0.05)
    over = ((good.evidence / settled.limits).max(axis=1) > 1).mean()
    assert 0 < over <= 0.05 / 4
    assert (settled.limits < 1.5 * good.evidence.max(axis=0)).all()
    assert settled.unit == pytest.approx(np.quantile(good.scores, 0.95), rel=0.01)
    assert (good.joined(settled) > settled.unit).mean() <= 0.05 * 1.25
    assert (examples.joined(settled) > settled.unit).all()


def test_a_batch_unlike_all_others_does_not_say_what_is_evidence(good: Shown) -> None:
    """Held out whole it looks odd and defective all over; the final model knows it."""
    odd = Shown(
        np.append(good.scores, np.full(40, 2.0)), np.append(good.evidence, np.full((40, 2), 30.0), axis=0)
    )
    day = np.append(np.arange(400) // 100, np.full(40, 4))
    batches = Batches(day, ("1", "2", "3", "4", "5"), np.arange(440), "folders")
    usual = odd.usual(batches, 0.05)
    np.testing.assert_array_equal(usual.scores, good.scores)
    np.testing.assert_array_equal(usual.evidence, good.evidence)
    kinds, examples = np.array([0, 1]), examples_at((9, 2), (2, 9))
    settled = settle(evidence(2), usual, examples, kinds, 0.05)
    assert (examples.joined(settled) > settled.unit).all()
    assert not (examples.joined(settle(evidence(2), odd, examples, kinds, 0.05)) > 1.9).any()


def test_evidence_of_nothing_leaves_a_limit_above_zero() -> None:
    good = Shown(np.linspace(1, 2, 100), np.zeros((100, 1)))
    settled = settle(evidence(1), good, Shown(np.ones(1), np.array([[5.0]])), np.array([0]), 0.05)
    assert settled.limits[0] > 0
    assert np.isfinite(good.joined(settled)).all()


def test_confidence_follows_how_often_held_out_examples_are_named_right(good: Shown) -> None:
    rng = np.random.default_rng(1)
    kinds = np.repeat([0, 1], 200)
    apart = np.where(kinds[:, None] == np.arange(2), 8.0, 3.0)
    for noise, low, high in ((0.3, 0.97, 1.0), (6.0, 0.5, 0.85)):
        shown = np.abs(apart + rng.normal(0, noise, (400, 2)))
        settled = settle(evidence(2), good, Shown(np.ones(400), shown), kinds, 0.05)
        shares = confidences(evidence(2), settled, shown)
        right = shares.argmax(axis=1) == kinds
        assert low <= float(shares.max(axis=1).mean()) <= high
        # Some of what is left belongs to "none of them".
        assert float(shares.max(axis=1).mean()) <= float(right.mean()) + 0.03


def test_what_looks_like_a_good_part_is_given_no_name(good: Shown) -> None:
    kinds = np.repeat([0, 1], 3)
    examples = examples_at((9, 2), (8, 2), (10, 3), (2, 9), (2, 8), (1, 10))
    settled = settle(evidence(2), good, examples, kinds, 0.05)
    names = named(confidences(evidence(2), settled, np.array([[9.0, 2.0], [2.0, 9.0], [2.0, 2.0]])))
    assert names.tolist() == [0, 1, -1]


def test_the_confusion_counts_names_by_class_and_none_last() -> None:
    kinds, names = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, -1, -1])
    assert confusion(kinds, names, 2) == [[1, 1, 0], [0, 1, 2]]
