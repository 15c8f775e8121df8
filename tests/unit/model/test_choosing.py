"""The choice among trials."""

from dataclasses import replace

import numpy as np
import pytest

from inspector.errors import ModelError
from inspector.model.choosing import USUAL, best_of, pairs_of
from inspector.model.options import FitOptions
from inspector.model.outcome import Outcome
from inspector.model.trials import Trial

DEFECTS = 80
DEEP, SHALLOW = ("7", "10"), ("4", "7")
NOISE = np.random.default_rng(0).uniform(-0.02, 0.02, DEFECTS)


def trial(
    worth: float | None,
    sizes: tuple[int, ...] = (256,),
    *,
    noise: float = 0.0,
    milliseconds: float = 5.0,
    **others: object,
) -> Trial:
    """A trial of this worth; `noise` times a fixed pattern is what single defects differ by from other trials."""
    candidate = replace(FitOptions(), sizes=sizes, taps=(DEEP,) * len(sizes), **others)  # type: ignore[arg-type]
    told = None
    if worth is not None:
        told = Outcome(np.full(DEFECTS, worth) + noise * (NOISE - NOISE.mean()), np.zeros(DEFECTS, np.int64))
    return Trial(candidate, milliseconds, told)


def test_the_usual_size_stays_unless_another_is_clearly_better() -> None:
    usual, slightly, clearly = trial(0.8), trial(0.8005, (96,), noise=10), trial(0.83, (160,), noise=10)
    assert best_of([usual, slightly], [], 10) is usual
    assert best_of([usual, slightly, clearly], [], 10) is clearly


def test_where_the_usual_size_is_too_slow_the_best_other_is_taken() -> None:
    sizes = [trial(0.8, (96,)), trial(0.8001, (160,), noise=10), trial(None)]
    assert best_of(sizes, [], 10) is sizes[1]


@pytest.mark.parametrize(
    "beyond",
    [{"sizes": (160, 256)}, {"method": "gaussian"}, {"pooling": 16.0}],
    ids=["pair", "method", "pooling"],
)
def test_anything_else_must_be_clearly_better(beyond: dict[str, object]) -> None:
    plain = trial(0.8)
    slightly = trial(0.8005, noise=10, **beyond)  # type: ignore[arg-type]
    clearly = trial(0.83, noise=10, **beyond)  # type: ignore[arg-type]
    assert best_of([plain], [slightly], 10) is plain
    assert best_of([plain], [slightly, clearly], 10) is clearly


def test_the_usual_pair_stays_unless_another_is_clearly_better() -> None:
    plain, pair = trial(0.8, noise=10), trial(0.79, USUAL)
    slightly, clearly = trial(0.795, (160, 256), noise=10), trial(0.83, (160, 256), noise=10)
    assert best_of([plain], [slightly], 10) is plain, "it was not tried"
    assert best_of([plain], [pair, trial(0.7905, (160, 256), noise=10)], 10) is pair
    assert best_of([plain], [pair, clearly], 10) is clearly
    assert best_of([plain], [trial(None, USUAL)], 10) is plain, "it is too slow"


def test_what_is_too_slow_is_not_chosen() -> None:
    sizes = [trial(None, (384,), milliseconds=20), trial(0.6, (96,))]
    assert best_of(sizes, [trial(None, (96, 384))], 10) is sizes[1]


def test_a_budget_that_nothing_keeps_is_one_line() -> None:
    trials = [trial(None, (96,), milliseconds=2.0), trial(None, milliseconds=5.0)]
    with pytest.raises(
        ModelError, match=r"fastest tried takes 2\.0 ms, not 1.*--budget-ms to at least 2\.4"
    ) as raised:
        best_of(trials, [], 1)
    assert "\n" not in str(raised.value)


def test_pairs_are_the_best_and_others_far_from_it() -> None:
    trials = [trial(0.7, (96,)), trial(0.85, (192,)), trial(0.9), trial(0.8, (160,)), trial(0.6, (384,))]
    assert [pair.sizes for pair in pairs_of(trials, 100)] == [USUAL, (160, 256), (256, 384)]


def test_a_pair_has_the_taps_of_each_size() -> None:
    shallow = replace(trial(0.85, (96,)).candidate, taps=(SHALLOW,))
    (pair,) = pairs_of([trial(0.9), replace(trial(0.85), candidate=shallow)], 100)
    assert pair.sizes == (96, 256)
    assert pair.taps == (SHALLOW, DEEP)


def test_pairs_keep_the_budget() -> None:
    sizes = [trial(0.9, milliseconds=6), trial(0.8, (96,), milliseconds=3)]
    assert [pair.sizes for pair in pairs_of(sizes, 9)] == [(96, 256)]
    assert pairs_of(sizes, 8.9) == []


def test_one_size_alone_makes_no_pair() -> None:
    assert pairs_of([trial(0.9), trial(None, (384,))], 100) == []
