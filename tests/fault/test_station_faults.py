"""Faults of the station's surroundings: each part of the gap is rejected for its reason, and parts pass again by themselves."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from inspector.part import Outcome, Reason
from inspector.plc.registers import State
from tests.conftest import Stand
from tests.support.daemon import environment, free_port, gone, inspector
from tests.support.line import STALLS, Event, Line
from tests.support.notify import NotifySocket
from tests.support.plc import PlainPlc
from tests.support.waiting import wait_for

PARTS = 600  # half a minute: far more than are needed, for a line ends when parts pass again
KILL_AT = 15
PASS_AGAIN = 10


def reasons(parts: list[Event]) -> set[str]:
    """Return why good parts were not released."""
    return {part["reason"] for part in parts if part["truth"] == "good" and not part["released"]}


def judged(line: Line, until: Callable[[Event], bool] | None = None, **faults: Callable[[], object]) -> None:
    """Run the line; every promise must hold, and no part escape."""
    status = line.run(until, **faults)
    assert (status, line.result["broken_promises"]) == (0, [])
    assert (line.result["released_bad"], line.result["rejected_good_by_score"]) == (0, 0)


def parts_pass_since(back: Callable[[], object]) -> Callable[[Event], bool]:
    """Return the end of a line: some more parts were released since `back` was first true. However long that takes."""
    before: list[int] = []

    def enough(progress: Event) -> bool:
        if not before and back():
            before.append(progress["released"])
        return bool(before) and progress["released"] >= before[0] + PASS_AGAIN

    return enough


def passes_again(parts: list[Event]) -> None:
    """Check that the last parts of a run get verdicts of the model again."""
    assert {part["reason"] for part in parts[-10:]} <= {"NONE", "SCORE", *STALLS}
    assert any(part["released"] for part in parts[-15:])


def test_a_killed_camera_process_costs_the_parts_of_the_gap_only(stand: Stand) -> None:
    with stand.line("--parts", PARTS, faults=[{"at_part": KILL_AT, "do": "say kill"}]) as line:
        daemon = stand.daemon(line.port)
        judged(
            line,
            until=parts_pass_since(lambda: daemon.events("camera_up", generation=2)),
            kill=daemon.kill_camera,
        )
    parts = line.parts()
    assert reasons(parts[: KILL_AT - 2]) <= STALLS
    assert reasons(parts[KILL_AT - 2 :]) & {"CAMERA", "HANDSHAKE", "FRAME_LOST"}
    assert reasons(parts) <= {"CAMERA", *STALLS}
    passes_again(parts)
    assert {entry["generation"] for entry in daemon.events("camera_up")} == {1, 2}
    assert "killed by SIGKILL" in daemon.events("camera_down")[0]["why"]


@pytest.mark.parametrize("outage", ["plc down 300", "plc restart 300", "plc restart 300 keep"])
def test_a_plc_without_power_for_a_moment(stand: Stand, outage: str) -> None:
    with stand.line("--parts", PARTS, faults=[{"at_part": 12, "do": outage}]) as line:
        daemon = stand.daemon(line.port)
        judged(line, until=parts_pass_since(lambda: daemon.events("link_up")[1:]))
    parts = line.parts()
    assert reasons(parts) <= {"NOT_READY", "plc_down", *STALLS}
    passes_again(parts)


@pytest.mark.parametrize("first_part_id", [1, 31])
def test_a_killed_plc_and_another_one_at_its_port(stand: Stand, first_part_id: int) -> None:
    """The second PLC begins its count anew, or goes on near where the first one was."""
    with stand.line("--parts", 1000, faults=[{"at_part": KILL_AT, "do": "say kill"}], name="first") as first:
        daemon = stand.daemon(first.port)
        first.next("fault")
        first.kill()
    daemon.wait_for("link_down")
    with stand.line(
        "--parts", 25, "--port", first.port, "--first-part-id", first_part_id, name="second"
    ) as second:
        judged(second)
    passes_again(second.parts())


def test_a_killed_daemon_goes_on_where_it_was(stand: Stand) -> None:
    with stand.line("--parts", PARTS, faults=[{"at_part": KILL_AT, "do": "say kill"}]) as line:
        daemon = stand.daemon(line.port)
        children: list[int] = []

        def kill() -> None:
            children.extend(daemon.child(name) for name in ("camera", "recorder"))
            daemon.kill()
            daemon.start()

        judged(line, until=parts_pass_since(lambda: daemon.events("engine_ready")[1:]), kill=kill)
        wait_for(lambda: all(map(gone, children)), "the end of what the killed daemon had started")
    parts = line.parts()
    assert "NOT_READY" in reasons(parts)
    assert reasons(parts) <= {"NOT_READY", "CAMERA", *STALLS}
    passes_again(parts)
    assert daemon.end() == 0
    assert "the last event was" in daemon.events("station_died")[0]["why"]
    assert daemon.events("station_stopped")[0]["summary"].endswith(
        f" {line.result['parts']} parts, {sum(not p['released'] for p in parts)} rejected"
    )


@pytest.mark.parametrize("state", ["state", "another"])
def test_a_second_daemon_of_the_station_is_refused(stand: Stand, state: str) -> None:
    """Also one with a state of its own, that would write, and tidy away, log files of the same name."""
    daemon = stand.daemon(free_port())
    daemon.wait_for("engine_ready")
    config = stand.configured(free_port(), station={"state_folder": state}).config
    second = inspector("run", config, more=daemon.more)
    assert second.returncode == 1
    assert len(second.stderr.splitlines()) == 1
    assert f"already running, pid {daemon.process.pid if daemon.process else 0}" in second.stderr
    assert daemon.running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_station_in_order(stand: Stand, number: int) -> None:
    """The open part is rejected, the PLC reads that the station has gone, the log ends with the recorder's last line."""
    with stand.line("--parts", 1000) as line:
        daemon = stand.daemon(line.port)
        line.next("ready")
        daemon.wait_for("verdict", reason="NONE")
        children = [daemon.child(name) for name in ("camera", "recorder")]
        assert daemon.end(number) == 0
    assert all(map(gone, children))
    *_, stopped, last = daemon.log()
    assert (stopped["event"], last["event"]) == ("station_stopped", "recorder_stopped")
    verdicts = daemon.events("verdict")
    assert [entry["part_id"] for entry in verdicts] == list(range(1, len(verdicts) + 1))
    assert stopped["summary"].endswith(
        f" {len(verdicts)} parts, {sum(entry['outcome'] == 'REJECT' for entry in verdicts)} rejected"
    )


def test_a_part_that_waits_when_the_station_stops_is_rejected(stand: Stand) -> None:
    with PlainPlc() as plc:
        daemon = stand.daemon(
            plc.port,
            station={"budget_ms": 4000},
            camera={"latency_ms": {"max": 1000}},
        )
        wait_for(lambda: State.READY in plc.status.state, "the station to be ready")
        part_id = plc.count_part()  # the camera is not triggered: the part waits for its frame
        wait_for(lambda: State.BUSY in plc.status.state, "the station to wait for the part's frame")
        assert daemon.end() == 0
        (verdict,) = plc.verdicts
        assert (
            verdict.items()
            >= {"part_id": part_id, "verdict": Outcome.REJECT, "reason": Reason.NOT_READY}.items()
        )
        assert not plc.status.state & (State.ONLINE | State.READY)
        assert (plc.status.parts, plc.status.rejects) == (1, 1)


def test_neither_a_camera_nor_a_plc_that_hangs_keeps_the_station_from_stopping(stand: Stand) -> None:
    with stand.line("--parts", 1000) as line:
        daemon = stand.daemon(line.port)
        line.next("ready")
        camera = daemon.child("camera")
        os.kill(camera, signal.SIGSTOP)
        line.process.send_signal(signal.SIGSTOP)
        assert daemon.end() == 0
        assert gone(camera)
    assert daemon.log()[-1]["event"] == "recorder_stopped"


def test_a_second_signal_ends_the_station_at_once(stand: Stand, manager: NotifySocket) -> None:
    daemon = stand.daemon(free_port(), environment={"NOTIFY_SOCKET": str(manager.path)})
    daemon.wait_for("camera_up")
    camera = daemon.child("camera")
    os.kill(camera, signal.SIGSTOP)  # an orderly stop gives it a second
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGTERM)
    manager.wait_for("STOPPING=1")
    daemon.killed = True

    def ended_by_another_signal() -> bool:
        """One that comes with the first is taken for the same, so that it may take several."""
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGTERM)
        return daemon.process.poll() is not None

    wait_for(ended_by_another_signal, "the end of the station")
    assert daemon.end() == 128 + signal.SIGTERM
    wait_for(lambda: gone(camera), "the end of the camera process")
    wait_for(lambda: daemon.events("station_died"), "the recorder to say so")


def test_an_error_of_the_program_is_one_line_and_the_log_has_the_rest(stand: Stand) -> None:
    daemon = stand.configured(free_port())
    broken = (
        "import sys; from inspector import cli, desk\n"
        "def next_job(_): raise KeyError('lost')\n"
        "desk.Desk.next_job = next_job\n"
        "sys.exit(cli.main(['run', sys.argv[1]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", broken, str(daemon.config)],
        capture_output=True, text=True, timeout=60, check=False,
        env=environment(**daemon.more, TMPDIR=str(stand.folder)),
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(
        "XXX-000: unexpected KeyError: 'lost'; please report it, with "
    )
    (failed,) = daemon.events("station_failed")
    assert "in next_job" in failed["traceback"]
    assert daemon.log()[-1]["event"] == "recorder_stopped"
