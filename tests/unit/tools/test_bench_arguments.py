"""What the benchmarks say of themselves, and what they refuse before they begin."""

import argparse
import importlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.bench import arguments, path
from tools.bench.__main__ import MODULES


def main_of(name: str) -> Callable[[list[str]], int]:
    main: Callable[[list[str]], int] = importlib.import_module(f"tools.bench.{MODULES[name]}").main
    return main


@pytest.mark.parametrize("name", MODULES)
def test_help_names_the_command_and_the_default_of_each_value(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[argparse.ArgumentParser] = []

    def told(parser: argparse.ArgumentParser) -> None:
        asked.append(parser)

    monkeypatch.setattr(argparse.ArgumentParser, "print_help", told)
    with pytest.raises(SystemExit) as ended:
        main_of(name)(["--help"])
    [parser] = asked
    assert ended.value.code == 0
    assert parser.prog == f"tools/bench/{name}"
    for action in parser._actions:
        told_default = "default" in (action.help or "") or not action.default
        assert told_default or isinstance(action.default, bool | str), action.option_strings
        assert action.help, action.option_strings


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("path", ["--parts", "0"], "--parts: expected a whole number, 1 or more, got '0'"),
        ("path", ["--against", "/nope"], "--against: expected a checkout of Inspector, /nope is none"),
        ("path", ["--rate", "0"], "--rate: expected a number above 0, got '0'"),
        ("path", ["--engine-ms", "-1"], "--engine-ms: expected a number above 0, got '-1'"),
        ("rate", ["--against", "/nope"], "--against: expected a checkout of Inspector, /nope is none"),
        ("rate", ["--rate", "10", "x"], "--rate: expected a number above 0, got 'x'"),
        ("engine", ["--sides", "100"], "--sides: expected a multiple of 32, as 96 or 128, got '100'"),
        ("views", [".", "--views", "1"], "--views: expected a whole number, 2 or more, got '1'"),
        ("views", ["/nope"], "GOOD: expected a folder, /nope is none"),
        ("bank", [".", "--banks", "-3"], "--banks: expected a whole number, 1 or more, got '-3'"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once_in_one_line(
    name: str, given: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main_of(name)(given)
    assert ended.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"tools/bench/{name}: error: argument {words}"


def test_a_stand_in_may_take_no_time_at_all() -> None:
    assert arguments.zero_or_more("0") == 0
    assert arguments.zero_or_more("2.5") == 2.5


def test_this_checkout_is_one() -> None:
    root = Path(__file__).parents[3]
    assert arguments.checkout(str(root)) == root


@pytest.mark.parametrize(
    ("asleep", "asked"), [(False, "fifo_priority 50, lock_memory, stay_awake"), (True, "fifo_priority 50 alone")]
)  # fmt: skip
def test_the_legend_says_what_real_time_asks_for(*, asleep: bool, asked: str) -> None:
    [line] = [line for line in path.legend(asleep=asleep).splitlines() if line.startswith("FIFO")]
    assert re.fullmatch(r"FIFO +asked of `realtime`: (.*); the other rows: nothing", line)
    assert asked in line
