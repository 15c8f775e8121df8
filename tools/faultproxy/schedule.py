"""The schedule: what goes wrong at which request or second. Read from a file, or drawn from a seed.

A YAML (or JSON) list of entries such as

    - {at_request: 120, do: delay, args: {ms: 40, of: request}}
    - {at_s: 2.5, do: refuse}

`at_request` counts the requests of all connections from 1 (those swallowed after another fault do not count), `at_s` the
seconds from the first request. An entry strikes the first request from then on that it fits, and each request is struck by one entry at most: what is due together follows
one request after the other. Without `args` a fault takes its defaults; see faults.py.
"""

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.entries import read_entries
from tools.faultproxy.faults import FAULTS, WAYS, Fault, InputError, make_fault

RANDOM = "random:"


@dataclass(frozen=True, slots=True)
class Step:
    """One entry. Just one of `at_request` and `at_s` is set."""

    at_request: int | None
    at_s: float | None
    do: str
    args: dict[str, Any]

    def is_due(self, request: int, t_s: float) -> bool:
        """Return whether it may strike request number `request`, that comes `t_s` after the first."""
        if self.at_request is not None:
            return request >= self.at_request
        return self.at_s is not None and t_s >= self.at_s

    def fault(self) -> Fault:
        """Return a new occurrence of the fault."""
        return make_fault(self.do, self.args, "schedule")

    def entry(self) -> dict[str, Any]:
        """Return the entry as a schedule holds it, with every argument written out."""
        at = {"at_s": self.at_s} if self.at_request is None else {"at_request": self.at_request}
        return {**at, "do": self.do, "args": self.fault().arguments()}


class Script:
    """The steps of a run that have not struck yet, in the order of the schedule."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.waiting = list(steps)

    def take(self, request: int, t_s: float, fits: Callable[[Fault], bool]) -> tuple[Step | None, Fault]:
        """Return the step that strikes this request and its fault; without one, the fault that does nothing."""
        for n, step in enumerate(self.waiting):
            if step.is_due(request, t_s) and fits(fault := step.fault()):
                del self.waiting[n]
                return step, fault
        return None, Fault()


def parse_schedule(entries: object, source: str) -> list[Step]:
    """Return the steps of a list read from `source`. Raises InputError that names the entry that is wrong."""
    if not isinstance(entries, list):
        raise InputError(
            f"{source}: expected a list of {{at_request: N, do: ...}}, got {type(entries).__name__}"
        )
    return [_parse(entry, f"{source}: entry {number}") for number, entry in enumerate(entries, 1)]


def read_schedule(path: Path) -> list[Step]:
    """Return the steps of the file `path`. Raises InputError."""
    return parse_schedule(read_entries(path, "schedule", InputError), str(path))


def write_schedule(path: Path, steps: Sequence[Step]) -> None:
    """Write the steps, one a line, as JSON (which YAML readers take too). Raises InputError where it cannot be written."""
    text = "[\n" + ",\n".join(json.dumps(step.entry()) for step in steps) + "\n]\n"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: expected a place to write the schedule, got: {error.strerror}") from error


def draw_schedule(seed: int, *, requests: int, every: int) -> list[Step]:
    """Return a schedule for `requests` requests, drawn from `seed`: on average one fault `every` so many, all kinds alike."""
    rng = random.Random(seed)
    steps = []
    at = 0
    while (at := at + rng.randint(1, 2 * every - 1)) <= requests:
        do = rng.choice(list(FAULTS))
        steps.append(Step(at, None, do, draw_arguments(do, rng)))
    return steps


def draw_arguments(do: str, rng: random.Random) -> dict[str, Any]:
    """Return arguments of a fault on both sides of what a client waits: time-outs are tens to hundreds of milliseconds."""
    match do:
        case "delay":
            return {"ms": _log_uniform(rng, 1, 1000), "of": rng.choice(WAYS)}
        case "black_hole":
            return {"ms": _log_uniform(rng, 1, 3000), "of": rng.choice(WAYS)}
        case "half_reply":
            return {"keep_bytes": rng.randint(0, 11), "then": rng.choice(("silence", "close"))}
        case "reset":
            return {"of": rng.choice(WAYS)}
        case "wrong_id":
            return {"by": rng.choice((1, 65535, rng.randint(2, 65534)))}
        case "exception":
            return {"code": rng.choice((1, 2, 3, 4, 6, 10, 11))}
        case "stale_reply":
            return {"id": rng.choice(("old", "new"))}
        case "slow_drip":
            return {"ms": _log_uniform(rng, 0.5, 50)}
        case "refuse":
            return {"ms": _log_uniform(rng, 10, 3000)}
        case _:
            return {}


def _log_uniform(rng: random.Random, least: float, most: float) -> float:
    return round(math.exp(rng.uniform(math.log(least), math.log(most))), 1)


def _parse(entry: object, where: str) -> Step:
    if not isinstance(entry, dict) or not {"do"} < set(entry) <= {"at_request", "at_s", "do", "args"}:
        raise InputError(f"{where}: expected the keys at_request or at_s, do and perhaps args, got: {entry}")
    if ("at_request" in entry) == ("at_s" in entry):
        raise InputError(f"{where}: expected one of at_request and at_s, got: {entry}")
    at_request, at_s = entry.get("at_request"), entry.get("at_s")
    if at_s is None and (not isinstance(at_request, int) or isinstance(at_request, bool) or at_request < 1):
        raise InputError(f"{where}: expected at_request to be a whole number from 1, got: {at_request}")
    if at_request is None and (
        not isinstance(at_s, (int, float)) or isinstance(at_s, bool) or not 0 <= at_s < math.inf
    ):
        raise InputError(f"{where}: expected at_s to be seconds from 0, got: {at_s}")
    arguments = entry.get("args", {})
    make_fault(entry["do"], arguments, where)
    return Step(at_request, None if at_s is None else float(at_s), entry["do"], arguments)
