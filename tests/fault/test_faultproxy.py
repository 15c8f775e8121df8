"""Each fault of the link, between our own PLC client and pymodbus' server: its effect, and nothing beside it.

The peer is linesim's PLC, whose observer hears every write: so it is known what reached the PLC, and how often.
"""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from inspector.clock import SystemClock
from inspector.config.schema import PlcConfig
from inspector.errors import PlcError, PlcTimeoutError
from inspector.part import Outcome, Reason, Verdict
from inspector.plc.client import PlcConnection
from inspector.plc.link import PlcLink
from inspector.plc.registers import Control, Flag, RegisterMap, State, Status
from tools.faultproxy.faults import FAULTS
from tools.faultproxy.proxy import Proxy
from tools.faultproxy.schedule import draw_schedule, parse_schedule
from tools.linesim.plc import Plc

FAULTPROXY = Path(__file__).parents[2] / "tools" / "faultproxy"
SLOT = [7, Outcome.PASS, 0, 500, 123, 1, 0, 7]
SHORT_MS = 250.0  # a time-out that a test waits for
PATIENT_MS = 5000.0  # one that it does not
WITHIN_S = 20.0


class Bench:
    """PLC and proxy on one event loop in a thread of its own."""

    def __init__(self) -> None:
        self.plc = Plc(RegisterMap(), "127.0.0.1", 0)
        self.plc.observer = self
        self.writes: list[tuple[int, ...]] = []
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="bench")
        self._thread.start()
        self._do(self.plc.power_on())
        self.proxy = Proxy(("127.0.0.1", self.plc.port))

    def fault(self, do: str | None = None, *, at_request: int = 1, **args: Any) -> None:
        """Start the proxy with one fault."""
        self.script([] if do is None else [{"at_request": at_request, "do": do, "args": args}])

    def script(self, entries: Sequence[object]) -> None:
        """Start the proxy with a schedule."""
        self.proxy = Proxy(("127.0.0.1", self.plc.port), parse_schedule(entries, "test"))
        self._do(self.proxy.start())

    def connect(self, timeout_ms: float = PATIENT_MS) -> PlcConnection:
        """Connect our client through the proxy."""
        return PlcConnection(
            "127.0.0.1", self.proxy.port, unit_id=1, timeout_ms=timeout_ms, register_map=RegisterMap()
        )

    def set_control(self, control: Control) -> None:
        """Have the PLC's program write its control block."""

        async def write() -> None:
            self.plc.set_control(control)

        self._do(write())

    def settle(self) -> None:
        """Wait until whatever was sent has arrived: every connection has ended, and the PLC has served what came of it."""

        async def ended() -> None:
            while self.proxy._connections or self.plc.connected:  # noqa: ASYNC110  (pymodbus has no event)
                await asyncio.sleep(0.002)

        self._do(ended())
        past = PlcConnection(
            "127.0.0.1", self.plc.port, unit_id=1, timeout_ms=PATIENT_MS, register_map=RegisterMap()
        )
        past.read_control()
        past.close()

    def close(self) -> None:
        """Stop both."""
        self._do(self.proxy.stop())
        self._do(self.plc.power_off())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(WITHIN_S)
        self.loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        future: Future[None] = asyncio.run_coroutine_threadsafe(work, self.loop)
        future.result(WITHIN_S)

    # -- the PLC's observer -----------------------------------------------------------------------

    def before_write(self, t_ns: int) -> None:
        """Not needed."""

    def slot_written(self, slot: int, words: Sequence[int], t_ns: int) -> None:
        """Keep it."""
        self.writes.append(tuple(words))

    def link_lost(self) -> None:
        """Not needed."""

    def count_read_again(self, part_count: int) -> None:
        """Not needed."""


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


# -- one connection -------------------------------------------------------------------------------


def test_without_faults_nothing_stands_between(bench: Bench) -> None:
    bench.fault()
    bench.set_control(Control(enable=True, part_count=7))
    connection = bench.connect()
    assert connection.read_control() == Control(enable=True, part_count=7)
    connection.write_slot(7, SLOT)
    connection.close()
    bench.settle()
    assert bench.writes == [tuple(SLOT)]
    report = bench.proxy.report()
    assert (report["connections"], report["requests"], report["replies"]) == (1, 2, 2)
    assert (report["faults"], report["waiting"]) == ({}, [])


@pytest.mark.parametrize(
    ("do", "args", "writes"),
    [
        ("delay", {"ms": 20, "of": "request"}, 2),
        ("delay", {"ms": 20, "of": "reply"}, 2),
        ("slow_drip", {"ms": 1}, 2),
        ("stale_reply", {"id": "new"}, 2),
        ("duplicate_write", {}, 3),
    ],
)
def test_faults_within_the_time_out(bench: Bench, do: str, args: dict[str, Any], writes: int) -> None:
    """Late, slow, doubled and repeated answers to a write are answers."""
    bench.fault(do, at_request=2, **args)
    connection = bench.connect()
    connection.write_slot(7, SLOT)
    connection.write_slot(7, SLOT)
    connection.read_control()
    connection.close()
    bench.settle()
    assert bench.writes == [tuple(SLOT)] * writes
    assert bench.proxy.counts["requests"] == 3
    assert bench.proxy.report()["struck"] == [{"at_request": 2, "do": do, "args": args}]


@pytest.mark.parametrize(
    ("do", "args", "error", "writes"),
    [
        ("delay", {"ms": 4 * SHORT_MS, "of": "reply"}, PlcTimeoutError, 1),
        (
            "delay",
            {"ms": 2 * SHORT_MS, "of": "request"},
            PlcTimeoutError,
            1,
        ),  # it comes when nobody waits any more
        ("black_hole", {}, PlcTimeoutError, 0),
        ("black_hole", {"of": "reply"}, PlcTimeoutError, 1),
        ("half_reply", {}, PlcTimeoutError, 1),
        ("half_reply", {"keep_bytes": 11}, PlcTimeoutError, 1),
        ("half_reply", {"then": "close"}, PlcError, 1),
        ("half_reply", {"keep_bytes": 0, "then": "close"}, PlcError, 1),
        ("reset", {}, PlcError, 0),
        ("reset", {"of": "reply"}, PlcError, 1),
        ("wrong_id", {"by": 1}, PlcTimeoutError, 1),
        ("exception", {"code": 4}, PlcError, 0),
        ("exception", {"code": 6}, PlcError, 0),
        ("slow_drip", {"ms": SHORT_MS}, PlcTimeoutError, 1),
        ("refuse", {"ms": 60_000}, PlcError, 0),
    ],
)
def test_faults_that_end_the_connection(
    bench: Bench, do: str, args: dict[str, Any], error: type[PlcError], writes: int
) -> None:
    """The client gives up with one error, never writes a second time by itself, and is of no use afterwards."""
    bench.fault(do, **args)
    connection = bench.connect(SHORT_MS if error is PlcTimeoutError else PATIENT_MS)
    with pytest.raises(error) as raised:
        connection.write_slot(7, SLOT)
    assert type(raised.value) is error
    assert "\n" not in str(raised.value)
    with pytest.raises(PlcError, match="the connection is closed"):
        connection.write_slot(7, SLOT)
    bench.settle()
    assert bench.writes == [tuple(SLOT)] * writes
    assert bench.proxy.counts["requests"] == 1
    assert [entry["do"] for entry in bench.proxy.struck] == [do]


def test_a_repeated_answer_with_its_old_id_is_not_taken(bench: Bench) -> None:
    bench.script([{"at_request": 2, "do": "stale_reply", "args": {"id": "old"}}])
    connection = bench.connect(SHORT_MS)
    connection.read_control()
    with pytest.raises(PlcTimeoutError):
        connection.read_control()


def test_a_repeated_answer_with_the_new_id_cannot_be_told_from_a_true_one(bench: Bench) -> None:
    """The client believes it: so that is what heartbeats and part counts are for."""
    bench.script([{"at_request": 1, "do": "stale_reply", "args": {"id": "new"}}])
    bench.set_control(Control(part_count=7, plc_heartbeat=1))
    connection = bench.connect()
    connection.read_control()
    bench.set_control(Control(part_count=8, plc_heartbeat=2))
    assert connection.read_control() == Control(part_count=7, plc_heartbeat=1)
    assert connection.read_control() == Control(part_count=8, plc_heartbeat=2)
    connection.close()
    assert [entry["at_request"] for entry in bench.proxy.struck] == [2]  # the first had nothing to repeat


def test_a_duplicate_waits_for_a_write(bench: Bench) -> None:
    bench.fault("duplicate_write")
    connection = bench.connect()
    connection.read_control()
    connection.write_slot(7, SLOT)
    connection.close()
    bench.settle()
    assert bench.writes == [tuple(SLOT)] * 2
    assert [entry["at_request"] for entry in bench.proxy.struck] == [2]


def test_an_exception_is_named(bench: Bench) -> None:
    bench.fault("exception", code=2)
    connection = bench.connect()
    with pytest.raises(PlcError, match=r"Modbus exception 2 \(illegal data address\)"):
        connection.write_slot(7, SLOT)


def test_a_black_hole_swallows_every_connection_and_then_ends(bench: Bench) -> None:
    bench.fault("black_hole", ms=4 * SHORT_MS)
    connection = bench.connect(SHORT_MS)
    with pytest.raises(PlcTimeoutError):
        connection.write_slot(7, SLOT)
    other = bench.connect(SHORT_MS)
    with pytest.raises(PlcTimeoutError):
        other.write_slot(7, SLOT)
    until(lambda: try_to_write(bench))
    bench.settle()
    assert bench.writes == [tuple(SLOT)]
    assert bench.proxy.counts["swallowed"] >= 2


def test_refused_connections_are_taken_again(bench: Bench) -> None:
    bench.fault("refuse", ms=2 * SHORT_MS)
    bystander, connection = bench.connect(), bench.connect()
    with pytest.raises(PlcError):
        connection.read_control()
    with pytest.raises(PlcError):
        bystander.read_control()
    with pytest.raises(PlcError, match="no connection"):
        bench.connect()
    until(lambda: try_to_write(bench))


def test_a_peer_that_is_not_there_closes_the_connection(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = taken.getsockname()[1]
    bench.proxy = Proxy(("127.0.0.1", nobody))
    asyncio.run_coroutine_threadsafe(bench.proxy.start(), bench.loop).result(WITHIN_S)
    connection = bench.connect()
    with pytest.raises(PlcError):
        connection.read_control()
    assert bench.proxy.counts["peer_unreachable"] == 1


def until(done: Callable[[], bool]) -> None:
    """Try again until it is done, a hundred times at most; each try waits for its own answer."""
    assert any(done() for _ in range(100))


def try_to_write(bench: Bench) -> bool:
    """Return whether a write on a new connection is acknowledged."""
    try:
        connection = bench.connect(SHORT_MS / 3)
        connection.write_slot(7, SLOT)
    except PlcError:
        threading.Event().wait(0.02)  # a refused connection is told at once
        return False
    connection.close()
    return True


# -- the link, which reconnects -------------------------------------------------------------------


class Desk:
    """The station's side of the link: hands out the verdict of the next part once the one before is acknowledged."""

    def __init__(self, parts: int) -> None:
        self.parts = parts
        self.done = threading.Event()
        self.lost = 0
        self._clock = SystemClock()
        self._next = 1
        self._open = False

    def on_control(self, control: Control, **_times: Any) -> None:
        """Not needed."""

    def on_link_up(self) -> None:
        """Not needed."""

    def on_link_down(self, why: str) -> None:
        """Count it."""
        self.lost += 1

    def on_tick(self) -> None:
        """Not needed."""

    def next_expiry_ns(self) -> int | None:
        """Come again soon: there is always something to do."""
        return self._clock.now_ns() + 1_000_000

    def take_verdicts(self) -> list[Verdict]:
        """Return the next."""
        if self._open or self._next > self.parts:
            return []
        self._open = True
        now = self._clock.now_ns()
        return [
            Verdict(self._next, Outcome.PASS, Reason.NONE, now, now + 3600 * 10**9, now, relative_score=0.5)
        ]

    def on_written(self, verdict: Verdict, t_written_ns: int | None) -> None:
        """Open the next part."""
        assert t_written_ns is not None
        self._open = False
        self._next += 1
        if self._next > self.parts:
            self.done.set()

    def status(self, heartbeat: int) -> Status:
        """Return some status."""
        return Status(heartbeat, State.ONLINE, 0, 1, 0, 0, 0, 0)

    def recipe(self) -> tuple[int, Flag]:
        """Return some recipe."""
        return 1, Flag(0)


def carry(bench: Bench, parts: int) -> Desk:
    """Run a link through the proxy until the PLC has acknowledged so many verdicts."""
    desk = Desk(parts)
    config = PlcConfig(port=bench.proxy.port, reconnect_first_ms=5, reconnect_max_ms=20, poll_ms=2)
    link = PlcLink(config, 30.0, desk, SystemClock())
    link.start()
    try:
        assert desk.done.wait(WITHIN_S), bench.proxy.report()
    finally:
        link.stop(5.0)
    bench.settle()
    return desk


def test_the_link_carries_every_verdict_through_every_fault(bench: Bench) -> None:
    """Once each where nothing is in doubt, again where it is; in order, always the same words, and nothing of another part."""
    parts = 60
    entries = [
        {"at_request": 8 * (n + 1), "do": do, "args": {"ms": 45} if "ms" in args else {}}
        for n, (do, args) in enumerate((name, vars(kind())) for name, kind in FAULTS.items())
    ]
    bench.script(entries)
    desk = carry(bench, parts)
    report = bench.proxy.report()
    assert report["faults"] == dict.fromkeys(sorted(FAULTS), 1)
    assert report["waiting"] == []
    assert desk.lost >= 5
    ids = [words[0] for words in bench.writes]
    assert ids == sorted(ids)
    assert set(ids) == set(range(1, parts + 1))
    assert len(set(bench.writes)) == parts


def test_a_drawn_schedule_strikes_alike_each_time(bench: Bench) -> None:
    """The same calls meet the same faults, with the same outcome for the caller and the same writes in the PLC."""
    drawn = [step.entry() for step in draw_schedule(8, requests=50, every=4)]
    entries = [entry for entry in drawn if "ms" not in entry["args"]]  # what lasts hits more or fewer calls
    first = outcomes(bench, entries, calls=50)
    struck = bench.proxy.report()["struck"]
    assert {entry["do"] for entry in struck} == {
        "reset",
        "wrong_id",
        "exception",
        "half_reply",
        "stale_reply",
        "duplicate_write",
    }
    assert outcomes(bench, entries, calls=50) == first
    assert bench.proxy.report()["struck"] == struck
    assert outcomes(bench, struck, calls=50) == first


def outcomes(bench: Bench, entries: Sequence[object], calls: int) -> tuple[list[str], list[tuple[int, ...]]]:
    """Return what became of so many calls under a schedule, and what the PLC saw of them."""
    bench.writes.clear()
    bench.script(entries)
    said = []
    connection = bench.connect(SHORT_MS)
    for n in range(1, calls + 1):
        try:
            if n % 2:
                connection.write_slot(n, [n, *SLOT[1:7], n])
            else:
                connection.read_control()
            said.append("answered")
        except PlcError as error:
            said.append(type(error).__name__)
            connection = bench.connect(SHORT_MS)
    connection.close()
    bench.settle()
    asyncio.run_coroutine_threadsafe(bench.proxy.stop(), bench.loop).result(WITHIN_S)
    return said, list(bench.writes)


# -- the command ----------------------------------------------------------------------------------


def test_the_command_reports_what_it_did(bench: Bench, tmp_path: Path) -> None:
    schedule, written, result = tmp_path / "faults.yaml", tmp_path / "again.json", tmp_path / "report.json"
    schedule.write_text("- {at_request: 2, do: exception}\n- {at_request: 9, do: reset}\n")
    argv = ["--peer", f"127.0.0.1:{bench.plc.port}", "--port", "0", "--live", "--schedule", str(schedule)]
    process = subprocess.Popen(
        [sys.executable, str(FAULTPROXY), *argv, "--json", str(result), "--write-schedule", str(written)],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        listening = json.loads(process.stdout.readline())
        bench.proxy.port = listening["port"]
        connection = bench.connect()
        connection.write_slot(7, SLOT)
        with pytest.raises(PlcError):
            connection.write_slot(7, SLOT)
        process.send_signal(signal.SIGTERM)
        events = [json.loads(line) for line in process.stdout]
    assert process.returncode == 0
    struck = {"at_request": 2, "do": "exception", "args": {"code": 4}}
    waiting = {"at_request": 9, "do": "reset", "args": {"of": "request"}}
    assert [event["event"] for event in events] == ["fault", "result"]
    report = json.loads(result.read_text())
    assert (report["requests"], report["struck"], report["waiting"]) == (2, [struck], [waiting])
    assert json.loads(written.read_text()) == [struck, waiting]
