"""`inspector check CONFIG`: say everything that is wrong with a configuration, before a line depends on it."""

import argparse
import sys

from inspector.config.argument import add_config
from inspector.config.loading import PackCheck, load
from inspector.errors import ConfigError

EXIT_USABLE = 0
EXIT_PROBLEMS = 2


def register(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]", check_pack: PackCheck | None = None
) -> None:
    """Add the command `check`, which asks `check_pack` about each model pack."""
    parser = subparsers.add_parser(
        "check",
        help="check a station's configuration file",
        description="Say everything that is wrong with a station's configuration, the producer's path and the model pack, "
        "before a line depends on it. Asks neither camera nor PLC. Exit status 0: usable, 2: not.",
    )
    add_config(parser)
    parser.add_argument(
        "--no-files",
        action="store_true",
        help="leave out the producer and the model pack, on a machine that is not the line PC",
    )
    parser.set_defaults(run=check, check_pack=check_pack)


def check(args: argparse.Namespace) -> int:
    """Print all problems of the file, one a line, on stderr; return 2 if there are any, else 0."""
    try:
        loaded = load(
            args.config,
            check_files=not args.no_files,
            check_pack=args.check_pack,
            check_machine=not args.no_files,
        )
    except ConfigError as error:
        sys.stderr.write("".join(f"{problem}\n" for problem in error.problems))
        return EXIT_PROBLEMS
    config = loaded.config
    sys.stdout.write(
        f"{args.config}: usable; station {config.station.name}, budget {config.station.budget_ms:g} ms, "
        f"PLC {config.plc.where}, sha256 {loaded.sha256[:12]}\n"
    )
    return EXIT_USABLE
