"""What scores tell apart, and when one model is clearly better."""

import numpy as np
import pytest

from inspector.model.metrics import auroc
from inspector.model.outcome import outcome
from inspector.model.synthetic import KINDS

KIND_OF = np.concatenate([np.full(40, -1), np.repeat(np.arange(len(KINDS)), 6)])


def scores(seed: int, shift: float = 1.0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(0, 1, len(KIND_OF))
    return values + shift * (KIND_OF >= 0) + 0.2 * KIND_OF


def test_each_kind_has_its_auroc_and_the_worth_is_the_mean_of_all_defects() -> None:
    values = scores(0)
    told = outcome(values, KIND_OF)
    for number, kind in enumerate(KINDS):
        assert told.by_kind[kind] == pytest.approx(auroc(values[KIND_OF < 0], values[number == KIND_OF]))
    assert told.worth == pytest.approx(np.mean(list(told.by_kind.values())))


def test_ties_count_half() -> None:
    assert outcome(np.zeros(len(KIND_OF)), KIND_OF).worth == 0.5


def test_good_images_that_were_not_judged_do_not_count() -> None:
    values = scores(0)
    some = values.copy()
    some[:10] = np.nan
    assert outcome(some, KIND_OF).worth == outcome(values[10:], KIND_OF[10:]).worth


def test_clearly_better_is_one_way_and_not_by_a_hair() -> None:
    values = scores(0)
    same = outcome(values, KIND_OF)
    worse = outcome(np.where(KIND_OF >= 0, values - 0.7, values), KIND_OF)
    assert same.clearly_above(worse)
    assert not worse.clearly_above(same)
    assert not same.clearly_above(same)
    slightly = values.copy()
    slightly[40] += 100  # one defect more is found
    assert outcome(slightly, KIND_OF).worth > same.worth
    assert not outcome(slightly, KIND_OF).clearly_above(same)
