"""The conveyor: which part comes next, and when. Seeded, so that a run can be repeated."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

NS_PER_S = 1_000_000_000


class InputError(Exception):
    """What the user gave cannot be used; the message is one line and says what to do."""


@dataclass(frozen=True, slots=True)
class Item:
    """One part before it is counted: the image that shows it, by the camera's name for it, and its truth."""

    image: str
    good: bool


def read_items(path: Path) -> list[Item]:
    """Return the parts that the file `path` names: a JSON object {"good": [image, ...], "bad": [image, ...]}."""
    try:
        named = json.loads(path.read_text(encoding="utf-8"))
        items = [Item(image, truth == "good") for truth in ("good", "bad") for image in named.get(truth, [])]
    except OSError as error:
        raise InputError(f"{path}: expected a readable file of image names, got: {error.strerror}") from error
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(f'{path}: expected {{"good": [image, ...], "bad": [...]}}, got: {error}') from error
    if not items:
        raise InputError(f"{path}: expected at least one image under good or bad, got none")
    return items


def deal(items: Sequence[Item], rng: random.Random) -> Iterator[Item]:
    """Yield parts for ever: every image once in random order, then all again in another order."""
    deck = list(items)
    while True:
        rng.shuffle(deck)
        yield from deck


def least_spacing_ms(rate_hz: float) -> float:
    """Return the least time between two parts where nothing else is asked for."""
    return 600 / rate_hz


def check_budget(budget_ms: float, least_ms: float, slots: int) -> None:
    """Raise InputError where a part's slot would be needed again before the gate has read it."""
    most_ms = least_ms * (slots - 1)
    if budget_ms >= most_ms:
        raise InputError(
            f"expected a budget below {most_ms:g} ms, got {budget_ms:g}: with {slots} slots and a part every "
            f"{least_ms:g} ms a slot would be needed again before it is read"
        )


def spacings_ns(rate_hz: float, min_spacing_ms: float, rng: random.Random) -> Iterator[int]:
    """Yield the time to the next part for ever: never below the minimum, exponential above it, 1 / rate on average.

    Independent arrivals with a dead time are the hard case: parts come in bunches, and the line is at times empty.
    """
    least = min_spacing_ms * 1e-3
    mean_above = 1 / rate_hz - least
    while True:
        above = rng.expovariate(1 / mean_above) if mean_above > 0 else 0.0
        yield round((least + above) * NS_PER_S)
