"""Direct mode with everything there is: the gate of the line follows a coil that the station moves, and linesim judges what it let pass."""

from tests.conftest import Stand
from tests.support.daemon import Daemon
from tests.support.line import Line

PARTS = 40
COIL, GATE_MS, WIDTH_MS = 24, 250, 30
# At the gate in the middle of its window, which counts from the earliest moment that the trigger can have been.
DIRECT: dict[str, object] = {
    "coil": COIL,
    "delay_ms": GATE_MS - WIDTH_MS / 2 + 3,
    "width_ms": WIDTH_MS,
    "poll_ms": 4,
}
STATION: dict[str, object] = {"name": "cell", "budget_ms": 200, "simulated": True}


def directed(stand: Stand, line: Line) -> Daemon:
    return stand.daemon(line.port, station=STATION, plc={"port": line.port, "direct": DIRECT})


def line_of(stand: Stand, faults: list[dict[str, object]] | None = None) -> Line:
    return stand.line(
        "--parts", PARTS, "--rate", 12, "--min-spacing-ms", 60, "--budget-ms", 200,
        "--gate-coil", COIL, "--gate-ms", GATE_MS, "--coil-hold-ms", 25, faults=faults,
    )  # fmt: skip


def test_the_gate_lets_good_parts_pass_and_no_others(stand: Stand) -> None:
    with line_of(stand) as line:
        daemon = directed(stand, line)
        assert line.run() == 0, line.result
    result = line.result
    assert result["broken_promises"] == []
    assert (result["wrong_releases"], result["released_bad"]) == (0, 0)
    assert result["released"] > result["good"] / 2
    assert daemon.end() == 0


def test_when_the_station_is_killed_the_gate_shuts(stand: Stand) -> None:
    faults: list[dict[str, object]] = [
        {"at_part": 10, "do": "say kill"},
        {"at_part": 20, "do": "say start"},
        {"at_part": 22, "do": "line pause 3000"},
    ]
    with line_of(stand, faults) as line:
        daemon = directed(stand, line)
        assert line.run(kill=daemon.kill, start=daemon.start) == 0, line.result
    assert line.result["broken_promises"] == []
    assert (line.result["wrong_releases"], line.result["released_bad"]) == (0, 0)
    dead = [part for part in line.parts() if 12 <= part["index"] < 20]
    assert not any(part["released"] for part in dead)
    assert any(part["released"] for part in line.parts() if part["index"] > 22)
    assert daemon.end() == 0
