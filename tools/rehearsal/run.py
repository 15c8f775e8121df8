"""One rehearsal: linesim and the daemon side by side, what linesim tells, and faults that only we can make."""

import json
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Self

from inspector.config.schema import Config, PlcConfig
from inspector.errors import ServiceError
from tools.launch import heeded
from tools.rehearsal.faults import KILLS, SAY, link_words
from tools.rehearsal.station import ROOT, Daemon

READY_S = 120.0  # compiling a model for a GPU takes long, once
HOLD_POLLS = 5  # the simulated PLC drops a coil that was not written for so many of plc.direct.poll_ms
LINGER_S = 20.0  # the station stops before its PLC goes
Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LinePlan:
    """What linesim is told; None leaves its default."""

    truth: Path
    camera: Path
    parts: int | None
    rate_hz: float
    budget_ms: float
    seed: int
    faults: Path | None
    held_ms: float | None = None


def _side_of_the_plc(plc: PlcConfig) -> dict[str, object]:
    """Return the options for the side that the station is not. A station that is the server gets a port that is free now."""
    direct = plc.direct
    if plc.role == "client" and direct.coil is not None and direct.delay_ms and direct.width_ms:
        gate = {"--gate-coil": direct.coil, "--gate-ms": direct.delay_ms + direct.width_ms / 2}
        return {"--port": 0, "--coil-hold-ms": HOLD_POLLS * direct.poll_ms, **gate}
    if plc.role == "client":
        return {"--port": 0}
    return {"--role": "client", "--port": _free_port(), "--unit-id": plc.unit_id}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class Linesim:
    """The process, and what it says, line by line, from a thread that reads it. A context manager."""

    def __init__(self, plan: LinePlan, config: Config, folder: Path) -> None:
        self._folder = folder
        self._events: queue.Queue[Event | None] = queue.Queue()
        registers = config.plc.registers
        options: dict[str, object] = {
            "--images": plan.truth, "--camera": plan.camera, "--rate": plan.rate_hz,
            "--budget-ms": plan.budget_ms, "--seed": plan.seed, "--ready-timeout": READY_S, "--linger": LINGER_S,
            "--json": folder / "line.json", "--record": folder / "parts.jsonl",
            "--results-address": registers.results_address, "--status-address": registers.status_address,
            "--control-address": registers.control_address, "--slots": registers.slots,
            "--word-order": registers.word_order, "--challenge": ",".join(config.challenge.sequence),
        } | _side_of_the_plc(config.plc)  # fmt: skip
        if plan.parts is not None:
            options["--parts"] = plan.parts
        if plan.faults is not None:
            options["--faults"] = plan.faults
        if plan.held_ms is not None:
            options["--held-ms"] = plan.held_ms
        words = [str(word) for pair in options.items() for word in pair]
        if config.camera.trigger == "software":
            words.append("--software-trigger")
        with (folder / "linesim.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(ROOT / "tools" / "linesim"), "--live", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, name="linesim-reader")
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()

    def next(self, timeout_s: float) -> Event | None:
        """Return what it said next; {} if nothing came in time, None after its last word."""
        try:
            return self._events.get(timeout=timeout_s)
        except queue.Empty:
            return {}

    def end_in_order(self) -> None:
        """Let no more parts onto the line."""
        self._process.terminate()

    def exit_status(self) -> int:
        """Return the exit status; waits for the end. Raises ServiceError where it did not run."""
        status = self._process.wait()
        if status not in (0, 1):
            words = (self._folder / "linesim.log").read_text(encoding="utf-8", errors="replace").strip()
            raise ServiceError(words.splitlines()[-1] if words else f"linesim ended with status {status}")
        return status

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101  (it was asked for)
        with self._process.stdout as said:
            for line in said:
                self._events.put(json.loads(line))
        self._events.put(None)


class LinkFaults:
    """The fault proxy in the link, which strikes on demand. A context manager."""

    def __init__(self, plc_port: int, folder: Path, *, role: str) -> None:
        """`plc_port`: of the PLC; in the server role, where the PLC looks for the station. `port` is then the station's."""
        peer = plc_port if role == "client" else _free_port()
        own = 0 if role == "client" else plc_port
        command = [
            sys.executable,
            str(ROOT / "tools" / "faultproxy"),
            "--live",
            "--commands",
            "--port",
            str(own),
        ]
        with (folder / "faultproxy.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "--peer", f"127.0.0.1:{peer}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert self._process.stdout is not None  # noqa: S101  (it was asked for)
        first = self._process.stdout.readline()
        if not first:
            raise ServiceError(
                f"expected the fault proxy to listen, it ended: see {folder / 'faultproxy.log'}"
            )
        self.port = int(json.loads(first)["port"]) if role == "client" else peer
        self._drain = threading.Thread(target=self._process.stdout.read, name="faultproxy-reader")
        self._drain.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self._process.kill()
        self._process.wait()
        self._drain.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def strike(self, do: str) -> None:
        """Have the next request that it fits meet this fault ("link delay ms=40")."""
        name, arguments = link_words(do)
        assert self._process.stdin is not None  # noqa: S101  (it was asked for)
        self._process.stdin.write(json.dumps({"do": name, "args": arguments}).encode() + b"\n")
        self._process.stdin.flush()


def run(
    linesim: Linesim,
    start: Callable[[int], Daemon],
    show: Callable[[Event], None],
    link: Callable[[int], LinkFaults] | None = None,
) -> tuple[int, Event, Daemon]:
    """Run to the end; return linesim's exit status, its result, and the daemon (stopped). `start(port)` starts the daemon.

    `link(port)`, where given, puts the fault proxy between the PLC's port and the station.

    SIGTERM, Ctrl-C and a terminal that is closed end the line first, then the station; the second one at once.
    """
    with _signals(linesim.end_in_order), ExitStack() as held:
        first = linesim.next(READY_S)
        if not first:
            linesim.exit_status()
            raise ServiceError("expected linesim to listen, it said nothing")
        proxy = held.enter_context(link(first["port"])) if link is not None else None
        daemon = start(proxy.port if proxy is not None else first["port"])
        try:
            result = _follow(linesim, daemon, proxy, show)
            status = linesim.exit_status()
        finally:
            daemon.stop()
    return status, result, daemon


def _follow(
    linesim: Linesim, daemon: Daemon, proxy: LinkFaults | None, show: Callable[[Event], None]
) -> Event:
    """Show what linesim says until it ends, make the faults that it announces, and start a daemon that died again."""
    result: Event = {}
    ready = False
    words = ""
    while (event := linesim.next(0.2)) is not None:
        if not result and daemon.exit_status() is not None:
            if not ready:
                raise ServiceError(
                    f"expected the station to start, it ended: {daemon.last_words() or 'without a word'}"
                )
            daemon.start()  # as the service manager does
            show({"event": "restarted"})
        if not ready and words != (words := daemon.last_words()):
            show({"event": "said", "words": words})
        match event.get("event"):
            case "ready":
                ready = True
            case "result":
                result = event
                daemon.stop()
                linesim.end_in_order()
            case "fault" if str(event["do"]).startswith(SAY):
                _make(str(event["do"]).removeprefix(SAY), daemon, proxy)
        if event:
            show(event)
    return result


def _make(do: str, daemon: Daemon, proxy: LinkFaults | None) -> None:
    """Make a fault that linesim only announces."""
    if do in KILLS:
        KILLS[do](daemon)
    elif proxy is not None:
        proxy.strike(do)


class _signals:  # noqa: N801  (reads as the statement it is)
    """While open, the first signal to stop calls `first`, the second raises KeyboardInterrupt."""

    def __init__(self, first: Callable[[], None]) -> None:
        self._first = first
        self._before: list[Any] = []
        self._numbers: Sequence[signal.Signals] = heeded()

    def __enter__(self) -> None:
        self._before = [signal.signal(number, self._heard) for number in self._numbers]

    def __exit__(self, *unused: object) -> None:
        for number, handler in zip(self._numbers, self._before, strict=True):
            signal.signal(number, handler)

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        for each in self._numbers:
            signal.signal(each, signal.default_int_handler)
        self._first()
