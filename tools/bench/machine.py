"""What all benchmarks share: the facts of the machine, quantiles, the table, and the one shape of `--json FILE`.

with Machine() as machine:                       # watches for stalls of the machine itself, beside what is measured
    rows = [{"what": ..., **Quantiles.of(times_ms).fields()} for ...]
finish(args.json, "Title", rows, machine)        # prints the table and the machine, writes {"rows": [...], "machine": {...}}

A benchmark that grows row by row calls `write_rows` after each, so that what is known is kept.
"""

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from inspector.bench.machine import Machine, in_words
from inspector.bench.quantiles import Quantiles, samples_needed
from inspector.bench.stalls import Stall, StallWatch, stalled_ms

__all__ = [
    "Machine",
    "Quantiles",
    "Stall",
    "StallWatch",
    "add_json",
    "finish",
    "in_words",
    "samples_needed",
    "show_rows",
    "stalled_ms",
    "write_rows",
]

Row = Mapping[str, object]
_WIDEST = 200  # columns of characters


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add --json, whose file must be one that can be written: a benchmark takes minutes."""
    parser.add_argument(
        "--json",
        type=_writable,
        metavar="FILE",
        help="write one JSON object: `rows`, a list of flat objects, and `machine`",
    )


def write_rows(path: Path | None, rows: Sequence[Row], machine: Machine, **more: object) -> None:
    """Write the object where --json was given; also while the benchmark still runs."""
    if path is not None:
        content = {**more, "rows": [dict(row) for row in rows], "machine": machine.facts()}
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def show_rows(title: str, rows: Sequence[Row], columns: Mapping[str, str] | None = None) -> None:
    """Print rows as a table. `columns`: the fields to show and their headings; left out, all fields of the first row by their names."""
    shown = columns or {name: name for name in (rows[0] if rows else {})}
    table = Table(title=Text(title), title_justify="left")
    for name, heading in shown.items():
        numbers = all(not isinstance(row.get(name), str) for row in rows)
        table.add_column(heading, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(row.get(name))) for name in shown))
    console = Console()
    if not console.is_terminal:  # a file is as wide as the table
        console = Console(width=max(console.width, Console(width=_WIDEST).measure(table).maximum))
    console.print(table)


def finish(
    path: Path | None,
    title: str,
    rows: Sequence[Row],
    machine: Machine,
    columns: Mapping[str, str] | None = None,
    **more: object,
) -> None:
    """Print the table and what the machine did meanwhile, and write the JSON."""
    show_rows(title, rows, columns)
    print(in_words(machine.facts()))
    write_rows(path, rows, machine, **more)


def _cell(value: object) -> str:
    """Return a value for a cell: three significant digits and more are enough for any time."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return str(value)


def _writable(text: str) -> Path:
    path = Path(text)
    place = path if path.exists() else path.parent
    if path.is_dir() or not place.exists() or not os.access(place, os.W_OK):
        raise argparse.ArgumentTypeError(f"expected a file that can be written, {text} is none")
    return path
