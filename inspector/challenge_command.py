"""`inspector challenge CONFIG`: have the running station judge known parts, and say how they came out."""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from inspector.clock import NS_PER_S, SystemClock
from inspector.config.argument import add_config
from inspector.config.loading import LoadedConfig, load
from inspector.errors import NotRunningError, ServiceError
from inspector.requests import socket_path
from inspector.service.local_socket import Caller, Message

EXIT_PASSED = 0
EXIT_FAILED = 1
DEFAULT_TIMEOUT_S = 300.0


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `challenge`."""
    parser = subparsers.add_parser(
        "challenge",
        help="have the running station judge known good and bad parts",
        description="The next parts that the PLC counts are taken for those of `challenge.sequence`: let the line run empty, wait for "
        "`begun`, then put known parts on it, in that order. The bad ones are rejected in any case. A challenge that fails is a "
        "fault, and stops the line where stops.failed_challenge is set, until the PLC's clear_fault. "
        "Exit status 0: each came out as it must; 1: not, or it ended before.",
    )
    add_config(parser)
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=DEFAULT_TIMEOUT_S,
        metavar="S",
        help="wait so long at most (default: 300)",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the outcome here, as one JSON object"
    )
    parser.set_defaults(run=challenge)


def challenge(args: argparse.Namespace) -> int:
    """Run one challenge to its end; return the exit status. Raises NotRunningError, ServiceError."""
    loaded: LoadedConfig = load(args.config, check_files=False)
    console = Console()
    with Caller(socket_path(loaded)) as caller:
        caller.send({"do": "challenge"})
        outcome = _follow(caller, args.timeout, loaded.config.challenge.sequence, console)
    outcome = {"station": loaded.config.station.name, **outcome}
    if args.json:
        _write(args.json, outcome)
    _show(outcome, console)
    return EXIT_PASSED if outcome["result"] == "passed" else EXIT_FAILED


def _follow(caller: Caller, timeout_s: float, sequence: Sequence[str], console: Console) -> Message:
    """Say what happens until the challenge is over; return its outcome."""
    clock = SystemClock()
    t_end_ns = clock.now_ns() + round(timeout_s * NS_PER_S)
    while (message := caller.receive(max((t_end_ns - clock.now_ns()) / NS_PER_S, 0.001))) is not None:
        said = message.pop("said")
        if said == "over":
            return message
        if said == "refused":
            raise ServiceError(f"the station refused: {message['why']}")
        if said == "waiting":
            console.print(f"waiting: the station is {message['why']}", soft_wrap=True)
        elif said == "begun":
            console.print(
                f"begun: the next {len(sequence)} parts counted must be, in this order: {', '.join(sequence)}; put them on the line",
                soft_wrap=True,
            )
        elif said == "part":
            console.print(f"part {message['part_id']}: expected {message['expected']}, {_came(message)}")
    raise NotRunningError(
        f"the challenge was not over within {timeout_s:g} s, and has ended; is the PLC up, and did the parts come?"
    )


def _show(outcome: Message, console: Console) -> None:
    table = Table(title=f"Challenge of {outcome['station']}", title_justify="left")
    for name in ("part", "expected", "came out", "relative score", ""):
        table.add_column(name)
    for part in outcome["parts"]:
        score = part["relative_score"]
        table.add_row(
            str(part["part_id"]),
            part["expected"],
            _came(part),
            "" if score is None else f"{score:.3f}",
            "right" if part["right"] else "[red]WRONG[/red]",
        )
    console.print(table)
    style = "bold green" if outcome["result"] == "passed" else "bold red"
    why = f": {outcome['why']}" if outcome["why"] else ""
    console.print(f"{outcome['result'].upper()}{why}", style=style, highlight=False, soft_wrap=True)
    if outcome["result"] == "failed":
        console.print(
            "This is latched (LIN-007) until the PLC's clear_fault rises; see stops.failed_challenge.",
            soft_wrap=True,
        )


def _came(part: Message) -> str:
    return "PASS" if part["outcome"] == "PASS" else f"REJECT ({part['reason']})"


def _write(path: Path, outcome: Message) -> None:
    try:
        path.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"{path}: expected a file that can be written, but: {error.strerror}\n")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"expected seconds above zero, got {text}")
    return value
