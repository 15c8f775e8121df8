"""`inspector check`: status 0 and one line for a usable file, status 2 and every problem for another."""

import argparse
from pathlib import Path

import pytest

from inspector.config import commands

EXAMPLE = Path(__file__).parents[3] / "config" / "station.example.yaml"


def check(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    commands.register(parser.add_subparsers())
    args = parser.parse_args(["check", *map(str, arguments)])
    return int(args.run(args))


def test_a_usable_file_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(EXAMPLE, "--no-files") == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{EXAMPLE}: usable; station cell-1, budget 100 ms, PLC 127.0.0.1:502, sha256 ")
    assert out.count("\n") == 1
    assert err == ""


def test_every_problem_is_a_line_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "line.yaml"
    path.write_text("station:\n  nam: x\nmodel: {}\n")
    assert check(path) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(": ")[1] for line in err.splitlines()] == [
        "camera",
        "station.budget_ms",
        "station.nam",
        "model.pack",
    ]


def test_each_recipe_is_told_with_its_model_and_its_factor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("imgs", "pack", "bolt"):
        (tmp_path / name).mkdir()
    path = tmp_path / "line.yaml"
    path.write_text(
        "station: {name: a, budget_ms: 100}\n"
        "camera: {backend: replay, producer: imgs, device: {model: x}}\n"
        "model: {pack: pack}\n"
        "recipes: [{number: 7, pack: bolt, threshold_factor: 1.5}]\n"
        "plc: {registers: {control_address: 40301}}\n"
    )
    parser = argparse.ArgumentParser()
    commands.register(parser.add_subparsers(), lambda pack, _: f"model {pack.name}")
    args = parser.parse_args(["check", str(path)])
    assert args.run(args) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1:] == [
        "recipe 1: model pack",
        "recipe 7: model bolt, times threshold_factor 1.5",
    ]
    assert "control_address: warning:" in err
