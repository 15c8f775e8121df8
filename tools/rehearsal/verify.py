"""Was every part decided by its own picture? Scores the images again, by themselves, and compares (I4 and I2)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from inspector.engine.base import Engine
from tools.rehearsal.folders import Sensor, Shown
from tools.rehearsal.result import PartOutcome

TOLERANCE = 0.01  # of one image by one engine: threads may add in another order; two images are further apart


def of_recipe(parts: Iterable[PartOutcome], recipe: int) -> list[PartOutcome]:
    """Return the parts that were decided by this recipe."""
    return [part for part in parts if part.verdict is not None and part.verdict["recipe"] == recipe]


def score_again(
    parts: Iterable[PartOutcome], shown: Mapping[str, Shown], sensor: Sensor, engine: Engine
) -> dict[str, float]:
    """Return the score of each image that was scored on the line, by its name."""
    names = {part.seen["image"] for part in parts if part.score is not None}
    return {name: engine.score(sensor.image(shown[name].path)).value for name in sorted(names)}


def mixed_up(parts: Iterable[PartOutcome], scores: Mapping[str, float]) -> list[PartOutcome]:
    """Return the parts whose recorded score is not that of the image they showed."""
    found = []
    for part in parts:
        if part.score is not None:
            own = scores[part.seen["image"]]
            if abs(part.score - own) > TOLERANCE * abs(own):
                found.append(part)
    return found


def blame(figures: dict[str, Any], found: Sequence[PartOutcome]) -> None:
    """Add what was found to the figures: a promise is broken, and a release by another part's picture is a wrong one."""
    if not found:
        return
    new = [part for part in found if not part.seen["mixed_up"]]  # linesim may have seen it too
    figures["mixed_up"] += len(new)
    figures["wrong_releases"] += sum(bool(part.seen["released"]) for part in new)
    first = found[0].seen
    figures["broken_promises"].append(
        f"I4: {len(found)} parts were decided by another part's picture, first part {first['index']} ({first['image']})"
    )
