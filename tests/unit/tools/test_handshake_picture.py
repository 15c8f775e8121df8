"""The picture of the handshake: what is drawn of a record, and what is refused."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tools.handshake import GREEN, GREY, RED, main

MS = 1_000_000


def part(index: int, verdict: int, *, reason: str, slot_ms: float | None, released: bool) -> dict[str, Any]:
    t_trigger = 1_000 * MS + index * 100 * MS
    return {
        "index": index,
        "part_id": index + 30,
        "t_trigger_ns": t_trigger,
        "t_deadline_ns": t_trigger + 80 * MS,
        "t_slot_ns": None if slot_ms is None else t_trigger + round(slot_ms * MS),
        "words": [] if slot_ms is None else [index + 30, verdict, 0, 0, 0, 1, 0, index + 30],
        "released": released,
        "reason": reason,
    }


RECORD = [
    part(1, 0x5A5A, reason="NONE", slot_ms=20, released=True),
    part(2, 0xA5A5, reason="SCORE", slot_ms=12.5, released=False),
    part(3, 0x5A5A, reason="no_verdict", slot_ms=95, released=False),
    part(4, 0, reason="link_down", slot_ms=None, released=False),
]


def picture(tmp_path: Path, *options: str) -> str:
    record, out = tmp_path / "parts.jsonl", tmp_path / "picture.svg"
    record.write_text("".join(json.dumps(part) + "\n" for part in RECORD))
    assert main([str(record), "--out", str(out), *options]) == 0
    return out.read_text()


def test_each_part_is_told_in_words(tmp_path: Path) -> None:
    said = picture(tmp_path)
    assert re.findall(r">(?:released|rejected): [^<]*", said) == [
        ">released: PASS after 20.0 ms",
        ">rejected: SCORE after 12.5 ms",
        ">rejected: no verdict in time",
        ">rejected: no verdict in time",
    ]
    assert ">part 31, slot 15<" in said
    assert ">part 32, slot 0<" in said


def test_each_slot_is_grey_until_its_verdict_and_then_of_its_colour(tmp_path: Path) -> None:
    bars = re.findall(
        r'<rect x="([\d.]+)" y="\d+" width="([\d.]+)" height="22" fill="(#\w+)"', picture(tmp_path)
    )
    spans = [(float(left), float(left) + float(width), colour) for left, width, colour in bars]
    assert [colour for *_, colour in spans] == [GREY, GREEN, GREY, RED, GREY, GREEN, GREY, RED]
    for cleared, verdict, ms in zip(spans[::2], spans[1::2], (20, 12.5, 80, 80), strict=True):
        whole = verdict[1] - cleared[0]
        assert cleared[1] == pytest.approx(verdict[0], abs=0.2)
        assert (cleared[1] - cleared[0]) / whole == pytest.approx(ms / 80, abs=0.01)


def test_some_of_the_parts_can_be_chosen(tmp_path: Path) -> None:
    said = picture(tmp_path, "--first", "2", "--parts", "1", "--slots", "10")
    assert re.findall(r">part [^<]*", said) == [">part 32, slot 2"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"index": "1"}', '{"part": 1}'])
def test_what_is_no_record_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    record = tmp_path / "parts.jsonl"
    record.write_text(text)
    assert main([str(record), "--out", str(tmp_path / "picture.svg")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"handshake: {record}: expected ")
    assert said.count("\n") == 1


def test_a_place_that_cannot_be_written_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "parts.jsonl"
    record.write_text(json.dumps(RECORD[0]))
    assert main([str(record), "--out", str(tmp_path)]) == 2
    assert "expected a place to write, got: Is a directory" in capsys.readouterr().err
