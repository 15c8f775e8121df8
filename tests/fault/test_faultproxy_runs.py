"""Many faults one after the other: the link that reconnects, a schedule run again, and the command."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from inspector.clock import SystemClock
from inspector.config.schema import PlcConfig
from inspector.errors import PlcError
from inspector.part import Finding, Outcome, Reason, Verdict
from inspector.plc.link import PlcLink
from inspector.plc.registers import Control, Flag, State, Status
from tests.fault.faultproxy_bench import SHORT_MS, SLOT, WITHIN_S, Bench
from tools.faultproxy.faults import FAULTS
from tools.faultproxy.schedule import draw_schedule

FAULTPROXY = Path(__file__).parents[2] / "tools" / "faultproxy"


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


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

    def on_heartbeat(self, **_changes: Any) -> None:
        """Not needed."""

    def on_foreign_writer(self, **_changes: Any) -> None:
        """Not needed."""

    def on_unconfirmed(self, part_id: int) -> None:
        """Not needed."""

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
            Verdict(
                self._next,
                Outcome.PASS,
                Reason.NONE,
                now,
                now + 3600 * 10**9,
                now,
                finding=Finding(relative_score=0.5),
            )
        ]

    def withdraw(self, verdict: Verdict, reason: Reason) -> Verdict:
        """Never asked for: no part's time runs out."""
        raise AssertionError(f"{reason.name} for part {verdict.part_id}")

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

    def news(self) -> object:
        """Return none."""
        return None

    def flags(self) -> Flag:
        """Return none."""
        return Flag(0)


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
