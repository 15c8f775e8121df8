"""What commands show is what is there, and what cannot be written is told before the work."""

import argparse
from pathlib import Path

import pytest

from inspector.errors import ModelError
from inspector.model.commands import register
from inspector.model.console import check_json, show_table, show_warnings, write_json


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
