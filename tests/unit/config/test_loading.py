"""A configuration file is read completely, and every problem of it is named with its place."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inspector.config.loading import load
from inspector.config.schema import Config
from inspector.errors import ConfigError

SMALLEST = """\
station:
  name: cell-1
  budget_ms: 100
camera:
  producer: a.cti
  device:
    model: simcam
model:
  pack: pack
"""

Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(content: str | bytes) -> Path:
        path = tmp_path / "station.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


def problems(path: Path, *, check_files: bool = False) -> list[str]:
    """Return the problems of the file, without its name."""
    with pytest.raises(ConfigError) as caught:
        load(path, check_files=check_files)
    assert all(problem.startswith(f"{path}:") for problem in caught.value.problems)
    assert all("\n" not in problem for problem in caught.value.problems)
    return [problem.removeprefix(f"{path}:") for problem in caught.value.problems]


def read(path: Path) -> Config:
    return load(path, check_files=False).config


def test_the_smallest_file_has_all_defaults(write: Write) -> None:
    config = read(write(SMALLEST))
    assert config.timeout_ms == config.latency_max_ms == 50
    assert config.plc.registers.slots == 16


def test_the_hash_is_of_the_file_as_it_is(write: Write) -> None:
    path = write(SMALLEST)
    assert load(path, check_files=False).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_relative_paths_count_from_the_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(SMALLEST)
    monkeypatch.chdir(path.parent.parent)
    loaded = load(path.relative_to(path.parent.parent), check_files=False)
    assert loaded.resolve("a.cti") == path.parent / "a.cti"


def test_all_problems_come_at_once_and_in_order(write: Write) -> None:
    path = write(
        """\
station:
  name: "a b"
  budget_ms: yes
  simulatd: true
camera:
  device: {serial_number: 0012, model: x}
  features:
    Gain: {a: 1}
    Foo:
    X: .nan
    X: 2
model:
  pack: 5
  engine: openvin
  recipe: 70000
plc:
  port: "502"
  unit_id: 1.5
realtime:
  cpus: [0, -1, a]
extra: 1
"""
    )
    assert problems(path) == [
        "2:3: station.name: expected 1 to 32 letters, digits, - or _, a letter or digit first, came the text 'a b'",
        "3:3: station.budget_ms: expected a number, came the text 'yes'",
        "4:3: station.simulatd: unknown key in station; did you mean simulated?",
        "5:1: camera.producer: expected text, came nothing; config/station.example.yaml shows every key",
        "6:3: camera.device: expected exactly one of serial_number, model, user_defined_name",
        "8:5: camera.features.Gain: expected one value, came a section",
        "9:5: camera.features.Foo: expected a value, came nothing",
        "10:5: camera.features.X: expected a finite number, came .nan",
        "11:5: camera.features.X: given twice, first in line 10, column 5",
        "14:3: model.engine: expected 'auto', 'openvino' or 'tensorrt', came the text 'openvin'; did you mean openvino?",
        "15:3: model.recipe: expected at most 65535, came 70000",
        "17:3: plc.port: expected a whole number, came the text '502'",
        "18:3: plc.unit_id: expected a whole number, came 1.5",
        "20:13: realtime.cpus[1]: expected at least 0, came -1",
        "20:17: realtime.cpus[2]: expected a whole number, came the text 'a'",
        "21:1: extra: unknown key at the top; known: station, camera, model, plc, recorder, realtime",
    ]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("On", "On"),
        ("Off", "Off"),
        ("yes", "yes"),
        ("true", True),
        ("False", False),
        ("'true'", "true"),
        ("1e3", 1000.0),
        ("5.", 5.0),
        ("0x1F", 31),
        ("010", 10),
        ("-3", -3),
        ("1:30", "1:30"),
        ("2026-11-22", "2026-11-22"),
        ("1_000", "1_000"),
        ('"Line 0"', "Line 0"),
    ],
)
def test_a_feature_means_what_its_user_sees(write: Write, written: str, meant: object) -> None:
    text = SMALLEST.replace("  device:", f"  features:\n    Feature: {written}\n  device:")
    value = read(write(text)).camera.features["Feature"]
    assert (value, type(value)) == (meant, type(meant))


@pytest.mark.parametrize("written", ["0012345", "1e5", "1.10", "on", "true", "'7'"])
def test_text_stays_as_written(write: Write, written: str) -> None:
    device = read(write(SMALLEST.replace("model: simcam", f"serial_number: {written}"))).camera.device
    assert device.serial_number == written.strip("'")


def test_features_keep_their_order(write: Write) -> None:
    text = SMALLEST.replace(
        "  device:", "  features: {Width: 1, AcquisitionMode: Continuous, Gain: 2}\n  device:"
    )
    assert list(read(write(text)).camera.features) == ["Width", "AcquisitionMode", "Gain"]


def test_anchors_and_comments_are_read(write: Write) -> None:
    text = SMALLEST.replace("budget_ms: 100", "budget_ms: &t 100  # ms") + "plc:\n  status_ms: *t\n"
    assert read(write(text)).plc.status_ms == 100


def test_an_empty_section_is_one_without_keys(write: Write) -> None:
    text = SMALLEST.replace("  device:", "  features:\n  device:") + "plc:\nrealtime:\n  cpus:\n"
    config = read(write(text))
    assert config.camera.features == {}
    assert config.realtime.cpus == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            "",
            "1:1: expected the sections station, camera, model, plc, recorder, realtime, came an empty file",
        ),
        (
            "# nothing\n",
            "1:1: expected the sections station, camera, model, plc, recorder, realtime, came an empty file",
        ),
        ("just words", "1:1: expected a section of `key: value` lines, came the text 'just words'"),
        ("- a\n- b\n", "1:1: expected a section of `key: value` lines, came a list"),
        (
            "station:\n\tname: x\n",
            "2:1: no valid YAML: while scanning for the next token, found character '\\t'",
        ),
        ("station: [1, 2\n", "2:1: no valid YAML: while parsing a flow sequence, expected ',' or ']'"),
        ("station: *nowhere\n", "1:10: no valid YAML: found undefined alias"),
        ("a: 1\n---\nb: 2\n", "2:1: no valid YAML: expected a single document in the stream"),
        ("station:\n  name: b\x07d\n", "2:10: no valid YAML: the character '\\x07' is not allowed"),
        (
            b"station:\n  name: M\xfcller\n",
            "2:10: expected UTF-8 text, came the byte 0xfc; save the file as UTF-8",
        ),
        ("[" * 5000, "1:1: no valid configuration: nested too deeply"),
    ],
)
def test_what_is_no_configuration_is_one_problem(write: Write, content: str | bytes, problem: str) -> None:
    (found,) = problems(write(content))
    assert found.startswith(problem)


def test_a_byte_order_mark_is_no_problem(write: Write) -> None:
    assert read(write("\ufeff" + SMALLEST)).station.name == "cell-1"


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
            "11:3: plc.registers: expected blocks that stand apart, came: control block: addresses 65535..65540 leave",
        ),
        ("plc:\n  registers:\n    slots: 500\n", "11:3: plc.registers: expected blocks that stand apart"),
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


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: expected a station's YAML file, .* No such file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(SMALLEST)),
            st.sampled_from(
                [
                    "",
                    "\t",
                    "\n",
                    "---\n",
                    "*a",
                    "&a ",
                    "!!int ",
                    "!<",
                    "? ",
                    "[",
                    "{",
                    "'",
                    "|",
                    "- ",
                    "%YAML 1.3\n",
                ]
            )
            | st.text(max_size=3),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_nothing_but_a_configuration_or_its_problems_comes_back(
    write: Write, edits: list[tuple[int, str]]
) -> None:
    text = SMALLEST
    for place, addition in edits:
        text = text[:place] + addition + text[place + 1 :]
    path = write(text.encode("utf-8", "replace"))
    found = [f"{path}:"]
    try:
        load(path, check_files=False)
    except ConfigError as error:
        found = error.problems
    assert found
    assert all(problem.startswith(f"{path}:") and "\n" not in problem for problem in found)


def test_a_huge_file_is_refused(write: Write) -> None:
    path = write(b"#" * (1 << 20) + b"\n")
    with pytest.raises(ConfigError, match="at most 1 MiB"):
        load(path)


def test_a_replay_wants_a_folder_of_images(write: Write) -> None:
    path = write(SMALLEST.replace("  producer:", "  backend: replay\n  producer:"))
    assert problems(path, check_files=True)[0].startswith(
        "6:3: camera.producer: expected a folder of images to replay, but there is no folder"
    )
    (path.parent / "a.cti").mkdir()
    assert len(problems(path, check_files=True)) == 1
