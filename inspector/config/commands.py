"""`inspector check CONFIG`: say everything that is wrong with a configuration, before a line depends on it."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from inspector.config.argument import add_config
from inspector.config.loading import load
from inspector.errors import ConfigError

# As loading.PackCheck, and says in a few words what the pack is.
PackLook = Callable[[Path, tuple[int, int] | None], str]

EXIT_USABLE = 0
EXIT_PROBLEMS = 2


def register(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]", check_pack: PackLook | None = None
) -> None:
    """Add the command `check`, which asks `check_pack` about each model pack."""
    parser = subparsers.add_parser(
        "check",
        help="check a station's configuration file",
        description="Say everything that is wrong with a station's configuration, the producer's path, the model packs and what "
        "this PC cannot grant, before a line depends on it. Of a usable one, say what each recipe decides by: model_hash is what the "
        "PLC reads in the status block, and what the log's full hash begins with. Asks neither camera nor PLC; what is "
        "doubtful is a warning. Exit status 0: usable, 2: not.",
    )
    add_config(parser)
    parser.add_argument(
        "--no-files",
        action="store_true",
        help="look at the text alone, on a machine that is not the line PC: leave out whether the producer and the model packs are "
        "there and whole, and whether this PC has the CPUs, folders, addresses and host names",
    )
    parser.set_defaults(run=check, check_pack=check_pack)


def check(args: argparse.Namespace) -> int:
    """Print all problems of the file, one a line, on stderr, or else what it holds on stdout; return 2 or 0."""
    packs: list[str] = []  # one for each recipe, in their order

    def check_pack(path: Path, frame_size: tuple[int, int] | None) -> None:
        packs.append(args.check_pack(path, frame_size))

    try:
        loaded = load(
            args.config,
            check_files=not args.no_files,
            check_pack=check_pack if args.check_pack else None,
            check_machine=not args.no_files,
        )
    except ConfigError as error:
        sys.stderr.write("".join(f"{problem}\n" for problem in error.problems))
        return EXIT_PROBLEMS
    sys.stderr.write("".join(f"{doubt}\n" for doubt in loaded.doubts))
    config = loaded.config
    sys.stdout.write(
        f"{args.config}: usable; station {config.station.name}, budget {config.station.budget_ms:g} ms, "
        f"PLC {config.plc.where}, sha256 {loaded.sha256[:12]}\n"
    )
    for recipe, pack in zip(
        config.all_recipes, packs, strict=False
    ):  # no packs are looked at with --no-files
        factor = f", times threshold_factor {recipe.threshold_factor:g}" * (recipe.threshold_factor != 1)
        sys.stdout.write(f"recipe {recipe.number}: {pack}{factor}\n")
    return EXIT_USABLE
