"""`inspector check CONFIG`: say everything that is wrong with a configuration, before a line depends on it."""

import argparse
import sys
from pathlib import Path

from inspector.config.loading import load
from inspector.errors import ConfigError

EXIT_USABLE = 0
EXIT_PROBLEMS = 2


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `check`."""
    parser = subparsers.add_parser("check", help="check a station's configuration file", description=__doc__)
    parser.add_argument("config", type=Path, help="the station's YAML file")
    parser.add_argument(
        "--no-files",
        action="store_true",
        help="do not ask for the producer and the model pack: not on the line PC",
    )
    parser.set_defaults(run=check)


def check(args: argparse.Namespace) -> int:
    """Print all problems of the file, one a line, on stderr; return 2 if there are any, else 0."""
    try:
        loaded = load(args.config, check_files=not args.no_files)
    except ConfigError as error:
        sys.stderr.write("".join(f"{problem}\n" for problem in error.problems))
        return EXIT_PROBLEMS
    config = loaded.config
    sys.stdout.write(
        f"{args.config}: usable; station {config.station.name}, budget {config.station.budget_ms:g} ms, "
        f"PLC {config.plc.host}:{config.plc.port}, sha256 {loaded.sha256[:12]}\n"
    )
    return EXIT_USABLE
