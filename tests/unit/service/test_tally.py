"""Counters are exact across restarts and crashes (I5): a kill at any byte leaves the old state or the new one."""

import logging
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.errors import ServiceError
from inspector.part import PART_ID_MAX, Outcome, Reason, Verdict, next_part_id
from inspector.service import kept, tally
from inspector.service.tally import Tally, Totals
from tests.support.power import Power

REJECTS = [reason for reason in Reason if reason is not Reason.NONE]


def verdict(part_id: int, reason: Reason = Reason.NONE) -> Verdict:
    outcome = Outcome.PASS if reason is Reason.NONE else Outcome.REJECT
    return Verdict(part_id, outcome, reason, 0, 1, 1)


def add(counters: Tally, one: Verdict) -> None:
    """Count one verdict, of parts that are decided in their order."""
    counters.add([one], one.part_id, [])


def reopened(path: Path) -> Totals:
    again = Tally.open(path)
    totals = again.totals()
    again.close()
    return totals


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "cell-1.tally"


def test_a_new_station_starts_from_zero(path: Path) -> None:
    totals = reopened(path)
    assert (totals.generation, totals.last_part_id, totals.parts) == (1, 0, 0)
    assert set(totals.rejected) == set(REJECTS)


def test_each_verdict_is_counted_under_its_reason(path: Path) -> None:
    counters = Tally.open(path)
    for part_id, reason in enumerate([Reason.NONE, *REJECTS, Reason.NONE, Reason.LATE], start=1):
        add(counters, verdict(part_id, reason))
    counters.add([verdict(part_id, Reason.NOT_READY) for part_id in range(36, 41)], 40, [])
    totals = counters.totals()
    counters.close()
    assert totals.passed == 2
    assert totals.rejected == dict.fromkeys(REJECTS, 1) | {Reason.LATE: 2, Reason.NOT_READY: 6}
    assert totals.last_part_id == 40
    assert totals.parts == totals.passed + totals.rejects == 2 + len(REJECTS) + 1 + 5
    after = reopened(path)
    assert (after.generation, after.rejected, after.parts) == (2, totals.rejected, totals.parts)


def test_a_pass_that_never_left_the_station_becomes_a_reject(path: Path) -> None:
    counters = Tally.open(path)
    counters.add([verdict(1), verdict(2)], 2, [])
    counters.withdraw_pass(Reason.LATE)
    counters.close()
    totals = reopened(path)
    assert (totals.passed, totals.rejected[Reason.LATE], totals.parts) == (1, 1, 2)


@given(st.integers(1, PART_ID_MAX), st.sets(st.integers(0, tally.UNDECIDED - 1), max_size=20))
def test_parts_without_a_verdict_are_known_after_a_crash(
    tmp_path_factory: pytest.TempPathFactory, last: int, back: set[int]
) -> None:
    """Verdicts do not become final in the order of the parts: 5 may be decided while 4 waits for its score."""
    path = tmp_path_factory.mktemp("tally") / "t"
    counters = Tally.open(path)
    undecided = [next_part_id(last, -n) for n in sorted(back, reverse=True)]
    counters.add([verdict(last)], last, [*undecided, next_part_id(last, -tally.UNDECIDED)])
    counters.close()
    totals = reopened(path)
    assert (totals.last_part_id, totals.undecided) == (last, tuple(undecided))
    assert reopened(path) == replace(totals, generation=3)


@given(st.lists(st.sampled_from(list(Reason)), max_size=30), st.integers(0, kept.COPY_BYTES))
def test_a_kill_at_any_byte_leaves_the_old_state_or_the_new(
    tmp_path_factory: pytest.TempPathFactory, reasons: list[Reason], written: int
) -> None:
    path = tmp_path_factory.mktemp("tally") / "t"
    counters = Tally.open(path)
    for part_id, reason in enumerate(reasons, start=1):
        add(counters, verdict(part_id, reason))
    before = path.read_bytes()
    add(counters, verdict(len(reasons) + 1, Reason.SCORE))
    after = path.read_bytes()
    counters.close()
    (start,) = {place // kept.COPY_BYTES for place in range(len(after)) if before[place] != after[place]}
    place = start * kept.COPY_BYTES
    torn = before[:place] + after[place : place + written] + before[place + written :]
    path.write_bytes(torn)
    path.with_name("t.synced").unlink()
    totals = reopened(path)
    assert totals.parts in (len(reasons), len(reasons) + 1)
    assert totals.parts == len(reasons) + totals.rejected[Reason.SCORE] - reasons.count(Reason.SCORE)
    assert totals.last_part_id == totals.parts


def test_a_kill_loses_nothing(path: Path) -> None:
    station = (
        "import os, signal, sys; from pathlib import Path\n"
        "from inspector.part import Outcome, Reason, Verdict\n"
        "from inspector.service.tally import Tally\n"
        "counters = Tally.open(Path(sys.argv[1]))\n"
        "for n in range(1, 1001): counters.add([Verdict(n, Outcome.PASS, Reason.NONE, 0, 1, 1)], n, [])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    died = subprocess.run([sys.executable, "-c", station, path], check=False)
    assert died.returncode == -signal.SIGKILL
    totals = reopened(path)
    assert (totals.passed, totals.last_part_id, totals.generation) == (1000, 1000, 2)


@pytest.mark.parametrize("content", [b"x" * kept.FILE_BYTES, b"short", b"\xff" * 5000])
def test_a_damaged_file_is_set_aside_and_said(
    path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    (path.parent / "cell-1.tally.corrupt-1").touch()
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert reopened(path).parts == 0
    assert [record.message for record in caplog.records] == ["state_file_corrupt"]
    assert (path.parent / "cell-1.tally.corrupt-2").read_bytes() == content
    assert reopened(path).generation == 2


BOOTS = [f"{n:08}-0000-4000-8000-000000000000\n" for n in (1, 2)]


@pytest.fixture
def boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that tells one start of the computer from another."""
    file = tmp_path / "boot_id"
    file.write_text(BOOTS[0])
    monkeypatch.setattr(tally, "BOOT_ID", file)
    return file


def test_after_a_loss_of_power_those_of_the_last_sync_are_left_and_it_is_said(
    path: Path, boot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    power = Power(monkeypatch)
    counters = Tally.open(path)
    counters.add([verdict(1), verdict(3, Reason.SCORE)], 4, [2, 4])
    counters.sync()
    add(counters, verdict(5))
    left = power.lost(path.parent, tmp_path / "after")
    counters.close()
    boot.write_text(BOOTS[1])
    totals = reopened(left / path.name)
    assert (totals.parts, totals.rejected[Reason.SCORE], totals.undecided) == (2, 1, (2, 4))
    (said,) = caplog.records
    assert (said.message, vars(said)["parts"], vars(said)["last_part_id"]) == ("power_was_lost", 2, 4)
    reopened(left / path.name)
    assert len(caplog.records) == 1, "it was closed since"


def test_a_loss_of_power_before_the_first_sync_is_said_too(
    path: Path, boot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    power = Power(monkeypatch)
    counters = Tally.open(path)
    left = power.lost(path.parent, tmp_path / "after")
    counters.close()
    boot.write_text(BOOTS[1])
    assert reopened(left / path.name).generation == 2
    assert [record.message for record in caplog.records] == ["power_was_lost"]


@pytest.mark.parametrize("end", ["killed", "closed"])
def test_a_crash_or_a_stop_before_the_computer_starts_again_is_no_loss_of_power(
    path: Path, boot: Path, end: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counters = Tally.open(path)
    add(counters, verdict(1))
    killed = shutil.copytree(path.parent, tmp_path / "killed")
    counters.close()
    if end == "killed":
        path = killed / path.name
    else:
        boot.write_text(BOOTS[1])
    assert reopened(path).parts == 1
    assert not caplog.records


def test_a_copy_of_another_layout_is_none() -> None:
    state = list(range(1 + tally.NUMBERS))
    copy = kept.encode(tally.MAGIC, state)
    assert kept.decode(tally.MAGIC, copy, tally.NUMBERS) == state
    assert kept.decode(tally.MAGIC, copy[:-1], tally.NUMBERS) is None
    assert kept.decode(b"INSPTLY9", copy, tally.NUMBERS) is None
    assert len(copy) <= kept.COPY_BYTES


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        ServiceError, match=r"expected to keep what outlives a crash in .*; see station\.state_folder"
    ):
        Tally.open(tmp_path / "file" / "t")


def test_a_disk_that_does_not_sync_is_logged(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    counters = Tally.open(path)

    def broken(_: int) -> None:
        raise OSError("no disk")

    monkeypatch.setattr(os, "fdatasync", broken)
    counters.close()
    assert [record.message for record in caplog.records] == ["state_file_sync_failed"]
