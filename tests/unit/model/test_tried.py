"""Trials of an interrupted tuning come back in their order, and only there."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inspector.model.checkpoint import Checkpoint
from inspector.model.options import FitOptions
from inspector.model.outcome import Outcome
from inspector.model.trials import Trial
from inspector.model.tried import Kept

KINDS = np.array([0, 0, 1])
SMALL, LARGE, DEEP = (FitOptions(sizes=(96,)), FitOptions(sizes=(384,)), FitOptions(taps=(("14",),)))
TRIALS = [
    Trial(SMALL, 3.5, Outcome(np.array([0.5, 0.75, 1.0]), KINDS)),
    Trial(LARGE, 41.0, None),
    Trial(DEEP, 7.0, Outcome(np.array([0.25, 1.0, 1.0]), KINDS)),
]


@pytest.fixture(autouse=True)
def _always_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Checkpoint, "due", lambda *_: True)


def again(tmp_path: Path) -> Kept:
    return Kept(Checkpoint(tmp_path / "unfinished", "key"))


def test_the_same_candidates_get_the_trials_they_had(tmp_path: Path) -> None:
    first = again(tmp_path)
    assert first.take([SMALL]) == []
    for trial in TRIALS[:2]:
        first.add([trial])
    second = again(tmp_path)
    (small,), (large,) = second.take([SMALL]), second.take([LARGE])
    assert (small.candidate, small.milliseconds) == (SMALL, 3.5)
    assert small.outcome is not None
    assert TRIALS[0].outcome is not None
    assert small.outcome.worth == TRIALS[0].outcome.worth
    assert large.outcome is None
    assert second.take([DEEP]) == []
    second.add([TRIALS[2]])
    third = again(tmp_path)
    assert [trial.milliseconds for one in (SMALL, LARGE, DEEP) for trial in third.take([one])] == [3.5, 41, 7]


def test_what_takes_another_way_is_tried_anew(tmp_path: Path) -> None:
    again(tmp_path).add(TRIALS)
    kept = again(tmp_path)
    assert kept.take([replace(SMALL, seed=1)]) == []
    assert kept.take([SMALL, DEEP]) == []
    assert len(kept.take([SMALL, LARGE])) == 2


def test_where_all_are_too_slow_they_are_kept_as_well(tmp_path: Path) -> None:
    again(tmp_path).add(TRIALS[1:2])
    assert again(tmp_path).take([LARGE])[0].outcome is None
