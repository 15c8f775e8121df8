"""Every wrong key, every contradiction and every missing file is one problem, with its place."""

import pytest

from inspector.config.loading import load
from tests.unit.config.smallest import SMALLEST, Write, problems, read


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("name: cell-1", "name: !!python/name:os.system x", "2:3: station.name: the tag"),
        (
            "name: cell-1",
            "name: !x y",
            "2:3: station.name: the tag !x is not used here: write the plain value",
        ),
        (
            "budget_ms: 100",
            "budget_ms: !!int twelve",
            "3:3: station.budget_ms: expected a value of the tag !!int",
        ),
        ("budget_ms: 100", "budget_ms:", "3:3: station.budget_ms: expected a number, came nothing"),
        ("budget_ms: 100", "budget_ms: .inf", "3:3: station.budget_ms: expected a finite number, came .inf"),
        (
            "budget_ms: 100",
            f"budget_ms: {'9' * 5000}",
            "3:3: station.budget_ms: expected a value of the tag !!int",
        ),
        ("  budget_ms: 100\n", "", "1:1: station.budget_ms: expected a number, came nothing"),
        (
            "budget_ms: 100",
            "budget_ms: 100\n  budget_ms: 9",
            "4:3: station.budget_ms: given twice, first in line 3",
        ),
        ("budget_ms: 100", "budget_ms: 100\n  ? [a, b]\n  : 1", "4:5: station: expected a word as a key"),
        (
            "budget_ms: 100",
            "budget_ms: 100\n  <<: {simulated: true}",
            "4:3: station.<<: unknown key in station",
        ),
        (
            "  device:\n    model: simcam",
            "  device: simcam",
            "6:3: camera.device: expected a section of `key: value`",
        ),
        (
            "model: simcam",
            "model: &m {a: *m}",
            "7:5: camera.device.model: expected one value, came a section",
        ),
        ("station:", "station: &s\n  <<: *s", "2:3: station.<<: unknown key"),
        ("pack: pack", "pack: [a]", "9:3: model.pack: expected one value, came a list"),
    ],
)
def test_a_wrong_key_is_one_problem(write: Write, old: str, new: str, problem: str) -> None:
    assert old in SMALLEST
    (found,) = problems(write(SMALLEST.replace(old, new)))
    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("addition", "problem"),
    [
        (
            "plc:\n  timeout_ms: 51\n",
            "11:3: plc.timeout_ms: expected at most half of station.budget_ms (50), came 51",
        ),
        (
            "plc:\n  poll_ms: 51\n",
            "11:3: plc.poll_ms: expected at most half of station.budget_ms (50), came 51",
        ),
        ("plc:\n  status_ms: 501\n", "11:3: plc.status_ms: expected at most 500, came 501"),
        (
            "plc:\n  write_margin_ms: 50\n",
            "11:3: plc.write_margin_ms: expected less than what station.budget_ms leaves",
        ),
        (
            "plc:\n  reconnect_first_ms: 2e3\n",
            "11:3: plc.reconnect_first_ms: expected at most reconnect_max_ms (1000)",
        ),
        (
            "plc:\n  heartbeat_timeout_ms: 5\n",
            "11:3: plc.heartbeat_timeout_ms: expected more than plc.poll_ms (5)",
        ),
        (
            "plc:\n  registers:\n    status_address: 100\n",
            "11:3: plc.registers: expected blocks that stand apart, came: results block 0..127 overlaps the status block",
        ),
        (
            "plc:\n  registers:\n    control_address: 65535\n",
            "11:3: plc.registers: expected blocks that stand apart, came: control block: addresses 65535..65542 leave",
        ),
        (
            "stops:\n  reject_rate: {rejects: 9, of_last: 8}\n",
            "11:3: stops.reject_rate: expected rejects of at most of_last, got 9 of 8",
        ),
        ("stops:\n  reasons: [SCORES]\n", "11:13: stops.reasons[0]: expected 'SCORE', 'LATE', "),
        (
            "challenge:\n  sequence: [good]\n",
            "10:1: challenge: expected a sequence of 1 to 16 parts, one of them bad at least, got good",
        ),
        ("plc:\n  registers:\n    slots: 500\n", "11:3: plc.registers: expected blocks that stand apart"),
        (
            "plc:\n  registers:\n    slots: 14\n",
            "12:5: plc.registers.slots: expected a number that goes into 65535 with most of it left or nothing",
        ),
    ],
)
def test_values_that_contradict_each_other_are_problems(write: Write, addition: str, problem: str) -> None:
    assert problems(write(SMALLEST + addition))[0].startswith(problem)


@pytest.mark.parametrize(
    ("latency", "problem"),
    [
        ("max: 100", "5:5: camera.latency_ms.max: expected below station.budget_ms (100), came 100"),
        ("min: 50", "5:5: camera.latency_ms.min: expected below latency_ms.max, which is half of"),
        ("min: 3, max: 2", "5:3: camera.latency_ms: expected min < max, got 3"),
    ],
)
def test_a_frame_must_be_able_to_come_in_time(write: Write, latency: str, problem: str) -> None:
    place = "  latency_ms:\n    " + latency if "," not in latency else f"  latency_ms: {{{latency}}}"
    text = SMALLEST.replace("  producer:", f"{place}\n  producer:")
    (found,) = problems(write(text))
    assert found.startswith(problem.replace("5:5", "6:5"))


@pytest.mark.parametrize("host", ["192.168.0.10", "plc.example", "10.0.0.1", "::2", "127.0.0.1.example"])
def test_a_simulated_station_stays_on_its_machine(write: Write, host: str) -> None:
    text = SMALLEST.replace("  name:", "  simulated: true\n  name:") + f'plc:\n  host: "{host}"\n'
    (found,) = problems(write(text))
    assert found.startswith(
        f"12:3: plc.host: expected a PLC of this machine, since the station is simulated, came {host}"
    )
    assert read(write(text + "  allow_simulated: true\n")).plc.host == host
    assert read(write(text.replace("simulated: true", "simulated: false"))).plc.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1.2.3", "::1", "LOCALHOST"])
def test_a_simulated_station_may_talk_to_its_machine(write: Write, host: str) -> None:
    text = SMALLEST.replace("  name:", "  simulated: true\n  name:") + f'plc:\n  host: "{host}"\n'
    assert read(write(text)).plc.host == host


def test_files_that_are_missing_are_problems(write: Write) -> None:
    path = write(SMALLEST)
    producer, pack = problems(path, check_files=True)
    assert producer.startswith(
        f"5:3: camera.producer: expected a GenTL producer (.cti file), but there is no file {path.parent}"
    )
    assert pack.startswith(
        f"9:3: model.pack: expected a model pack, but there is no folder {path.parent / 'pack'}"
    )
    assert "inspector fit" in pack
    (path.parent / "a.cti").touch()
    (path.parent / "pack").mkdir()
    assert load(path).config.station.name == "cell-1"


def test_a_replay_wants_a_folder_of_images(write: Write) -> None:
    path = write(SMALLEST.replace("  producer:", "  backend: replay\n  producer:"))
    assert problems(path, check_files=True)[0].startswith(
        "6:3: camera.producer: expected a folder of images to replay, but there is no folder"
    )
    (path.parent / "a.cti").mkdir()
    assert len(problems(path, check_files=True)) == 1
