"""What a run says of its times."""

import pytest

from tools.linesim.report import percentile_ms

NS_PER_MS = 1_000_000


@pytest.mark.parametrize(
    ("count", "share", "rank"),
    [(1, 0.5, 1), (2, 0.5, 1), (3, 0.5, 2), (100, 0.99, 99), (101, 0.99, 100), (7, 1.0, 7), (7, 0.0, 1)],
)
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(
    count: int, share: float, rank: int
) -> None:
    values = [n * NS_PER_MS for n in range(count, 0, -1)]
    assert percentile_ms(values, share) == rank


def test_of_nothing_there_is_no_percentile() -> None:
    assert percentile_ms([], 0.5) is None
