"""Two computations agree where they decide alike, whatever factor lies between them."""

import numpy as np

from inspector.model.agreement import agreement, common_factor

EXACT = np.array([0.5, 0.8, 0.95, 1.1, 1.6, 5.0])


def test_the_same_scores_agree_exactly() -> None:
    found = agreement(EXACT, EXACT, 1.0)
    assert (found.images, found.worst, found.deviation, found.flips, found.farthest_flip) == (6, 0, 0, 0, 0)


def test_scores_are_compared_as_shares_of_the_threshold() -> None:
    found = agreement(2 * EXACT, 2 * EXACT + [0.2, 0, 0, 0, 0, 0], 2.0)
    assert np.isclose(found.worst, 0.1)
    assert np.isclose(found.deviation, np.sqrt(0.1**2 / 5))


def test_a_turned_decision_is_as_bad_as_the_score_is_far_from_the_threshold() -> None:
    other = EXACT.copy()
    other[[1, 3]] = 1.01, 0.99
    found = agreement(EXACT, other, 1.0)
    assert np.isclose(found.flips, 2 / 6)
    assert np.isclose(found.farthest_flip, 0.2)


def test_how_far_beyond_the_threshold_a_score_lies_is_no_difference() -> None:
    other = EXACT.copy()
    other[-1] = 9.0
    assert agreement(EXACT, other, 1.0).worst == 0


def test_a_bad_part_that_becomes_good_is_one_however_bad_it_was() -> None:
    other = EXACT.copy()
    other[-1] = 0.5
    assert agreement(EXACT, other, 1.0).farthest_flip == 4.0


def test_a_common_factor_turns_no_decision_where_the_threshold_takes_it_too() -> None:
    factor = common_factor(EXACT, 1.3 * EXACT)
    assert np.isclose(factor, 1.3)
    assert agreement(EXACT, 1.3 * EXACT, 1.0).flips > 0
    assert agreement(EXACT, 1.3 * EXACT, 1.0, factor=factor).worst < 1e-9


def test_a_score_that_is_no_number_is_never_agreed_with() -> None:
    for broken in (np.nan, np.inf):
        other = EXACT.copy()
        other[-1] = broken
        assert not agreement(EXACT, other, 1.0).finite
