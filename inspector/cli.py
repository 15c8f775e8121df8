"""The command `inspector`: finds the room that a command belongs to, and turns errors into one line and an exit status.

Exit status: 0 done, 1 failed, 2 the input (command line, configuration, files) cannot be used: trying again does not help, which
the service manager knows as well.
"""

import argparse
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from inspector import __version__, challenge_command
from inspector.bench import command as bench_command
from inspector.config import commands as config_commands
from inspector.config.argument import add_config
from inspector.doctor import command as doctor_command
from inspector.errors import ConfigError, FeatureError, HungError, InspectorError, ModelError, ProducerError
from inspector.model import commands as model_commands

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
BAD_INPUT = (
    ModelError,
    ProducerError,
    FeatureError,
)  # images, packs, options; the .cti file; camera.features


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    args = _parser().parse_args(arguments)
    try:
        status: int = args.run(args)
    except ConfigError as error:
        sys.stderr.write("".join(f"{problem}\n" for problem in error.problems))
        return EXIT_BAD_INPUT
    except HungError as error:
        _say(f"{error.code}: {error}")
        os._exit(EXIT_FAILED)  # the interpreter would wait for the thread for ever
    except InspectorError as error:
        _say(f"{error.code}: {error}")
        return EXIT_BAD_INPUT if isinstance(error, BAD_INPUT) else EXIT_FAILED
    except KeyboardInterrupt:
        _say("interrupted")
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last resort: a user gets one line, whoever mends it the whole story
        kept = _keep_traceback()
        _say(
            f"{InspectorError.code}: unexpected {type(error).__name__}: {error}; please report it, with {kept}"
        )
        return EXIT_FAILED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="inspector", description="Real-time production-line inspection.")
    parser.add_argument("--version", action="version", version=f"inspector {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run a station until it is told to stop")
    add_config(run)
    run.set_defaults(run=_run)
    config_commands.register(commands, _check_pack)
    model_commands.register(commands)
    challenge_command.register(commands)
    bench_command.register(commands)
    doctor_command.register(commands)
    return parser


def _check_pack(path: Path, frame_size: tuple[int, int] | None) -> str:
    from inspector.model.pack import load_pack
    from inspector.model.pack_line import line_of

    pack = load_pack(path)
    if frame_size is not None:
        pack.geometry.require_frame(*frame_size)
    return line_of(pack)


def _say(text: str) -> None:
    sys.stderr.write(" ".join(text.split()) + "\n")


def _keep_traceback() -> str:
    """Write the traceback of the error being handled into a file of its own; return its path."""
    try:
        with tempfile.NamedTemporaryFile("w", prefix="inspector-", suffix=".log", delete=False) as file:
            traceback.print_exc(file=file)
    except OSError as error:
        return f"a traceback that could not be kept ({error.strerror})"
    return file.name


def _run(args: argparse.Namespace) -> int:
    from inspector.config.loading import load
    from inspector.station import run

    run(load(args.config))
    return 0
