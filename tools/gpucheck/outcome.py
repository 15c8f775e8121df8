"""What became of each part of the check, and the two files that tell it."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from inspector.errors import EngineUnavailableError, InspectorError

Status = Literal["ran", "only built", "not run", "failed"]


@dataclass(slots=True)
class Outcome:
    """One part. `only built`: nothing of it ran on a GPU. `why` says what was missing or wrong; `rows` are figures, names with units."""

    part: str
    status: Status = "ran"
    why: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)


def attempt(part: str, work: Callable[[Outcome], None]) -> Outcome:
    """Return what became of `work`, which fills its outcome in. An error is an outcome too, so that the other parts still run.

    What this machine lacks something for (EngineUnavailableError) was not run; anything else that is raised is a failure.
    """
    outcome = Outcome(part)
    try:
        work(outcome)
    except EngineUnavailableError as error:
        outcome.status, outcome.why = "not run", str(error)
    except InspectorError as error:
        outcome.status, outcome.why = "failed", f"{error.code}: {error}"
    except Exception as error:  # noqa: BLE001 - this tool is to find out what goes wrong
        outcome.status, outcome.why = "failed", " ".join(f"{type(error).__name__}: {error}".split())
    return outcome


class Reasons:
    """What was said already: a machine lacks the same thing for many parts, which is said in full once."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}  # a reason, and the part that it was said of

    def short(self, outcome: Outcome) -> str:
        """Return why, with what was said of another part left to that part. What failed is said in full."""
        if outcome.status == "failed":
            return outcome.why
        for reason, part in self._first.items():
            if reason in outcome.why:
                return outcome.why.replace(reason, f"see {part}", 1)
        if outcome.why:
            self._first[outcome.why] = outcome.part
        return outcome.why


def exit_status(outcomes: list[Outcome]) -> int:
    """Return 0 where all ran, 1 where something failed, 3 where nothing failed but something did not run on a GPU."""
    found = {outcome.status for outcome in outcomes}
    if "failed" in found:
        return 1
    return 3 if found & {"only built", "not run"} else 0


def write(
    outcomes: list[Outcome], machine: dict[str, object], folder: Path, inputs: dict[str, object]
) -> tuple[Path, Path]:
    """Write gpu-check.json and gpu-check.md, and return their paths. `inputs`: what a run that is to repeat this one is given."""
    folder.mkdir(parents=True, exist_ok=True)
    as_json, as_text = folder / "gpu-check.json", folder / "gpu-check.md"
    content = {
        "machine": machine,
        "inputs": inputs,
        "parts": [asdict(outcome) for outcome in outcomes],
        "exit_status": exit_status(outcomes),
    }
    as_json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    as_text.write_text(markdown(outcomes, machine, inputs), encoding="utf-8")
    return as_json, as_text


def markdown(outcomes: list[Outcome], machine: dict[str, object], inputs: dict[str, object]) -> str:
    """Return the page: the machine, one line for each part, then a table of each part's figures."""
    lines = ["# GPU check", ""]
    for heading in ("machine", "GPU", "engines"):
        facts = machine.get(heading)
        if isinstance(facts, list):
            lines.append(
                f"{heading}: " + "; ".join(f"{fact['what']} {fact['value']}" for fact in facts) + "  "
            )
    lines.append("inputs: " + "; ".join(f"{name} {value}" for name, value in inputs.items()) + "  ")
    lines += ["", "| part | | |", "| --- | --- | --- |"]
    told = Reasons()
    lines += [f"| {each.part} | **{each.status}** | {told.short(each)} |" for each in outcomes]
    for each in outcomes:
        if each.rows:
            columns = list(dict.fromkeys(name for row in each.rows for name in row))
            lines += [
                "",
                f"## {each.part}",
                "",
                "| " + " | ".join(columns) + " |",
                "| --- " * len(columns) + "|",
            ]
            lines += ["| " + " | ".join(_text(row.get(name)) for name in columns) + " |" for row in each.rows]
    return "\n".join(lines) + "\n"


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
