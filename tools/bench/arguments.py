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


def spaced(values: Iterable[object]) -> str:
    """Return a default of several values as it would be given."""
    return " ".join(map(str, values))
