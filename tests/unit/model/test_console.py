"""What commands show is what is there, and what cannot be written is told before the work."""

import argparse
from pathlib import Path

import pytest

from inspector.clock import ManualClock
from inspector.errors import ModelError
from inspector.model.commands import register
from inspector.model.console import (
    PlainProgress,
    check_json,
    progress_bars,
    show_table,
    show_warnings,
    write_json,
)


def test_brackets_in_paths_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    show_table("Model pack [red]/7", [("image", "part[0]/[bold].png")], ["batch [day] differs"])
    show_warnings(["[/] is a folder"])
    shown = capsys.readouterr().out
    for text in ("[red]/7", "part[0]/[bold].png", "warning: batch [day] differs", "warning: [/] is a folder"):
        assert text in shown


def test_a_file_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing" / "figures.json"):
        with pytest.raises(ModelError, match="choose another --json"):
            check_json(path)
    check_json(None)
    for _ in range(2):  # new, and there already
        check_json(tmp_path / "figures.json")
        write_json(tmp_path / "figures.json", {"images": 1})


@pytest.mark.parametrize("command", [["fit"], ["evaluate", "missing", "--bad", "missing"]])
def test_both_commands_look_at_it_before_anything_else(tmp_path: Path, command: list[str]) -> None:
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers(required=True))
    args = parser.parse_args([*command, "--good", "missing", "--json", str(tmp_path)])
    with pytest.raises(ModelError, match="choose another --json"):
        args.run(args)


def test_a_log_hears_of_a_long_stage_now_and_then_and_of_a_quick_one_nothing() -> None:
    clock, said = ManualClock(), list[str]()
    progress = PlainProgress(("images", "features"), said.append, clock)
    for done in range(100):
        clock.advance_ms(1000)
        progress("features", done, 100)
    progress("trials", 1, 4)
    assert said == [f"2 of 2, features: {done} of 100" for done in (29, 59, 89)]


def test_where_there_is_no_terminal_there_are_no_bars(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars(("images",)) as progress:
        progress("images", 1, 2)
    assert capsys.readouterr() == ("", "")
