"""Quantiles are quoted only where there are samples enough."""

import pytest

from inspector.bench.quantiles import Quantiles, samples_needed


@pytest.mark.parametrize(("share", "needed"), [(0.5, 5), (0.95, 59), (0.99, 299), (0.999, 2995)])
def test_so_many_samples_leave_one_beyond_with_95_percent(share: float, needed: int) -> None:
    assert samples_needed(share) == needed
    assert share**needed <= 0.05 < share ** (needed - 1)


def test_a_quantile_is_the_least_value_that_so_many_do_not_exceed() -> None:
    found = Quantiles.of(range(3000, 0, -1))
    assert (found.p50, found.p99, found.p999, found.worst) == (1500, 2970, 2997, 3000)


def test_too_few_samples_are_told_apart_from_a_quantile() -> None:
    found = Quantiles.of([1.0] * 298)
    assert (found.p50, found.p99, found.p999) == (1.0, None, None)
    assert Quantiles.of([1.0] * 299).p99 == 1.0


def test_fields_are_flat_and_bear_the_unit() -> None:
    assert Quantiles.of([2.0]).fields("us", "write_") == {
        "write_p50_us": 2.0,
        "write_p99_us": None,
        "write_p999_us": None,
        "write_max_us": 2.0,
        "write_samples": 1,
    }
