"""What the page leaves out as it would say nothing."""

from rich.table import Table

from inspector.bench.quantiles import Quantiles
from inspector.bench.show import add_times, met_stalls


def test_the_worst_without_stalls_is_said_where_it_is_less() -> None:
    said = "1 of 3 parts met a stall of the machine, of up to 4.0 ms"
    assert met_stalls([9.0, 58.3, 12.0], [0, 4.0, 0]) == f"{said}; without these the worst took 12.0 ms"
    assert met_stalls([9.0, 58.3, 12.0], [4.0, 0, 0]) == said
    assert met_stalls([9.0], [4.0]) == "1 of 1 parts met a stall of the machine, of up to 4.0 ms"


def columns(*values: Quantiles) -> list[object]:
    table = Table("stage")
    add_times(table, [[("a", each)] for each in values])
    assert table.row_count == len(values)
    return [column.header for column in table.columns]


def test_a_quantile_that_nothing_is_known_of_has_no_column() -> None:
    few, many = Quantiles(400, 1.0, 2.0, None, 3.0), Quantiles(4000, 1.0, 2.0, 2.5, 3.0)
    assert columns(few, few) == ["stage", "p50", "p99", "worst"]
    assert columns(few, many) == ["stage", "p50", "p99", "p99.9", "worst"]
