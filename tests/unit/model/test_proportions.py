import pytest

from inspector.model.proportions import clopper_pearson


@pytest.mark.parametrize(
    ("events", "trials", "expected"),
    [
        (0, 100, (0.0, 0.036217)),
        (5, 100, (0.016432, 0.112835)),
        (100, 100, (0.963783, 1.0)),
        (30, 3000, (0.006757, 0.014245)),
    ],
)
def test_the_interval_is_that_of_clopper_and_pearson(
    events: int, trials: int, expected: tuple[float, float]
) -> None:
    """Expected: quantiles of the beta distribution, from scipy.stats.beta.ppf."""
    assert clopper_pearson(events, trials) == pytest.approx(expected, abs=1e-6)
