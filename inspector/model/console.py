"""What commands show and write: progress bars, tables, JSON. rich is imported late: the command line starts without it."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from inspector.clock import NS_PER_S, Clock, SystemClock
from inspector.errors import ModelError

if TYPE_CHECKING:
    from inspector.model.progress import Progress

_EVERY_S = 30  # between two plain lines


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as one JSON object")


def check_json(path: Path | None) -> None:
    """Raise ModelError where --json could not be written: before the work, which may take minutes."""
    if path is None:
        return
    place = path if path.exists() else path.parent
    if path.is_dir() or not place.exists() or not os.access(place, os.W_OK):
        raise ModelError(
            f"{path}: expected a file that the figures can be written to, it is none; choose another --json"
        )


def write_json(path: Path | None, result: dict[str, object]) -> None:
    """Write the figures where --json was given. Raises ModelError."""
    if path is None:
        return
    try:
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ModelError(
            f"{path}: the figures cannot be written, {error.strerror}; choose another --json"
        ) from error


@contextmanager
def progress_bars(plan: Sequence[str] = ()) -> "Iterator[Progress]":
    """Yield a reporter that draws one bar for each stage on stderr; a plain line now and then where that is no terminal.

    `plan`: stages that are known beforehand, which are numbered.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if not console.is_terminal:
        yield PlainProgress(plan, tell)
        return
    columns = (
        TextColumn("{task.description:24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        tasks = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(_numbered(stage, plan), total=total)
            bars.update(tasks[stage], completed=done)

        yield report


class PlainProgress:
    """A reporter that says a line where the last one, or the beginning, is half a minute ago: what is quick leaves no trace in a log."""

    def __init__(self, plan: Sequence[str], say: Callable[[str], None], clock: Clock | None = None) -> None:
        self._plan, self._say, self._clock = plan, say, clock or SystemClock()
        self._last_ns = self._clock.now_ns()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Say how far the stage is, if it is time."""
        now_ns = self._clock.now_ns()
        if now_ns - self._last_ns >= _EVERY_S * NS_PER_S:
            self._last_ns = now_ns
            self._say(f"{_numbered(stage, self._plan)}: {done} of {total}")


def _numbered(stage: str, plan: Sequence[str]) -> str:
    return f"{plan.index(stage) + 1} of {len(plan)}, {stage}" if stage in plan else stage


def tell(line: str) -> None:
    """Say a line on stderr, above the bars where there are some."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def show_table(title: str, rows: Sequence[tuple[str, ...]], warnings: Sequence[str]) -> None:
    """Print rows of a label and one or more values, and the warnings."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # As text: a path may hold what rich takes for its markup.
    table = Table(title=Text(title), title_justify="left", show_header=False)
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)
    show_warnings(warnings)


def show_warnings(warnings: Sequence[str]) -> None:
    """Print warnings, one line each."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for warning in warnings:
        console.print(Text.assemble(("warning:", "yellow"), f" {warning}"))
