"""The command: `python tools/faultproxy --peer HOST:PORT --schedule FILE`. Exit status 0, or 2 for bad input.

It runs until SIGTERM or Ctrl-C, then reports what it did.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tools.faultproxy.faults import DESCRIBED, FAULTS, InputError
from tools.faultproxy.proxy import Proxy
from tools.faultproxy.schedule import (
    RANDOM,
    Step,
    draw_schedule,
    parse_schedule,
    read_schedule,
    write_schedule,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the proxy that the arguments describe."""
    arguments = _parser().parse_args(argv)
    try:
        steps = _steps(arguments)
        if arguments.write_schedule:
            write_schedule(arguments.write_schedule, steps)
        report = asyncio.run(_run(arguments, steps))
        if arguments.json:
            _write(arguments.json, report)
    except InputError as error:
        print(f"faultproxy: {error}", file=sys.stderr)
        return 2
    return 0


class _Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Defaults are shown, and the schedule keeps its lines."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="faultproxy",
        description="Stands between a Modbus TCP client and its server and breaks the link, on a schedule. "
        f"Faults: {', '.join(FAULTS)}.",
        epilog="A schedule is a YAML list of\n"
        "    - {at_request: 120, do: delay, args: {ms: 40, of: request}}   at the 120th request\n"
        "    - {at_s: 2.5, do: refuse}                                     2.5 s after the first one\n"
        f"What can be done, with the arguments it has without args:\n{DESCRIBED}",
        formatter_class=_Formatter,
    )
    add = parser.add_argument
    add("--peer", required=True, metavar="HOST:PORT", help="the Modbus TCP server")
    add("--host", default="127.0.0.1", help="address to listen at")
    add("--port", type=int, default=5021, help="port to listen at; 0 takes a free one")
    add("--schedule", metavar="FILE|random:SEED", help="what goes wrong when; see below")
    add("--requests", type=int, default=100_000, help="random:SEED draws faults for so many requests")
    add(
        "--every",
        type=int,
        default=200,
        help="random:SEED draws one fault every so many requests, on average",
    )
    add(
        "--write-schedule", type=Path, metavar="FILE", help="write the schedule out, to be run again as it is"
    )
    add("--json", type=Path, metavar="FILE", help="write the report there when it ends")
    add("--live", action="store_true", help="tell each event as one JSON line")
    add(
        "--commands",
        action="store_true",
        help='read faults from the standard input as well, a JSON line each: {"do": "delay", "args": {"ms": 40}} '
        "strikes the next request that it fits",
    )
    return parser


def _steps(arguments: argparse.Namespace) -> list[Step]:
    schedule = arguments.schedule
    if schedule is None:
        return []
    if not schedule.startswith(RANDOM):
        return read_schedule(Path(schedule))
    seed = schedule.removeprefix(RANDOM)
    if not seed.isdecimal():
        raise InputError(f"expected --schedule random:SEED with a whole number, got: {schedule}")
    if arguments.every < 1 or arguments.requests < 1:
        raise InputError(
            f"expected --requests and --every from 1, got: {arguments.requests} and {arguments.every}"
        )
    return draw_schedule(int(seed), requests=arguments.requests, every=arguments.every)


def _peer(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InputError(f"expected --peer HOST:PORT, got: {text}")
    return host.strip("[]"), int(port)


async def _run(arguments: argparse.Namespace, steps: list[Step]) -> dict[str, Any]:
    tell = _tell_json if arguments.live else _tell_person
    proxy = Proxy(_peer(arguments.peer), steps, host=arguments.host, port=arguments.port, tell=tell)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, proxy.ended.set)
    await proxy.start()
    tell("listening", host=proxy.host, port=proxy.port, peer=arguments.peer, faults=len(steps))
    commands = asyncio.create_task(_obey(proxy, tell)) if arguments.commands else None
    try:
        await proxy.ended.wait()
    finally:
        if commands is not None:
            commands.cancel()
        await proxy.stop()
    if proxy.failure is not None:
        raise proxy.failure
    report = proxy.report()
    tell("result", **report)
    return report


async def _obey(proxy: Proxy, tell: Callable[..., None]) -> None:
    """Take faults from the standard input, one JSON object a line, until it is closed; a wrong one is told and left out."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        try:
            [step] = parse_schedule([{"at_s": 0, **json.loads(line)}], "command")
        except (ValueError, TypeError, InputError) as error:
            tell("refused", why=str(error))
            continue
        proxy.script.waiting.append(step)


def _tell_json(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


def _tell_person(event: str, **fields: Any) -> None:
    said = ", ".join(f"{name} {value}" for name, value in fields.items() if not isinstance(value, list))
    print(f"{event}: {said}", flush=True)


def _write(path: Path, report: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: expected a place to write the report, got: {error.strerror}") from error
