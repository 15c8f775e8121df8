"""Types of arguments that benchmarks share: what cannot be measured is refused at once, in one line."""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path


def at_least(least: int) -> Callable[[str], int]:
    """Return the type of whole numbers from `least` on."""

    def number(text: str) -> int:
        if not text.isascii() or not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number, {least} or more, got {text!r}")
        return int(text)

    return number


def in_steps(step: int) -> Callable[[str], int]:
    """Return the type of the multiples of `step`, but for 0."""

    def multiple(text: str) -> int:
        number = at_least(step)(text)
        if number % step:
            near = number - number % step
            raise argparse.ArgumentTypeError(
                f"expected a multiple of {step}, as {near} or {near + step}, got {text!r}"
            )
        return number

    return multiple


def above_zero(text: str) -> float:
    """Return the number. Raises ArgumentTypeError where it is none, or not above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return number


def zero_or_more(text: str) -> float:
    """Return the number. Raises ArgumentTypeError where it is none, or below 0."""
    try:
        return 0.0 if float(text) == 0 else above_zero(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, 0 or more, got {text!r}") from None


def checkout(text: str) -> Path:
    """Return the folder. Raises ArgumentTypeError where no Inspector is checked out there."""
    folder = Path(text).resolve()
    if not (folder / "inspector" / "station.py").is_file():
        raise argparse.ArgumentTypeError(f"expected a checkout of Inspector, {text} is none")
    return folder


def folder(text: str) -> Path:
    """Return the folder. Raises ArgumentTypeError where it is none."""
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"expected a folder, {text} is none")
    return path


def add_good(parser: argparse.ArgumentParser, *, area: str, turn: str) -> None:
    """Add what benchmarks on photographs of good parts share: GOOD, --size and --turns. `area`: whose; `turn`: what one is."""
    parser.add_argument("good", type=folder, metavar="GOOD", help="folder of good images")
    parser.add_argument(
        "--size",
        type=at_least(32),
        default=256,
        metavar="N",
        help=f"side of the square that has {area} area (default: %(default)s)",
    )
    parser.add_argument(
        "--turns",
        type=at_least(1),
        default=30,
        metavar="N",
        help=f"turns of {turn} each (default: %(default)s, enough for p99)",
    )


def spaced(values: Iterable[object]) -> str:
    """Return a default of several values as it would be given."""
    return " ".join(map(str, values))
