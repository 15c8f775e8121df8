"""The command `inspector`: finds the room that a command belongs to, and turns errors into one line and an exit status.

Exit status: 0 done, 1 failed, 2 the input (command line, configuration, files) cannot be used.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from inspector import __version__
from inspector.config import commands as config_commands
from inspector.errors import ConfigError, InspectorError
from inspector.model import commands as model_commands

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    args = _parser().parse_args(arguments)
    try:
        status: int = args.run(args)
    except ConfigError as error:
        sys.stderr.write("".join(f"{problem}\n" for problem in error.problems))
        return EXIT_BAD_INPUT
    except InspectorError as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        return EXIT_FAILED
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="inspector", description="Real-time production-line inspection.")
    parser.add_argument("--version", action="version", version=f"inspector {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run a station until it is told to stop")
    run.add_argument("config", type=Path, help="the station's YAML file")
    run.set_defaults(run=_run)
    config_commands.register(commands)
    model_commands.register(commands)
    return parser


def _run(args: argparse.Namespace) -> int:
    from inspector.config.loading import load
    from inspector.station import run

    run(load(args.config))
    return 0
