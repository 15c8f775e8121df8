"""`inspector bench` on a small pack: what it prints and writes, and what it refuses. What it measures is for people to judge."""

import fcntl
import json
from pathlib import Path

import pytest

from tests.support.daemon import inspector, write_config

STAGES = ["handed", "prepared", "scored", "woken", "written", "all"]


def station(folder: Path, pack: Path, *, budget_ms: float = 60_000, camera_ms: float = 25) -> Path:
    """Write the file of a station whose PLC and camera do not exist: neither is asked."""
    return write_config(
        folder,
        producer=folder / "none.cti",
        pack=pack,
        port=1,
        station={"budget_ms": budget_ms},
        camera={"latency_ms": {"max": camera_ms}},
    )


def test_stages_candidates_and_machine_are_shown_and_written(tmp_path: Path, pack: Path) -> None:
    config = station(tmp_path, pack)
    done = inspector("bench", config, "--seconds", 5, "--frame", "240x240", "--json", tmp_path / "rows.json")
    assert (done.returncode, done.stderr) == (0, "")
    for text in (
        "from the frame to the verdict",
        "IT FITS",
        "image (--size)",
        "bank (--bank)",
        "parts a second",
    ):
        assert text in done.stdout
    assert "assumed" not in done.stdout
    written = json.loads((tmp_path / "rows.json").read_text())
    rows = written["rows"]
    assert [row["stage"] for row in rows if row["kind"] == "stage"] == STAGES
    whole = [row["p50_ms"] for row in rows if row["kind"] == "stage"]
    assert max(whole[:-1]) < whole[-1] < 2 * sum(whole[:-1])
    own, *others = [row for row in rows if row["kind"] != "stage"]
    assert (own["kind"], own["side"], own["bank"]) == ("own", 96, 150)
    assert {row["kind"] for row in others} <= {"image", "bank"}
    assert all(not isinstance(value, dict | list) for row in rows for value in row.values())
    assert written["fits"] is True
    assert written["largest_side"] >= 96
    assert written["machine"]["cores"] > 0


def test_a_budget_that_is_too_short_is_told_with_what_would_help(tmp_path: Path, pack: Path) -> None:
    config = station(tmp_path, pack, budget_ms=10, camera_ms=7.9)
    done = inspector("bench", config, "--seconds", 5)
    assert done.returncode == 1, done.stderr
    assert "IT DOES NOT FIT" in done.stdout
    assert "it would not fit without the engine either" in " ".join(done.stdout.split())
    assert "frames of 1200 x 1200 pixels, since nothing states" in " ".join(done.stdout.split())


def test_beside_a_running_station_nothing_is_measured(tmp_path: Path, pack: Path) -> None:
    config = station(tmp_path, pack)
    (tmp_path / "state").mkdir()
    with (tmp_path / "state" / "cell.lock").open("w") as held:
        held.write("4711\n")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        done = inspector("bench", config)
    assert done.returncode == 1
    assert done.stderr.startswith("SVC-001: station cell is running (pid 4711)")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--recipe", "7"], "expected a recipe among 1, got 7"),
        (["--frame", "640x100"], "expected frames of width"),
        (["--plc"], "PLC-001: PLC 127.0.0.1:1: no connection"),
        (["--json", "/none/rows.json"], "expected a file that the figures can be written to"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    tmp_path: Path, pack: Path, arguments: list[str], told: str
) -> None:
    done = inspector("bench", station(tmp_path, pack), *arguments)
    assert done.returncode != 0
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("wrong", [["--frame", "big"], ["--margin", "99"], ["--seconds", "nan"]])
def test_an_argument_that_is_none_is_told(tmp_path: Path, pack: Path, wrong: list[str]) -> None:
    done = inspector("bench", station(tmp_path, pack), *wrong)
    assert done.returncode == 2
    assert "expected" in done.stderr
