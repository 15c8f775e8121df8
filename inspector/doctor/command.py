"""The command `inspector doctor`: a page that a line engineer can read aloud to support."""

import argparse
from pathlib import Path

from inspector.doctor.facts import Section, as_json
from inspector.errors import ConfigError


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command; it sets `run`, a function of the parsed arguments that returns the exit status."""
    doctor = subparsers.add_parser("doctor", help="say what this machine is, and what to change about it")
    doctor.add_argument(
        "config",
        type=Path,
        nargs="?",
        metavar="CONFIG",
        help="a station's YAML file: its camera and disk are looked at too",
    )
    doctor.add_argument("--json", type=Path, metavar="FILE", help="write the findings as one JSON object")
    doctor.set_defaults(run=run_doctor)


def run_doctor(args: argparse.Namespace) -> int:
    """Look and show. Exit status 0 whatever is found: advice is no error.

    Raises ConfigError for a configuration that cannot be used, once all that is known without it is shown.
    """
    from inspector.model.console import check_json, write_json

    check_json(args.json)
    unusable: ConfigError | None = None
    try:
        sections = examine(args.config)
    except ConfigError as error:
        unusable, sections = error, examine(None)
    show(sections)
    write_json(args.json, as_json(sections))
    if unusable is not None:
        raise unusable
    return 0


def examine(config: Path | None) -> list[Section]:
    """Return all findings. Raises ConfigError for a configuration that cannot be used."""
    from inspector.doctor.graphics import gpu_facts, runtime_facts
    from inspector.doctor.machine import camera_facts, disk_facts, machine_facts, realtime_facts

    folders, producers = [Path.cwd()], []
    if config is not None:
        from inspector.config.loading import load

        loaded = load(config)
        folders = [
            loaded.resolve(loaded.config.recorder.folder),
            loaded.resolve(loaded.config.station.state_folder),
        ]
        if loaded.config.camera.producer.endswith(".cti"):
            producers = [loaded.resolve(loaded.config.camera.producer)]
    return [
        ("machine", machine_facts()),
        ("real time", realtime_facts()),
        ("GPU", gpu_facts()),
        ("engines", runtime_facts()),
        ("cameras", camera_facts(*producers)),
        ("disk", disk_facts(*dict.fromkeys(folders))),
    ]


def show(sections: list[Section]) -> None:
    """Print the page: the facts, then what to change."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    for heading, facts in sections:
        table = Table(
            box=None,
            show_header=False,
            title=heading,
            title_justify="left",
            title_style="bold",
            pad_edge=False,
        )
        table.add_column(min_width=26)
        table.add_column(overflow="fold")
        for fact in facts:
            table.add_row(escape(fact.what), escape(fact.value))
        console.print(table)
    advice = [fact for _, facts in sections for fact in facts if fact.advice]
    console.print("[bold]to change[/bold]")
    for number, fact in enumerate(advice, start=1):
        console.print(f"{number}. {escape(fact.what)} is {escape(fact.value)}: {escape(fact.advice)}")
    if not advice:
        console.print("nothing")
