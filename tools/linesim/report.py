"""What a run says at the end: one JSON object for scripts, one table for people, one JSON line for each part."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console
from rich.table import Table

from inspector.plc.registers import State
from tools.linesim.conveyor import InputError
from tools.linesim.judge import Judge, Part
from tools.linesim.line import Line

NS_PER_MS = 1e6


def percentile_ms(values_ns: Sequence[int], share: float) -> float | None:
    """Return the least value that at least `share` of all do not exceed, in milliseconds; None of nothing.

    By nearest rank, so that the figure is one that was measured.
    """
    if not values_ns:
        return None
    rank = math.ceil(share * len(values_ns))
    return round(sorted(values_ns)[max(rank, 1) - 1] / NS_PER_MS, 3)


def spread_ms(values_ns: Sequence[int]) -> dict[str, float | None]:
    """Return p50, p99 and max in milliseconds."""
    return {
        name: percentile_ms(values_ns, share) for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    }


def result(line: Line, judge: Judge) -> dict[str, Any]:
    """Return the machine-readable result of a line that has run. The first keys are those of `tools/rehearse`."""
    tally = judge.tally
    return {
        "parts": tally.parts,
        "good": tally.good,
        "bad": tally.bad,
        "released_bad": tally.released_bad,
        "rejected_good": tally.rejected_good,
        "rejects": dict(sorted(tally.rejects.items())),
        "wrong_releases": tally.wrong_releases,
        "unaccounted": tally.unaccounted,
        "double": tally.double,
        "late": tally.late,
        "trigger_to_slot_ms": spread_ms(judge.latencies_ns),
        "released": tally.released,
        "rejected_good_by_score": tally.rejected_good_by_score,
        "foreign": tally.foreign,
        "late_passes": tally.late_passes,
        "mixed_up": tally.mixed_up,
        "repeats": tally.repeats,
        "old_answers": tally.old_answers,
        "link_lost": tally.link_lost,
        "gone_with_plc": tally.gone_with_plc,
        "challenge_parts": tally.challenge_parts,
        "challenge_escapes": tally.challenge_escapes,
        "line_stops": line.operator.stops,
        "challenge_due": State.CHALLENGE_DUE in line.plc.status().state,
        "faults_made": line.made,
        "wrong_recipe": tally.wrong_recipe,
        "recipe_changes": line.products.changes,
        "uncounted": line.uncounted,
        "lost_pulses": line.camera.failures,
        "own_lag_ms": spread_ms(line.lags_ns),
        "broken_promises": judge.broken_promises() + line.problems,
    }


def show(result: dict[str, Any], console: Console) -> None:
    """Print the result for people."""
    console.print(summary(result))
    for line in result["broken_promises"]:
        console.print(f"BROKEN  {line}", style="bold red", highlight=False)
    if not result["broken_promises"]:
        console.print("I1 to I5 hold.", style="bold green")


def summary(result: dict[str, Any]) -> Table:
    """Return the table of a result."""
    table = Table(title="The line", show_header=False, title_justify="left")
    reasons = ", ".join(f"{name} {n}" for name, n in result["rejects"].items()) or "none"
    rows = {
        "parts": f"{result['parts']}  ({result['good']} good, {result['bad']} bad)",
        "released": f"{result['released']}  (escapes: {result['released_bad']} bad ones)",
        "rejected": f"{sum(result['rejects'].values())}  ({reasons})",
        "false rejects": f"{result['rejected_good']} good ones, {result['rejected_good_by_score']} of them by score",
        "late": str(result["late"]),
        "trigger to slot": _spread(result["trigger_to_slot_ms"]),
        "this process late by": _spread(result["own_lag_ms"]),
    }
    for change in result["recipe_changes"]:
        ready_ms = change["ready_ms"]
        rows[f"recipe {change['recipe']}"] = (
            "refused" if ready_ms is None else f"ready after {ready_ms:.1f} ms"
        )
    if result["line_stops"]:
        rows["line stops"] = str(result["line_stops"])
    if result["challenge_due"]:
        rows["challenge"] = "due"
    if result["challenge_parts"]:
        rows["parts of challenges"] = str(result["challenge_parts"])
    if result["uncounted"]:
        rows["passed a dead PLC"] = str(result["uncounted"])
    for name, text in rows.items():
        table.add_row(name, text)
    return table


def _spread(spread: dict[str, float | None]) -> str:
    if spread["p50"] is None:
        return "no verdicts"
    return "  ".join(f"{name} {value:.2f}" for name, value in spread.items() if value is not None) + "  ms"


def write_json(path: Path, result: dict[str, Any]) -> None:
    """Write the result as one object."""
    try:
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: expected a file that can be written, got: {error.strerror}") from error


class PartLog:
    """JSON lines, one for each part when its slot has passed on. A context manager; no path means no log."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        if self._path is not None:
            try:
                self._file = self._path.open("w", encoding="utf-8")
            except OSError as error:
                raise InputError(
                    f"{self._path}: expected a file that can be written, got: {error.strerror}"
                ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, part: Part) -> None:
        """Write one part."""
        if self._file is None:
            return
        entry = {
            "index": part.index,
            "part_id": part.part_id,
            "image": part.image,
            "truth": "good" if part.good else "bad",
            "t_trigger_ns": part.t_trigger_ns,
            "t_deadline_ns": part.deadline_ns,
            "t_slot_ns": part.t_slot_ns,
            "words": part.words,
            "released": part.released,
            "reason": part.reason,
            "link_lost": part.link_lost,
            "double": part.double,
            "mixed_up": part.mixed_up,
            "challenge": part.challenge,
        }
        self._file.write(json.dumps(entry, separators=(",", ":")) + "\n")
