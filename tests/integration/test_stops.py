"""Stops and challenges on the running daemon: the line stands until somebody clears it, whatever happens to the daemon meanwhile."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from inspector.plc.registers import State
from tests.conftest import Stand
from tests.support.daemon import Daemon, environment, free_port, inspector
from tests.support.line import STALLS, Event, Line
from tests.support.plc import PlainPlc
from tests.support.waiting import wait_for

CHALLENGE_AT = 6


def judged(line: Line, **actions: Any) -> None:
    """Run the line; every promise must hold."""
    status = line.run(**actions)
    assert (status, line.result["broken_promises"]) == (0, [])


def of_challenge(parts: list[Event]) -> list[Event]:
    return [part for part in parts if part["challenge"]]


def ready(plc: PlainPlc) -> None:
    wait_for(lambda: State.READY in plc.status.state, "the station to be ready")


# -- stops -----------------------------------------------------------------------------------------


def test_rejects_in_a_row_stop_the_line_until_somebody_clears_it(stand: Stand) -> None:
    only_bad = json.loads((stand.folder / "images.json").read_text()) | {"good": []}
    (stand.folder / "images.json").write_text(json.dumps(only_bad))
    with stand.line("--parts", 30, "--clear-after-ms", 200) as line:
        daemon = stand.daemon(line.port, stops={"rejects_in_a_row": 5})
        judged(line)
    latched, cleared = daemon.events("fault_latched"), daemon.events("fault_cleared")
    assert line.result["line_stops"] >= 2
    assert len(latched) in {len(cleared), len(cleared) + 1}
    assert {(entry["code"], entry["line_stop"]) for entry in latched} == {("LIN-002", True)}
    assert {part["reason"] for part in line.parts()} <= {"SCORE", *STALLS}  # judged as ever


def test_a_full_bin_and_a_reject_that_nobody_saw_fall_stop_the_line(stand: Stand) -> None:
    faults = [{"at_part": 5, "do": "plc bin full"}, {"at_part": 15, "do": "plc unconfirmed"}]
    with stand.line("--parts", 25, "--clear-after-ms", 200, faults=faults) as line:
        daemon = stand.daemon(line.port)
        judged(line)
    assert line.result["line_stops"] == 2
    assert [entry["cause"] for entry in daemon.events("fault_latched")] == ["BIN_FULL", "UNCONFIRMED_REJECT"]
    assert len(daemon.events("fault_cleared")) == 2


def test_a_kill_forgets_no_stop(stand: Stand) -> None:
    with PlainPlc() as plc:
        daemon = stand.daemon(plc.port)
        ready(plc)
        plc.set(unconfirmed_rejects=1)
        wait_for(lambda: State.LINE_STOP in plc.status.state, "the line stop")
        daemon.kill()
        plc.forget_status()
        daemon.start()
        wait_for(lambda: plc.status.heartbeat, "the next run's first status")
        assert plc.status.state & (State.LINE_STOP | State.FAULT) == State.LINE_STOP | State.FAULT
        ready(plc)
        assert (plc.status.error_code, State.LINE_STOP in plc.status.state) == (804, True)
        plc.set(clear_fault=True)
        wait_for(lambda: State.LINE_STOP not in plc.status.state, "the stop to be cleared")
        assert plc.status.error_code == 0
    assert len(daemon.events("fault_latched")) == 1


# -- challenges ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("truths", "result", "reasons"),
    [
        ("bad good bad", "passed", ["SCORE", "NONE", "SCORE"]),
        ("good good bad", "failed", ["CHALLENGE", "NONE", "SCORE"]),
    ],
)
def test_a_challenge_by_the_plcs_signal(stand: Stand, truths: str, result: str, reasons: list[str]) -> None:
    faults = [{"at_part": CHALLENGE_AT, "do": f"challenge {truths}"}]
    with stand.line("--parts", 20, "--clear-after-ms", 200, faults=faults) as line:
        daemon = stand.daemon(line.port, challenge={"at_start": True})
        judged(line)
    parts = line.parts()
    assert [part["index"] for part in of_challenge(parts)] == [CHALLENGE_AT + n for n in range(3)]
    (entry,) = daemon.events("challenge")
    came = [part["reason"] for part in of_challenge(parts)]
    if not set(came) & STALLS:  # which fail it, rightly
        assert came == reasons
        assert (entry["result"], entry["asked_by"]) == (result, "PLC")
        assert bool(line.result["line_stops"]) == (result == "failed")
    assert [part["part_id"] for part in entry["parts"]] == [part["part_id"] for part in of_challenge(parts)]
    assert [part["index"] for part in parts if part["words"] and part["words"][6] & 2] == [
        part["index"] for part in of_challenge(parts)
    ]


def test_a_challenge_by_the_command(stand: Stand) -> None:
    """Which must begin on a running line: its parts are the next ones, whatever they are."""
    with stand.line("--parts", 400) as line:
        daemon = stand.daemon(line.port, challenge={"sequence": ["bad"]}, stops={"failed_challenge": False})
        line.next("ready")
        daemon.wait_for("verdict", reason="NONE")
        out = stand.folder / "challenge.json"
        done = inspector("challenge", daemon.config, "--json", out)
        line.process.terminate()
        assert line.run() == 0
    outcome = json.loads(out.read_text())
    (part,) = outcome["parts"]
    assert done.returncode == (0 if outcome["result"] == "passed" else 1), done.stderr
    assert (part["expected"], part["outcome"]) == ("bad", "REJECT")
    assert outcome["result"].upper() in done.stdout
    assert "begun: the next 1 parts counted must be, in this order: bad" in done.stdout
    (told,) = daemon.events("challenge")
    assert told["parts"] == outcome["parts"]
    assert told["asked_by"] not in {"", "PLC"}
    judged_part = next(p for p in line.parts() if p["part_id"] == part["part_id"])
    assert judged_part["words"][6] & 2


def test_a_command_that_is_interrupted_ends_its_challenge(stand: Stand) -> None:
    with PlainPlc() as plc:
        daemon = stand.daemon(plc.port)
        ready(plc)
        command = [sys.executable, "-m", "inspector", "challenge", str(daemon.config)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as process:
            wait_for(lambda: State.CHALLENGE in plc.status.state, "the challenge to begin")
            second = inspector("challenge", daemon.config)
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
        wait_for(lambda: State.CHALLENGE not in plc.status.state, "the challenge to end")
        assert (second.returncode, second.stderr) == (
            1,
            "SVC-001: the station refused: another challenge runs; wait until it is over\n",
        )
        entry = daemon.wait_for("challenge")
    assert (entry["result"], entry["parts"]) == ("void", [])


@pytest.mark.parametrize("was_here", [False, True])
def test_a_challenge_of_a_station_that_does_not_run_is_one_line(stand: Stand, was_here: bool) -> None:
    daemon = stand.configured(free_port())
    if was_here:
        daemon.start()
        daemon.wait_for("engine_ready")
        daemon.kill()
        assert socket_of(daemon).is_socket()  # left behind
    done = inspector("challenge", daemon.config)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert done.stderr.startswith("SVC-003: expected a running daemon at ")


def test_the_socket_is_the_daemons_users_alone_and_goes_with_it(stand: Stand) -> None:
    daemon = stand.daemon(free_port())
    daemon.wait_for("engine_ready")
    assert socket_of(daemon).stat().st_mode & 0o777 == 0o600
    assert daemon.end() == 0
    assert not socket_of(daemon).exists()


def socket_of(daemon: Daemon) -> Path:
    return daemon.folder / "state" / "cell.sock"
