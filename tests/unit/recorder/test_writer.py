"""The log has no silent gap (I8): whatever costs an entry, the next one that is written tells how many."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inspector.clock import ManualClock
from inspector.recorder import line
from inspector.recorder.files import LogFiles
from inspector.recorder.writer import Writer

STEM = "cell-1-20261122T120000.000Z"


class Disk(LogFiles):
    """Log files on a disk that can be full."""

    full = False

    def append(self, lines: bytes) -> None:
        """Append, or fail as a full disk does."""
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().append(lines)


class Bench:
    """A writer, its files and what it said to people."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.said: list[str] = []
        self.restart()

    def restart(self) -> None:
        self.disk = Disk(self.folder, STEM, "cell-1", file_bytes=10_000, files=5)
        self.writer = Writer(self.disk, ManualClock(), self.said.append)

    def feed(self, *numbers: int, **fields: Any) -> None:
        for number in numbers:
            self.writer.feed(line.numbered(number, line.encode("part", 0, fields)))

    def log(self) -> list[tuple[int, str]]:
        """Return number and event of each line; a `dropped` one with its count."""
        text = "".join(path.read_text() for path in sorted(self.folder.iterdir()))
        entries = [json.loads(one) for one in text.splitlines()]
        return [
            (e["seq"], f"dropped {e['count']}" if e["event"] == "dropped" else e["event"]) for e in entries
        ]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "logs")


def test_missing_numbers_are_one_entry(bench: Bench) -> None:
    bench.feed(0, 1, 5, 6)
    assert bench.log() == [(0, "part"), (1, "part"), (2, "dropped 3"), (5, "part"), (6, "part")]
    assert bench.said == ["<4>WARNING dropped count=3"]


def test_numbers_missing_at_the_start_are_seen(bench: Bench) -> None:
    bench.feed(2)
    assert bench.log() == [(0, "dropped 2"), (2, "part")]


def test_a_full_disk_costs_lines_but_never_their_count(bench: Bench) -> None:
    bench.feed(0)
    bench.disk.full = True
    bench.feed(1, 2, 3)
    bench.disk.full = False
    bench.feed(4)
    assert bench.log() == [(0, "part"), (1, "dropped 3"), (4, "part")]
    assert bench.said == [
        "<3>ERROR recorder_disk_fails error=No space left on device file=the log",
        "<4>WARNING recorder_disk_works",
        "<4>WARNING dropped count=3",
    ]


def test_an_entry_may_come_in_pieces(bench: Bench) -> None:
    whole = line.numbered(0, line.encode("part", 0, {}))
    for piece in (whole[:5], whole[5:-1], whole[-1:]):
        bench.writer.feed(piece)
    assert bench.log() == [(0, "part")]


def test_the_rest_of_an_entry_that_a_dead_recorder_began_is_dropped(bench: Bench) -> None:
    """It read the start of entry 1 and died; the next one finds the end of it in the pipe."""
    bench.feed(0)
    bench.restart()
    bench.writer.feed(line.numbered(1, line.encode("part", 0, {"a": 1}))[9:])
    bench.feed(2)
    assert bench.log() == [(0, "part"), (1, "dropped 1"), (2, "part")]


def test_a_new_recorder_goes_on_where_the_dead_one_left_off(bench: Bench) -> None:
    bench.feed(0, 3)
    with (bench.folder / f"{STEM}-000001.jsonl").open("a") as file:
        file.write('{"seq": 4, "torn')
    bench.restart()
    bench.feed(5)
    assert bench.log() == [(0, "part"), (1, "dropped 2"), (3, "part"), (4, "dropped 1"), (5, "part")]


def test_a_new_recorder_understands_a_log_that_ends_with_a_drop(bench: Bench) -> None:
    (bench.folder / f"{STEM}-000001.jsonl").write_text('{"seq": 4, "event": "dropped", "count": 6}\n')
    bench.restart()
    assert bench.writer.next_seq == 10


@pytest.mark.parametrize(
    "text", ["mine\n", "[]\n", '{"seq": 1}\n', '{"event": "a"}\n', '{"seq": "x", "event": "a"}\n']
)
def test_a_log_that_somebody_wrote_into_stops_nothing(bench: Bench, text: str) -> None:
    (bench.folder / f"{STEM}-000001.jsonl").write_text(text)
    bench.restart()
    assert bench.writer.next_seq == 0


def test_warnings_are_said_to_people_and_the_rest_is_not(bench: Bench) -> None:
    bench.feed(0)
    bench.feed(1, level="INFO")
    bench.feed(2, level="ERROR", error="gone")
    assert bench.said == ["<3>ERROR part error=gone"]


def test_a_station_that_said_goodbye_ended_in_order(bench: Bench) -> None:
    bench.feed(0)
    bench.writer.feed(line.numbered(1, line.encode("recorder_stopped", 0, {})))
    bench.writer.end()
    assert bench.log() == [(0, "part"), (1, "recorder_stopped")]


def test_a_station_that_did_not_say_goodbye_died(bench: Bench) -> None:
    bench.feed(0)
    bench.writer.end()
    assert bench.log() == [(0, "part"), (1, "station_died")]
    why = "the station ended without saying so (killed, crashed, or a second signal to stop); the last event was part"
    assert bench.said == [f"<3>ERROR station_died why={why}"]
    (log,) = bench.folder.iterdir()
    assert json.loads(log.read_text().splitlines()[-1])["why"] == why


def test_a_station_that_died_before_its_first_entry_died_too(bench: Bench) -> None:
    bench.writer.end()
    (said,) = bench.said
    assert said.endswith("; no event came since the recorder began")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["arrives", "no room", "disk full", "disk free", "recorder dies"]), max_size=40),
)
def test_no_gap_is_silent(tmp_path_factory: pytest.TempPathFactory, happenings: list[str]) -> None:
    bench = Bench(tmp_path_factory.mktemp("logs"))
    number = 0
    for happening in happenings:
        if happening == "recorder dies":
            bench.restart()
        elif happening.startswith("disk"):
            bench.disk.full = happening == "disk full"
        else:
            if happening == "arrives":
                bench.feed(number)
            number += 1
    bench.disk.full = False
    bench.feed(number)
    following = 0
    for seq, event in bench.log():
        assert seq == following
        following += int(event.split()[1]) if event.startswith("dropped") else 1
    assert following == number + 1
