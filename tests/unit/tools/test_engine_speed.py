"""The benchmark of the engine counts a graph's arithmetic, and holds it against the products that it measures beside it."""

from contextlib import ExitStack

import numpy as np
import pytest

from inspector.model.options import FLOAT32, INT8
from tools.bench import engine_speed
from tools.bench.arithmetic import SIDE, Work, product, work_of
from tools.bench.engine_speed import Peaks, cases, row


@pytest.mark.parametrize("int8", [False, True])
def test_a_product_is_two_operations_for_each_pair_of_numbers(*, int8: bool) -> None:
    model, work = product(int8=int8)
    expected = 2 * SIDE**3 / 1e9
    assert (work.float32, work.int8) == ((0, expected) if int8 else (expected, 0))
    assert work_of(model) == work


def test_the_time_at_the_peak_is_that_of_both_kinds_of_work() -> None:
    assert Work(float32=1.0, int8=4.0).ms_at(Work(float32=200.0, int8=800.0)) == 10.0


def test_each_size_and_each_bank_is_measured_once_with_the_default_of_the_other() -> None:
    assert list(cases([160, 256], [500, 3000])) == [(160, 3000), (256, 3000), (256, 500)]
    assert list(cases([96], [50])) == [(96, 50)]


def test_int8_moves_the_backbones_work_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_speed, "IN_TURN", 2)
    with ExitStack() as stack:
        peaks = Peaks.opened(stack)
        exact, rounded = (
            row(96, 40, kind, "lite0", peaks=peaks, runs=2, seconds=60) for kind in (FLOAT32, INT8)
        )
    assert exact["gop_int8"] == 0
    assert np.isclose(_sum(exact), _sum(rounded), atol=1e-3)
    assert float(str(rounded["gop_int8"])) > 0.8 * float(str(exact["gflop_float32"]))
    for found in (exact, rounded):
        assert float(str(found["share_of_peak"])) > 0
        assert found["samples"] == 2


def test_a_graph_that_takes_long_is_run_as_often_as_there_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_speed, "IN_TURN", 2)
    monkeypatch.setattr(engine_speed, "LEAST_RUNS", 6)
    with ExitStack() as stack:
        found = row(96, 40, FLOAT32, "lite0", peaks=Peaks.opened(stack), runs=10**6, seconds=0)
    assert (found["samples"], found["p99_ms"]) == (6, None)


def _sum(found: dict[str, object]) -> float:
    return float(str(found["gflop_float32"])) + float(str(found["gop_int8"]))
