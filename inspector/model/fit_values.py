"""What the arguments of `inspector fit` may hold: text in, numbers or names out; anything else is told with an example."""

import math
from argparse import ArgumentTypeError
from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from inspector.model.options import MAXIMUM, ViewOptions

T = TypeVar("T")


def _as(example: str) -> Callable[[Callable[[str], T]], Callable[[str], T]]:
    """Let a function of text that raises ValueError tell the user what was expected."""

    def told(parse: Callable[[str], T]) -> Callable[[str], T]:
        @wraps(parse)
        def parsed(text: str) -> T:
            try:
                return parse(text)
            except ValueError as error:
                raise ArgumentTypeError(f"expected {example}, got {text!r}") from error

        return parsed

    return told


@_as("pixels as in 256 or 160,384")
def sizes(text: str) -> tuple[int, ...]:
    """Return sides of squares."""
    return tuple(int(part) for part in text.split(","))


def roi(text: str) -> tuple[int, int, int, int]:
    """Return x, y, width and height."""
    return _region(text, f"in {text!r}; write X,Y,W,H as in 100,50,640,480")


def view(text: str) -> ViewOptions:
    """Return name and region."""
    name, given, region = text.partition("=")
    ending = f"in {text!r}; write NAME=X,Y,W,H as in pins=100,50,200,200"
    if not (given and name.strip()):
        raise ArgumentTypeError(f"expected a name and '=' before the region, got none {ending}")
    return ViewOptions(name.strip(), _region(region, ending))


@_as("2 numbers as in 512,64")
def tiles(text: str) -> tuple[int, int]:
    """Return side and overlap, which is 64 where there is but one number."""
    side, overlap = (round(number) for number in _numbers(text if "," in text else f"{text},64", 2))
    return side, overlap


@_as("2 numbers as in 20,5")
def align(text: str) -> tuple[float, float]:
    """Return pixels and degrees."""
    pixels, degrees = _numbers(text.replace("px", "").replace("deg", ""), 2)
    return pixels, degrees


@_as("names of taps as in 7,10,14")
def taps(text: str) -> tuple[tuple[str, ...], ...]:
    """Return the names of each branch."""
    found = tuple(tuple(name.strip() for name in branch.split(",")) for branch in text.split("/"))
    _require(all(name for branch in found for name in branch))
    return found


@_as("max or an exponent as in 8")
def pooling(text: str) -> float:
    """Return the exponent."""
    return MAXIMUM if text == "max" else float(text)


def _region(text: str, ending: str) -> tuple[int, int, int, int]:
    """Return x, y, width and height. What is wrong is told in one line that ends in `ending`."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != len("XYWH"):
        raise ArgumentTypeError(f"expected 4 numbers of a region, got {len(parts)} {ending}")
    x, y, width, height = (_pixels(part, ending) for part in parts)
    if min(x, y) < 0:
        raise ArgumentTypeError(f"expected X and Y of at least 0, got {x} and {y} {ending}")
    if min(width, height) < 1:
        raise ArgumentTypeError(
            f"expected a width and height of at least 1 pixel, got {width} x {height} {ending}"
        )
    return x, y, width, height


def _pixels(text: str, ending: str) -> int:
    try:
        number = float(text)
    except ValueError as error:
        raise ArgumentTypeError(f"expected a number of pixels, got {text!r} {ending}") from error
    if not number.is_integer():
        raise ArgumentTypeError(f"expected whole pixels, got {text!r} {ending}")
    return int(number)


def _numbers(text: str, count: int) -> tuple[float, ...]:
    found = tuple(float(part) for part in text.split(","))
    _require(len(found) == count and all(map(math.isfinite, found)))
    return found


def _require(fits: bool) -> None:
    if not fits:
        raise ValueError("it does not fit")
