"""The accuracy benchmark: its figures, and that it runs."""

import json
from pathlib import Path

import numpy as np
import pytest

from inspector.model.metrics import auroc
from tests.support.plates import part, scratched, write
from tools.bench import accuracy


def test_the_error_is_that_of_repeated_samples() -> None:
    """DeLong's error against the spread over many samples of the same two distributions."""
    rng = np.random.default_rng(0)
    draws = [accuracy.auroc_with_error(rng.normal(0, 1, 60), rng.normal(1, 1, 40)) for _ in range(400)]
    values, errors = np.array(draws).T
    assert np.mean(errors) == pytest.approx(values.std(), rel=0.1)


def test_the_figure_is_the_auroc() -> None:
    rng = np.random.default_rng(1)
    good, bad = rng.integers(0, 9, 50).astype(float), rng.integers(3, 12, 30).astype(float)
    assert accuracy.auroc_with_error(good, bad)[0] == pytest.approx(auroc(good, bad))


def test_a_folder_of_tiles_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for index in range(24):
        write(tmp_path / "train" / "good" / f"{index}.png", part(rng))
    for index in range(6):
        write(tmp_path / "test" / "good" / f"{index}.png", part(rng))
        write(tmp_path / "test" / "scratch" / f"{index}.png", scratched(rng)[0])
    monkeypatch.setattr(accuracy, "SIZES", (64, 96))
    monkeypatch.setattr(accuracy, "METHODS", ("nearest",))
    arguments = ["--tiles", str(tmp_path), "--no-solar", "--no-tuned", "--quick"]
    assert accuracy.main([*arguments, "--json", str(tmp_path / "rows.json")]) == 0
    written = json.loads((tmp_path / "rows.json").read_text())
    rows = written["rows"]
    assert [row["what"] for row in rows] == ["default", "fixed", "fixed", "fixed", "fixed"]
    assert {row["set"] for row in rows} == {"magnetic tiles"}
    assert all(0.5 < row["auroc"] <= 1 and row["engine_ms"] > 0 for row in rows)
    assert all(not isinstance(value, dict | list) for row in rows for value in row.values())
    assert capsys.readouterr().out.count("AUROC") == 5


def test_nothing_to_measure_on_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert accuracy.main(["--no-solar"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert accuracy.main(["--no-solar", "--tiles", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
