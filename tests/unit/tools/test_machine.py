"""tools/bench/machine.py: the one shape of the benchmarks' results."""

import argparse
import json
from pathlib import Path

import pytest

from tools.bench.machine import Machine, add_json, finish, write_rows


def parsed(*arguments: str) -> Path | None:
    parser = argparse.ArgumentParser()
    add_json(parser)
    file: Path | None = parser.parse_args(arguments).json
    return file


def test_rows_and_machine_are_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = parsed("--json", str(tmp_path / "rows.json"))
    rows: list[dict[str, object]] = [
        {"side": 256, "p50_ms": 7.123456, "p99_ms": None},
        {"side": 512, "p50_ms": 1234.5, "p99_ms": 0.1},
    ]
    with Machine() as machine:
        write_rows(file, rows[:1], machine)  # what is known so far
        assert file is not None
        assert len(json.loads(file.read_text())["rows"]) == 1
    finish(file, "A [title]", rows, machine, {"side": "px", "p50_ms": "ms", "p99_ms": "p99"}, seed=1)
    written = json.loads(file.read_text())
    assert written["rows"] == rows
    assert written["seed"] == 1
    assert written["machine"]["cores"] > 0
    shown = capsys.readouterr().out
    assert "A [title]" in shown
    assert [cell in shown for cell in ("7.12", "1,234", "-")] == [True] * 3
    assert "stalls above 1 ms" in shown


def test_a_file_that_cannot_be_written_is_told_before_the_benchmark_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong in (tmp_path, tmp_path / "none" / "rows.json"):
        with pytest.raises(SystemExit):
            parsed("--json", str(wrong))
        assert "expected a file that can be written" in capsys.readouterr().err
