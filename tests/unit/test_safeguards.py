"""Stops and challenges together: what is kept over a crash, what is logged."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector import safeguards
from inspector.challenge import ChallengeRules, Result
from inspector.interlock import COUNT_MAX, LONGEST_RATE, Cause, Memory, StopRules
from inspector.part import Deciding, Expected, Finding, Outcome, Reason, Verdict
from inspector.plc.registers import Control
from inspector.safeguards import NUMBERS, TICK_NS, Safeguards, open_memory
from inspector.service.kept import KeptNumbers
from tests.support.power import Power

DECIDING = Deciding(threshold=2.0, recipe=3, model_sha256="m" * 64, config_sha256="c" * 64)


class Bench:
    """Safeguards on a file, which can be left as a crash leaves it."""

    def __init__(self, path: Path, **rules: Any) -> None:
        self._path, self._rules = path, rules
        self.open: list[KeptNumbers] = []
        self.start()

    def start(self) -> None:
        """Start again, as after a kill: the file was not closed."""
        kept = open_memory(self._path)
        self.open.append(kept)
        stops = self._rules.get("stops", StopRules(rejects_in_a_row=3))
        self.guards = Safeguards(stops, ChallengeRules(), kept, reject_parts=self._rules.get("reject", False))
        self.read()

    def read(self, **control: Any) -> None:
        self.guards.on_control(Control(enable=True, **control))
        self.guards.on_counted()

    def clear(self) -> None:
        self.read()
        self.read(clear_fault=True)

    def part(self, part_id: int, reason: Reason) -> None:
        """Count a part and decide it."""
        outcome = Outcome.REJECT if reason else Outcome.PASS
        expected = self.guards.expectation(part_id)
        finding = Finding(3.0, 1.5, 7.0)
        verdict = Verdict(part_id, outcome, reason, 0, 1, 1, 5, finding, DECIDING, expected)
        self.guards.on_verdict(verdict, acknowledged=True)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "cell.stops")
    yield bench
    for kept in bench.open:
        kept.close()


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records]


def test_a_stop_outlives_a_crash_and_clearing_it_too(bench: Bench) -> None:
    for part_id in range(1, 4):
        bench.part(part_id, Reason.SCORE)
    assert (bench.guards.line_stop, bench.guards.latched_code) == (True, "LIN-002")
    bench.start()
    assert (bench.guards.line_stop, bench.guards.latched_code) == (True, "LIN-002")
    bench.clear()
    assert (bench.guards.line_stop, bench.guards.latched_code) == (False, "")
    bench.start()
    assert not bench.guards.line_stop


def test_a_damaged_memory_stops_the_line_until_a_person_looked(bench: Bench, tmp_path: Path) -> None:
    """Nobody knows what was latched: a stop that a damaged file forgets would let the line run."""
    for part_id in range(1, 4):
        bench.part(part_id, Reason.SCORE)
    for file in (tmp_path / "cell.stops", tmp_path / "cell.stops.synced"):
        content = bytearray(file.read_bytes())
        content[8] ^= 1
        content[520] ^= 1
        file.write_bytes(content)
    bench.start()
    assert (bench.guards.line_stop, bench.guards.latched_code) == (True, "LIN-008")
    bench.start()
    assert bench.guards.latched_code == "LIN-008", "it is kept like any other"
    bench.clear()
    assert not bench.guards.line_stop


def test_what_is_latched_or_cleared_is_asked_of_the_disk_at_once_and_no_count_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes effect before that: a line that stands is safe, and a stop that comes back after it was cleared is too."""
    power = Power(monkeypatch)
    state = tmp_path / "state"
    bench = Bench(state / "cell.stops")
    kept, asked = bench.open[0], []
    bench.guards.sync = lambda: asked.append(bench.guards.line_stop)
    for part_id in range(1, 4):
        bench.part(part_id, Reason.SCORE)
    assert asked == [True]
    kept.sync()
    left = power.lost(state, tmp_path / "stopped")
    bench.clear()
    assert asked == [True, False]
    kept.close()
    again = Bench(left / "cell.stops")
    assert (again.guards.line_stop, again.guards.latched_code) == (True, "LIN-002")
    again.open[0].close()


def test_a_row_goes_on_over_a_crash(bench: Bench) -> None:
    bench.part(1, Reason.SCORE)
    bench.start()
    bench.part(2, Reason.SCORE)
    bench.start()
    assert not bench.guards.line_stop
    bench.part(3, Reason.SCORE)
    assert bench.guards.line_stop


@given(
    st.builds(
        Memory,
        st.permutations(list(Cause)).flatmap(
            lambda causes: st.integers(0, 6).map(lambda n: tuple(causes[:n]))
        ),
        st.integers(0, COUNT_MAX),
        st.integers(0, (1 << LONGEST_RATE) - 1),
        st.none() | st.integers(0, COUNT_MAX),
    )
)
def test_the_memory_comes_back_as_it_was_kept(memory: Memory) -> None:
    numbers = safeguards._encoded(memory)
    assert len(numbers) == NUMBERS
    assert safeguards._decoded(numbers) == memory


def test_parts_are_rejected_while_the_line_must_stand_where_that_is_configured(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "cell.stops", reject=True)
    assert not bench.guards.rejecting
    bench.read(bin_full=True)
    assert bench.guards.rejecting
    bench.open[0].close()


def test_they_are_judged_as_ever_where_it_is_not(bench: Bench) -> None:
    bench.read(bin_full=True)
    assert (bench.guards.line_stop, bench.guards.rejecting) == (True, False)


def test_each_latch_and_each_clearing_is_logged_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        bench.read(bin_full=True)
        bench.read(bin_full=True)
        bench.guards.on_unconfirmed(4)
        bench.clear()
        bench.guards.tell()
        bench.guards.tell()
    assert events(caplog) == ["fault_latched", "fault_latched", "fault_cleared"]
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR", "INFO"]
    first, _, last = (vars(record) for record in caplog.records)
    assert (first["cause"], first["code"], first["line_stop"]) == ("BIN_FULL", "LIN-005", True)
    assert last["causes"] == "BIN_FULL, UNCONFIRMED_REJECT"


def test_a_challenge_is_one_entry_that_names_what_decided(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.read(challenge_mode=True)
    assert bench.guards.challenge_running
    with caplog.at_level(logging.INFO):
        for part_id, reason in enumerate([Reason.SCORE, Reason.NONE, Reason.SCORE], start=1):
            bench.part(part_id, reason)
        bench.guards.tell()
    begun, over = caplog.records
    assert (begun.message, over.message) == ("challenge_begun", "challenge")
    fields = vars(over)
    assert (over.levelname, fields["result"], fields["why"], fields["asked_by"]) == (
        "INFO",
        "passed",
        "",
        "PLC",
    )
    assert (fields["model"], fields["recipe"], fields["threshold"]) == ("m" * 64, 3, 2.0)
    assert fields["sequence"] == ["bad", "good", "bad"]
    assert fields["parts"][0] == {
        "part_id": 1,
        "expected": "bad",
        "outcome": "REJECT",
        "reason": "SCORE",
        "score": 3.0,
        "relative_score": 1.5,
        "right": True,
    }
    assert [part["right"] for part in fields["parts"]] == [True] * 3


def test_a_failed_challenge_latches_at_its_first_wrong_part_and_again_at_its_end(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.read(challenge_mode=True)
    bench.part(1, Reason.CHALLENGE)
    assert bench.guards.latched_code == "LIN-007"
    bench.read(challenge_mode=True, clear_fault=True)
    assert bench.guards.latched_code == ""
    with caplog.at_level(logging.INFO):
        bench.part(2, Reason.NONE)
        bench.part(3, Reason.SCORE)
        bench.guards.tell()
    assert bench.guards.latched_code == "LIN-007"
    assert events(caplog)[-2:] == ["challenge", "fault_latched"]
    assert vars(caplog.records[-2])["result"] == "failed"


def test_a_failed_challenge_outlives_a_crash_in_its_middle(bench: Bench) -> None:
    bench.read(challenge_mode=True)
    bench.part(1, Reason.CHALLENGE)
    bench.start()
    assert (bench.guards.line_stop, bench.guards.challenge_running) == (True, False)


def test_whoever_asked_for_a_challenge_can_follow_it(bench: Bench) -> None:
    ticket = bench.guards.ask("anna")
    assert ticket is not None
    assert bench.guards.ask("ben") is None
    assert not bench.guards.progress(ticket).begun
    bench.read()
    assert bench.guards.progress(ticket).begun
    bench.part(1, Reason.SCORE)
    assert len(bench.guards.progress(ticket).parts) == 1
    bench.part(2, Reason.NONE)
    bench.part(3, Reason.SCORE)
    report = bench.guards.progress(ticket).report
    assert report is not None
    assert (report.asked_by, report.result) == ("anna", Result.PASSED)


@pytest.mark.parametrize("how", ["withdraw", "stop"])
def test_a_challenge_that_nobody_waits_for_is_void(bench: Bench, how: str) -> None:
    ticket = bench.guards.ask("anna")
    assert ticket is not None
    bench.read()
    if how == "withdraw":
        bench.guards.withdraw(ticket)
    else:
        bench.guards.stop()
    report = bench.guards.progress(ticket).report
    assert report is not None
    assert report.result is Result.VOID
    assert bench.guards.expectation(1) is None


def test_a_challenge_may_be_due_and_a_lasting_fault_stops(tmp_path: Path) -> None:
    kept = open_memory(tmp_path / "x")
    guards = Safeguards(StopRules(fault_ns=2 * TICK_NS), ChallengeRules(at_start=True), kept)
    assert guards.challenge_due
    guards.on_tick(faults=True, t_ns=0)
    assert not guards.line_stop
    guards.on_tick(faults=True, t_ns=2 * TICK_NS)
    assert guards.line_stop
    assert guards.expectation(1) is not Expected.GOOD
    kept.close()
