"""An entry on its way and in the file: always one line, always JSON, never longer than the pipe takes whole."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.recorder import line

NS = 1_000_000_000
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


def round_trip(event: str, fields: line.Fields) -> dict[str, object]:
    """Return the entry as a reader of the log file finds it."""
    sent = line.numbered(7, line.encode(event, 5 * NS, fields))
    assert sent.endswith(b"\n")
    assert len(sent) <= line.LONGEST
    decoded = line.decode(sent)
    assert decoded is not None
    seq, event, t_ns, fields = decoded
    written = line.written(seq, event, t_ns, 6 * NS, fields)
    assert written.count(b"\n") == 1
    entry: dict[str, object] = json.loads(
        written, parse_constant=lambda word: pytest.fail(f"{word} is no JSON")
    )
    return entry


@given(st.text(), st.dictionaries(st.text(), values, max_size=5))
def test_whatever_is_recorded_is_one_line_of_json(event: str, fields: line.Fields) -> None:
    entry = round_trip(event, fields)
    assert entry["seq"] == 7
    assert entry["t_ns"] == 5 * NS


def test_fields_come_after_what_every_entry_has() -> None:
    entry = round_trip("verdict", {"part_id": 3, "outcome": "PASS", "folder": Path("a/b")})
    assert list(entry) == ["seq", "t_ns", "utc", "event", "part_id", "outcome", "folder"]
    assert entry["folder"] == "a/b"


def test_the_label_is_the_time_of_the_entry() -> None:
    early = json.loads(line.written(0, "a", 0, 3600 * NS, {}))["utc"]
    late = json.loads(line.written(0, "a", 3600 * NS, 3600 * NS, {}))["utc"]
    assert early < late
    assert late.endswith("+00:00")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_what_is_no_number_is_null(value: float) -> None:
    entry = round_trip("score", {"score": value, "list": [value, 1.5], "map": {"a": value}})
    assert (entry["score"], entry["list"], entry["map"]) == (None, [None, 1.5], {"a": None})


def test_numbers_of_numpy_are_numbers() -> None:
    entry = round_trip("score", {"score": np.float32(0.5), "count": np.int64(3), "good": np.bool_(True)})
    assert (entry["score"], entry["count"], entry["good"]) == (0.5, 3, True)


def test_what_json_has_no_word_for_is_its_text() -> None:
    entry = round_trip("odd", {"array": np.arange(3), "set": {1}, "type": int, "bytes": b"a"})
    assert (entry["array"], entry["set"], entry["type"], entry["bytes"]) == (
        "[0 1 2]",
        "{1}",
        "<class 'int'>",
        "b'a'",
    )


def test_a_field_cannot_forge_the_number() -> None:
    entry = round_trip("a", {"seq": 99, "event": "b", "t_ns": 1, "utc": "then"})
    assert (entry["seq"], entry["seq_"]) == (7, 99)
    assert (entry["event"], entry["event_"]) == ("a", "b")


@pytest.mark.parametrize("text", ["x" * 9000, '"' * 9000, "\u00e9" * 9000, "\n" * 9000])
def test_an_entry_too_long_for_the_pipe_keeps_its_start(text: str) -> None:
    entry = round_trip("big", {"level": "ERROR", "text": text})
    assert entry["level"] == "ERROR"
    assert entry["length"] > 9000  # type: ignore[operator]
    assert str(entry["excerpt"]).startswith('["big",5000000000,{"level":"ERROR","text":')


@pytest.mark.parametrize(
    "torn",
    [
        b"",
        b"\n",
        b"0000,{}]]",
        b"[7,",
        b"{}",
        b"[1,2]",
        b'["a",["b",1,{}]]',
        b"\xff",
        b"null",
        b'[1,["a",1,2]]',
    ],
)
def test_what_is_no_entry_is_none(torn: bytes) -> None:
    assert line.decode(torn) is None


@pytest.mark.parametrize(("level", "severity"), [("WARNING", 4), ("ERROR", 3), ("CRITICAL", 2), ("INFO", 5)])
def test_people_get_one_line_with_its_severity(level: str, severity: int) -> None:
    fields = {"level": level, "serial": "0012", "error": "two\nlines", "traceback": "long"}
    assert (
        line.for_people("camera_lost", fields)
        == f"<{severity}>{level} camera_lost serial=0012 error=two lines"
    )
