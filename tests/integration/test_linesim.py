"""The judge judged: stations that keep the promises, and one for each way to break them, which must be found."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inspector.part import Outcome, Reason
from inspector.plc.registers import RegisterMap
from tests.integration.stub_station import (
    BUDGET_MS,
    LINESIM,
    LineRun,
    ModbusRefusalError,
    ModbusSocket,
    StubStation,
    Words,
    verdict_words,
)

IMAGES = {"good": [f"good-{n}" for n in range(6)], "bad": [f"bad-{n}" for n in range(4)]}
PARTS = 20
Start = Callable[..., LineRun]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    runs = []

    def start_line(*options: str) -> LineRun:
        runs.append(LineRun.start(tmp_path, "--parts", str(PARTS), *options, images=IMAGES))
        return runs[-1]

    yield start_line
    for run in runs:
        run.close()


def honest(part_id: int, image: str) -> list[tuple[float, Words]]:
    """PASS the good ones and REJECT the bad ones, each with the score of its image."""
    score = 100 * (1 + list(IMAGES["good"] + IMAGES["bad"]).index(image))
    if image.startswith("good"):
        return [(0, verdict_words(part_id, Outcome.PASS, score=score))]
    return [(0, verdict_words(part_id, Outcome.REJECT, Reason.SCORE, score=2000 + score))]


def pass_all(part_id: int, image: str) -> list[tuple[float, Words]]:
    """PASS everything."""
    return [(0, verdict_words(part_id, Outcome.PASS))]


def test_an_honest_station_keeps_every_promise(start: Start) -> None:
    run = start()
    status, result, station = run.with_station(honest)
    assert (status, result["broken_promises"]) == (0, [])
    assert (result["parts"], result["good"], result["bad"]) == (PARTS, 12, 8)
    assert result["rejects"] == {"SCORE": 8}
    assert result["released"] == 12
    assert [
        result[key] for key in ("released_bad", "rejected_good", "wrong_releases", "unaccounted", "double")
    ] == [0] * 5
    assert 0 < result["trigger_to_slot_ms"]["p50"] <= result["trigger_to_slot_ms"]["p99"]
    assert station.pulses == [f"pulse image={part['image']}" for part in run.record()]


def test_each_part_is_recorded_with_its_times(start: Start) -> None:
    run = start()
    run.with_station(honest)
    parts = run.record()
    assert [part["index"] for part in parts] == list(range(1, PARTS + 1))
    for part in parts:
        assert part["t_trigger_ns"] < part["t_slot_ns"] < part["t_deadline_ns"]
        assert part["t_deadline_ns"] - part["t_trigger_ns"] == BUDGET_MS * 1_000_000
        assert part["words"][0] == part["part_id"]
        assert part["released"] == (part["truth"] == "good")
        assert part["reason"] == ("NONE" if part["released"] else "SCORE")


def test_part_ids_wrap_past_zero(start: Start) -> None:
    run = start("--first-part-id", "65530")
    status, result, _ = run.with_station(honest)
    assert (status, result["released_bad"], result["rejected_good"]) == (0, 0, 0)
    assert [part["part_id"] for part in run.record()][4:8] == [65534, 65535, 1, 2]


def test_a_station_that_passes_everything_lets_bad_parts_escape_but_breaks_no_promise(start: Start) -> None:
    status, result, _ = start().with_station(pass_all)
    assert (status, result["released_bad"]) == (0, 8)


def test_a_false_reject_is_counted_with_its_reason(start: Start) -> None:
    def nervous(part_id: int, image: str) -> list[tuple[float, Words]]:
        reason = Reason.SCORE if image == "good-0" else Reason.CAMERA
        return [(0, verdict_words(part_id, Outcome.REJECT, reason))]

    status, result, _ = start().with_station(nervous)
    assert (status, result["rejected_good"], result["rejected_good_by_score"]) == (0, 12, 2)
    assert result["rejects"] == {"CAMERA": 18, "SCORE": 2}


def test_a_part_without_verdict_breaks_i1(start: Start) -> None:
    status, result, _ = start("--settle-timeout", "0.7").with_station(
        lambda part, image: [] if part == 5 else honest(part, image)
    )
    assert (status, result["unaccounted"], result["rejects"]["no_verdict"]) == (1, 1, 1)
    assert result["broken_promises"] == ["I1: 1 parts without any verdict, first at part 5"]


def test_a_second_verdict_breaks_i1(start: Start) -> None:
    def undecided(part_id: int, image: str) -> list[tuple[float, Words]]:
        return [
            (0, verdict_words(part_id, Outcome.PASS)),
            (5, verdict_words(part_id, Outcome.REJECT, Reason.LATE)),
        ]

    status, result, _ = start().with_station(undecided)
    assert (status, result["double"]) == (1, PARTS)


def test_the_same_verdict_written_again_is_harmless(start: Start) -> None:
    status, result, _ = start().with_station(lambda part, image: honest(part, image) * 2)
    assert (status, result["repeats"], result["double"]) == (0, PARTS, 0)


def test_a_pass_after_a_reject_is_a_wrong_release(start: Start) -> None:
    def lenient(part_id: int, image: str) -> list[tuple[float, Words]]:
        return [
            (0, verdict_words(part_id, Outcome.REJECT, Reason.SCORE)),
            (5, verdict_words(part_id, Outcome.PASS)),
        ]

    status, result, _ = start().with_station(lenient)
    assert (status, result["wrong_releases"], result["double"]) == (1, PARTS, PARTS)
    assert any(line.startswith("I2") for line in result["broken_promises"])


def test_a_pass_for_another_part_releases_nothing_and_breaks_i3(start: Start) -> None:
    def shifted(part_id: int, image: str) -> list[tuple[float, Words]]:
        return [(0, verdict_words(part_id + 1, Outcome.PASS))]

    status, result, _ = start("--settle-timeout", "0.2").with_station(shifted)
    assert (status, result["released"], result["foreign"]) == (1, 0, PARTS)
    assert result["unaccounted"] == PARTS


def test_a_late_pass_releases_nothing_and_breaks_i3(start: Start) -> None:
    def slow(part_id: int, image: str) -> list[tuple[float, Words]]:
        return [(BUDGET_MS + 60, verdict_words(part_id, Outcome.PASS))]

    status, result, _ = start().with_station(slow)
    assert (status, result["released"], result["late"], result["late_passes"]) == (1, 0, PARTS, PARTS)
    assert result["rejects"] == {"no_verdict": PARTS}
    assert result["unaccounted"] == 0


def test_a_late_reject_is_late_but_no_broken_promise(start: Start) -> None:
    def slow(part_id: int, image: str) -> list[tuple[float, Words]]:
        return [(BUDGET_MS + 60, verdict_words(part_id, Outcome.REJECT, Reason.LATE))]

    status, result, _ = start().with_station(slow)
    assert (status, result["late"], result["rejects"]) == (0, PARTS, {"no_verdict": PARTS})


def test_a_score_of_another_image_breaks_i4(start: Start) -> None:
    shown: list[str] = []

    def one_behind(part_id: int, image: str) -> list[tuple[float, Words]]:
        shown.append(image)
        return honest(part_id, shown[-2] if len(shown) > len(IMAGES["good"] + IMAGES["bad"]) else image)

    status, result, _ = start().with_station(one_behind)
    assert status == 1
    assert result["mixed_up"] > 0
    assert any(line.startswith("I4") for line in result["broken_promises"])


def test_a_miscount_breaks_i5(start: Start) -> None:
    status, result, _ = start("--settle-timeout", "0.7").with_station(honest, extra_parts=1)
    assert status == 1
    assert result["broken_promises"] == [
        f"I5: the station's counter parts grew by {PARTS + 1}, seen in the slots: {PARTS}"
    ]


@pytest.mark.parametrize("outage", ["plc down 100", "plc restart 100", "plc restart 100 keep"])
def test_an_outage_of_the_plc_is_nobodys_broken_promise(start: Start, tmp_path: Path, outage: str) -> None:
    (tmp_path / "faults.yaml").write_text(json.dumps([{"at_part": 8, "do": outage}]))
    parts = 3 * PARTS  # the last of them come long after the power
    run = start("--parts", str(parts), "--faults", str(tmp_path / "faults.yaml"))
    status, result, station = run.with_station(pass_all)
    assert (status, result["broken_promises"]) == (0, [])
    assert result["uncounted"] > 0
    assert result["parts"] == parts - result["uncounted"] == len(station.pulses) + result["gone_with_plc"]
    last = run.record()[-1]
    assert last["released"], "verdicts flow again after the outage"
    counted_since = sum(part["index"] >= 8 for part in run.record())
    assert last["part_id"] == (counted_since if outage == "plc restart 100" else result["parts"])


def test_camera_faults_go_to_the_camera(start: Start, tmp_path: Path) -> None:
    (tmp_path / "faults.yaml").write_text("- {at_part: 1, do: camera lose 1}")
    run = start("--faults", str(tmp_path / "faults.yaml"))
    station = StubStation(run.port, run.camera, lambda part, _: honest(part, "good-0"))
    station.run(lambda: bool(station.pulses))
    assert station.pulses == ["lose 1"]


def test_a_camera_that_refuses_a_pulse_ends_the_run(start: Start) -> None:
    run = start("--parts", "1000000")
    station = StubStation(run.port, run.camera, honest)
    station.run(lambda: station.parts >= 1)
    _, line = run.camera.recvfrom(256, socket.MSG_PEEK)  # the pulse is still the station's
    run.camera.sendto(b"error no image of this name", line)
    station.run(lambda: run.process.poll() is not None)
    assert run.process.returncode == 2


def test_sigterm_ends_the_run_in_order(start: Start) -> None:
    run = start("--parts", "1000000")
    station = StubStation(run.port, run.camera, honest)
    station.run(lambda: station.parts >= 5)
    run.process.send_signal(signal.SIGTERM)
    station.run(lambda: run.process.poll() is not None)
    result = json.loads((run.folder / "result.json").read_text())
    assert run.process.returncode == 0
    assert 5 <= result["parts"] < 1_000_000


def test_the_server_refuses_what_a_plc_would_refuse(start: Start) -> None:
    run = start()
    modbus = ModbusSocket(run.port)
    control = RegisterMap().control_address
    try:
        assert modbus.read(control, 1) == modbus.read(control, 1, function=4) == [1]
        for pdu, code in (
            (b"\x01\x00\x00\x00\x01", 1),  # coils: no such function
            (b"\x03\xff\x00\x00\x01", 2),  # no such register
            (b"\x06" + control.to_bytes(2, "big") + b"\x00\x00", 2),  # the PLC's own block
        ):
            with pytest.raises(ModbusRefusalError) as refusal:
                modbus.call(pdu)
            assert refusal.value.args == (code,)
    finally:
        modbus.close()


def _fails(folder: Path, *options: str) -> str:
    """Run linesim with bad input; return its error."""
    (folder / "images.json").write_text(json.dumps(IMAGES))
    done = subprocess.run(
        [sys.executable, str(LINESIM), "--images", str(folder / "images.json"), "--port", "0", *options],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--images", "nowhere.json"], "expected a readable file of image names"),
        (["--images", "/dev/null"], "expected {"),
        (["--rate", "0"], "above zero"),
        (["--budget-ms", "5000"], "a slot would be needed again"),
        (["--min-spacing-ms", "500"], "at most 1000 / rate"),
        (["--first-part-id", "0"], "1..65535"),
        (["--held-ms", "nan"], "--held-ms from 0"),
        (["--status-address", "10"], "overlaps"),
        (["--ready-timeout", "0.1"], "expected the station to write READY"),
        (["--faults", "nowhere.yaml"], "expected a readable list of faults"),
    ],
)
def test_bad_input_is_one_line_that_says_what_to_do(tmp_path: Path, options: list[str], said: str) -> None:
    assert said in _fails(tmp_path, *options)


def test_a_busy_port_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = _fails(tmp_path, "--port", str(taken.getsockname()[1]))
    assert "expected a free port" in said


def test_a_camera_that_is_not_open_is_said(start: Start) -> None:
    run = start("--camera", "/nowhere/camera.sock")
    station = StubStation(run.port, run.camera, honest)
    station.run(lambda: run.process.poll() is not None)
    assert run.process.returncode == 2


def test_nothing_of_inspector_is_known_but_the_registers() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import tools.linesim.cli;"
        "print(*sorted(m for m in sys.modules if m.split('.')[0] == 'inspector'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(LINESIM.parents[1])], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["inspector", "inspector.part", "inspector.plc", "inspector.plc.registers"]
