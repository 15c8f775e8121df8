"""The station as the Modbus server, the line's PLC as its client: the promises hold on that side too, whatever breaks."""

import signal

import pytest

from tests.conftest import Stand
from tests.support.daemon import Daemon, free_port, inspector
from tests.support.line import STALLS, Line

PARTS = 40
SERVER: dict[str, object] = {"role": "server"}


def served(
    stand: Stand, *options: object, parts: int = PARTS, faults: list[dict[str, object]] | None = None
) -> tuple[Line, Daemon]:
    """Start a daemon that is the server, and a line whose PLC comes to it."""
    port = free_port()
    daemon = stand.daemon(port, plc=SERVER | {"port": port})
    return stand.line("--role", "client", "--port", port, "--parts", parts, *options, faults=faults), daemon


def test_parts_pass_or_are_rejected_as_they_should(stand: Stand) -> None:
    line, daemon = served(stand)
    with line:
        assert line.run() == 0, line.result
    result = line.result
    assert result["broken_promises"] == []
    assert (result["parts"], result["wrong_releases"], result["released_bad"]) == (PARTS, 0, 0)
    assert {part["reason"] for part in line.parts() if part["truth"] == "good"} <= {"NONE", *STALLS}
    assert result["released"] > result["good"] / 2
    assert daemon.end(signal.SIGTERM) == 0
    assert len(daemon.events("verdict")) == PARTS


@pytest.mark.parametrize("fault", ["plc down 300", "plc restart 300", "plc restart 300 keep"])
def test_a_plc_that_goes_and_comes_back_releases_nothing_wrong(stand: Stand, fault: str) -> None:
    line, daemon = served(
        stand, "--first-part-id", 65_520, faults=[{"at_part": 12, "do": fault}, {"at_part": 24, "do": "line pause 300"}]
    )  # fmt: skip
    with line:
        assert line.run() == 0, line.result
    assert line.result["broken_promises"] == []
    assert line.result["released"] > 0
    downs = daemon.events("link_down")
    assert downs
    assert daemon.end() == 0


def test_a_station_that_is_killed_and_started_again_releases_nothing_wrong(stand: Stand) -> None:
    line, daemon = served(
        stand,
        faults=[{"at_part": 10, "do": "say kill"}, {"at_part": 12, "do": "line pause 3000"}],
    )

    def kill() -> None:
        daemon.kill()
        daemon.start()

    with line:
        assert line.run(kill=kill) == 0, line.result
    assert line.result["broken_promises"] == []
    assert line.result["released"] > 0
    assert daemon.end() == 0


def test_a_challenge_that_no_plc_ever_heard_of_is_in_the_log(stand: Stand) -> None:
    port = free_port()
    daemon = stand.daemon(port, plc=SERVER | {"port": port})
    daemon.wait_for("engine_ready")
    said = inspector("challenge", daemon.config, "--timeout", 0.2)
    assert said.returncode == 1, said.stderr
    assert daemon.wait_for("challenge")["result"] == "void"
    assert daemon.end() == 0
