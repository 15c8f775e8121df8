"""A configuration file is read completely, and every problem of it is named with its place."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inspector.config.loading import load
from inspector.errors import ConfigError
from tests.unit.config.smallest import SMALLEST, Write, problems, read


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
        "17:3: plc.port: expected a whole number, came the text '502'; write 502, without anything else",
        "18:3: plc.unit_id: expected a whole number, came 1.5",
        "20:13: realtime.cpus[1]: expected at least 0, came -1",
        "20:17: realtime.cpus[2]: expected a whole number, came the text 'a'",
        "21:1: extra: unknown key at the top; known: station, camera, model, recipes, plc, stops, challenge, recorder, realtime",
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
            "1:1: expected the sections station, camera, model at least, came an empty file",
        ),
        (
            "# nothing\n",
            "1:1: expected the sections station, camera, model at least, came an empty file",
        ),
        ("just words", "1:1: expected a section of `key: value` lines, came the text 'just words'"),
        ("- a\n- b\n", "1:1: expected a section of `key: value` lines without dashes, came a list"),
        ("station:\n\tname: x\n", "2:1: expected spaces, came a tab"),
        ("station: [1, 2\n", "1:1: expected a closing ], came `station: [1, 2`"),
        ("station: *nowhere\n", "1:1: expected quotes around such a value, as in `station: '*nowhere'`"),
        ("a: 1\n---\nb: 2\n", "2:1: expected one document, came a line `---`"),
        ("station: {a: b}}\n", "1:16: no valid YAML: while parsing a block mapping"),
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
