"""The faults of a rehearsal: read from a list, or drawn from a seed, and what each kind of them cost.

What linesim cannot do by itself it only says when its part is due ("say ..."), and the rehearsal does it: it kills processes, and
has the fault proxy strike the link ("link delay ms=40 of=request": a fault of tools/faultproxy with its arguments).
"""

import json
import math
import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.table import Table

from inspector.errors import ServiceError
from inspector.part import Reason
from tools.entries import read_entries
from tools.faultproxy.faults import FAULTS, make_fault
from tools.faultproxy.faults import InputError as LinkFaultError
from tools.faultproxy.schedule import RANDOM, draw_arguments
from tools.linesim.conveyor import InputError
from tools.linesim.faults import EXPECTED, parse_faults
from tools.rehearsal.station import Daemon

KILLS = {"kill camera": Daemon.kill_camera, "kill station": Daemon.kill}
LINK = "link "
SAY = "say "
GAP_PARTS = 12, 37  # from one drawn fault to the next: time to recover, so that its cost is its own
HELD_MS = 50.0  # what linesim's judge allows a call to be on its way

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """What goes wrong at which part. `entries` are linesim's, in the order of the parts."""

    entries: list[Entry]

    @property
    def strikes_link(self) -> bool:
        """Whether a proxy has to stand in the link."""
        return any(entry["do"].startswith(SAY + LINK) for entry in self.entries)

    @property
    def held_ms(self) -> float:
        """How long the link may hold a write: a PASS may come that much later than it was sent."""
        held = [HELD_MS]
        for entry in self.entries:
            if entry["do"].startswith(SAY + LINK):
                do, arguments = link_words(entry["do"].removeprefix(SAY))
                if do == "delay" and arguments.get("of") == "request":
                    held.append(HELD_MS + float(arguments["ms"]))
        return max(held)

    def write(self, folder: Path) -> Path:
        """Write the list that linesim reads; it can be rehearsed again as `--faults FILE`."""
        file = folder / "faults.json"
        file.write_text(
            "[\n" + ",\n".join(json.dumps(entry) for entry in self.entries) + "\n]\n", encoding="utf-8"
        )
        return file


def plan_faults(wanted: str, parts: int) -> FaultPlan:
    """Return the faults of the file `wanted`, or those that "random:SEED" draws for so many parts. Raises ServiceError."""
    if not wanted.startswith(RANDOM):
        return read_faults(Path(wanted), parts)
    seed = wanted.removeprefix(RANDOM)
    if not seed.isdecimal():
        raise ServiceError(f"expected --faults random:SEED with a whole number, got: {wanted}")
    return draw_faults(int(seed), parts)


def read_faults(path: Path, parts: int | None = None) -> FaultPlan:
    """Return the faults that the file lists, for a run of `parts`. Raises ServiceError that names all wrong entries."""
    entries = read_entries(path, "list of faults", ServiceError)
    try:
        faults = parse_faults(entries, str(path), parts, _for_linesim)
    except InputError as error:
        also = f" (here also: {', '.join(KILLS)}, link FAULT)" if EXPECTED in str(error) else ""
        raise ServiceError(f"{error}{also}") from error
    faults.sort(key=lambda fault: fault.at_part)
    return FaultPlan([{"at_part": fault.at_part, "do": fault.text} for fault in faults])


def _for_linesim(do: str) -> str:
    """Return linesim's words for those of an entry. Raises InputError."""
    if do.startswith(LINK):
        _check_link(do)
    return SAY + do if do in KILLS or do.startswith(LINK) else do


def draw_faults(seed: int, parts: int) -> FaultPlan:
    """Return faults of the camera, the link and the PLC, drawn from `seed`: all kinds alike, about one in 25 parts."""
    rng = random.Random(seed)
    entries: list[Entry] = []
    at_part = 0
    while (at_part := at_part + rng.randint(*GAP_PARTS)) <= parts:
        do = rng.choice(list(DRAWN))
        entries += [{"at_part": at_part, "do": words} for words in DRAWN[do](rng)]
    return FaultPlan(entries)


def _link(kind: str) -> Callable[[random.Random], list[str]]:
    def draw(rng: random.Random) -> list[str]:
        words = [f"{name}={value}" for name, value in draw_arguments(kind, rng).items()]
        return [" ".join((SAY + LINK + kind, *words))]

    return draw


DRAWN: dict[str, Callable[[random.Random], list[str]]] = {
    "camera lose": lambda rng: [f"camera lose {rng.choice((1, 1, 2, 5))}"],
    "camera incomplete": lambda rng: [f"camera incomplete {rng.choice((1, 1, 3))}"],
    "camera late": lambda rng: [f"camera late {_log_uniform(rng, 5, 400)} {rng.choice((1, 1, 3))}"],
    "camera twice": lambda _: ["camera twice 1"],
    "camera swap": lambda _: ["camera swap 1"],
    "camera pulse": lambda _: ["camera pulse"],  # a trigger too many
    "kill camera": lambda _: [SAY + "kill camera"],
    "kill station": lambda _: [SAY + "kill station"],
    "plc down": lambda rng: [f"plc down {_log_uniform(rng, 20, 1500)}"],
    "plc restart": lambda rng: [f"plc restart {_log_uniform(rng, 20, 1500)}{rng.choice(('', ' keep'))}"],
    **{LINK + kind: _link(kind) for kind in FAULTS},
}


def kind_of(do: str) -> str:
    """Return the kind of fault that the words describe: its first two words."""
    return " ".join(do.removeprefix(SAY).split()[:2])


def link_words(do: str) -> tuple[str, dict[str, Any]]:
    """Return the proxy's name of a link fault and its arguments: "link delay ms=40" is ("delay", {"ms": 40})."""
    name, *pairs = do.removeprefix(LINK).split()
    return name, {key: yaml.safe_load(value) for key, _, value in (pair.partition("=") for pair in pairs)}


def costs(made: Sequence[Entry], outcomes: Sequence[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Return for each kind of fault how often it was made, and the good parts and all parts that were lost to it.

    Lost is a part that was rejected for another reason than its score; it is put down to the last fault before it, or to
    "none" where there was none. `made`: those of linesim's record, as a run may end before all of its list.
    """
    starts = [int(entry["at_part"]) for entry in made]
    table: dict[str, dict[str, int]] = {}
    for entry in made:
        row = table.setdefault(kind_of(entry["do"]), {"times": 0, "good_lost": 0, "parts_lost": 0})
        row["times"] += 1
    for part in outcomes:
        if part["released"] or part["reason"] == Reason.SCORE.name:
            continue
        last = bisect_right(starts, int(part["index"])) - 1
        kind = kind_of(made[last]["do"]) if last >= 0 else "none"
        row = table.setdefault(kind, {"times": 0, "good_lost": 0, "parts_lost": 0})
        row["good_lost"] += part["truth"] == "good"
        row["parts_lost"] += 1
    return dict(sorted(table.items()))


def cost_table(table: dict[str, dict[str, int]]) -> Table:
    """Return the costs as people read them."""
    shown = Table(
        "fault", "times", "good parts lost", "for each", title="What the faults cost", title_justify="left"
    )
    for kind, row in table.items():
        each = f"{row['good_lost'] / row['times']:.1f}" if row["times"] else ""
        name, times = ("lost to no fault", "") if kind == "none" else (kind, str(row["times"]))
        shown.add_row(name, times, str(row["good_lost"]), each)
    return shown


def _check_link(do: str) -> None:
    try:
        name, arguments = link_words(do)
        make_fault(name, arguments, LINK.strip())
    except (ValueError, yaml.YAMLError):
        raise InputError(f"expected link FAULT [NAME=VALUE ...], got: {do}") from None
    except LinkFaultError as error:
        raise InputError(str(error)) from error


def _log_uniform(rng: random.Random, least: float, most: float) -> int:
    return round(math.exp(rng.uniform(math.log(least), math.log(most))))
