"""tools/bench/path and tools/bench/rate run a line and say what they saw to scripts. What they measure is for people to judge."""

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from inspector.part import Reason
from tests.support.daemon import ROOT
from tests.support.waiting import wait_for
from tools.bench.machine import Stall
from tools.bench.path import STAGES
from tools.bench.rate import late_parts, slots_for
from tools.bench.stand import Run, Setting
from tools.linesim.conveyor import check_budget, least_spacing_ms
from tools.rehearsal.result import PartOutcome

MS = 1_000_000


def measured(command: str, file: Path, *options: str) -> dict[str, Any]:
    done = subprocess.run(
        [ROOT / "tools" / "bench" / command, "--json", file, *options],
        capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.returncode in (0, 1), "1: a part was late, as on a busy machine"
    written: dict[str, Any] = json.loads(file.read_text())
    assert written["machine"]["cores"] > 0
    return written


def test_the_way_of_a_part_is_measured_by_stage(tmp_path: Path) -> None:
    written = measured(
        "path", tmp_path / "path.json", "--parts", "40", "--turns", "1", "--quiet", "--fifo-only"
    )
    rows = written["rows"]
    assert [row["stage"] for row in rows] == list(STAGES)
    assert {row["neighbour"] for row in rows} == {"nobody"}
    assert all(0 < row["p50_ms"] <= row["max_ms"] for row in rows)
    assert {"station plc", "station engine"} <= {
        f"{row['process']} {row['thread']}" for row in written["threads"]
    }


def test_parts_that_come_too_fast_are_overrun_and_all_are_accounted_for(tmp_path: Path) -> None:
    options = ("--rate", "20", "200", "--minutes", "0.02", "--engine-ms", "20")
    slow, fast = measured("rate", tmp_path / "rate.json", *options)["rows"]
    for row in (slow, fast):
        assert sum(row["reasons"].values()) == row["parts"]
        assert row["broken_promises"] == []
    assert fast["reasons"][Reason.OVERRUN.name] > 0
    assert fast["scored_share"] < slow["scored_share"]


@pytest.mark.parametrize("rate_hz", [1, 10, 100, 500])
def test_there_are_slots_for_all_parts_before_the_gate(rate_hz: float) -> None:
    check_budget(45, least_spacing_ms(rate_hz), slots_for(rate_hz, 45))


def part(index: int, reason: Reason, slot_ms: float | None) -> PartOutcome:
    t_ns = index * 100 * MS
    seen = {"index": index, "reason": reason.name, "t_trigger_ns": t_ns,
            "t_slot_ns": None if slot_ms is None else t_ns + round(slot_ms * MS)}  # fmt: skip
    return PartOutcome(seen, {"frame_id": index})


def test_a_late_part_is_excused_by_a_stall_in_its_time_and_by_nothing_else() -> None:
    outcomes = [
        part(1, Reason.NONE, 10), part(2, Reason.LATE, 44), part(3, Reason.OVERRUN, 30), part(4, Reason.NONE, 50),
        part(5, Reason.HANDSHAKE, None), part(6, Reason.LATE, 44),
    ]  # fmt: skip
    took_ms = {1: 10, 2: 40, 3: 10, 4: 10, 5: 10, 6: 10}
    stamps = {
        "taken": [(n, 0, n * 100 * MS) for n in took_ms],
        "scored": [(n, (n * 100 + ms) * MS) for n, ms in took_ms.items()],
    }
    run = Run([outcome.seen for outcome in outcomes], outcomes, stamps, {}, [])
    stalls = [Stall(0, 410 * MS, 416 * MS), Stall(1, 560 * MS, 590 * MS)]
    late = late_parts(run, Setting(6, 10, 45), stalls)
    assert [(each["part"], each["excused"], each["cause"]) for each in late] == [
        (2, False, "the engine took 40.0 ms"),
        (4, True, "the machine stalled 6.0 ms"),
        (5, False, "the station"),  # the stall came after its time
        (6, True, "the machine stalled 30.0 ms"),  # before it, but within the time of the part before
    ]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_benchmark_that_is_ended_leaves_no_station_behind(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    command = [str(ROOT / "tools" / "bench" / "path"), "--parts", "100000", "--turns", "1", "--quiet"]
    bench = subprocess.Popen(
        command, env=os.environ | {"TMPDIR": str(tmp_path)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )  # fmt: skip
    try:
        wait_for(lambda: started(tmp_path, "inspector.camera"), "the camera process", 90)
        assert started(tmp_path, "stamped_station")
        bench.send_signal(number)
        assert bench.wait(60) == status
    finally:
        bench.kill()
        bench.wait()
    wait_for(lambda: not started(tmp_path, ""), "the end of what it started")
    if number is signal.SIGTERM:
        assert not list(tmp_path.glob("bench-*"))


def started(folder: Path, what: str) -> list[str]:
    """Return the processes, by their command lines, that were started with this folder for temporary files."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            if f"TMPDIR={folder}\0".encode() in (process / "environ").read_bytes():
                words = (process / "cmdline").read_text().replace("\0", " ")
                found += [words] if what in words and words else []  # one that has ended has no words
    return found
