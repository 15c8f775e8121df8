"""Good images of a kind of their own: a whole batch or family that no held-out model would have let pass.

Held out as a whole, such a kind says what a batch of an unknown kind would get: rejection. It must not say where the threshold lies,
since the final model has seen it. Were it let to, one odd family of forty solar cells in four hundred would push the threshold
above every bad one (measured: 2.04, recall 0), and a bad part released is worse than a good one lost.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.model.batches import LEAST, Batches

_MOST = 1 / 3  # of all images: beyond, the odd ones would be the rule


@dataclass(frozen=True, slots=True)
class Kind:
    """A batch or family that stands apart: `members` bool (n,), and what it is called."""

    members: NDArray[np.bool_]
    name: str


def own_kinds(scores: NDArray[np.float64], batches: Batches, rate: float) -> tuple[Kind, ...]:
    """Return the kinds whose median held-out score lies above the (1 - rate) quantile of all other images, the oddest first.

    After each, the rest is looked at again without it. At most a third of all images are taken out.
    """
    kept = np.ones(len(scores), np.bool_)
    found: list[Kind] = []
    groups = list(_groups(batches))
    while True:
        candidates = [
            (float(np.median(scores[own])), group)
            for group in groups
            if (own := group.members & kept).sum() >= LEAST
        ]
        for middle, group in sorted(candidates, key=lambda candidate: -candidate[0]):
            own, others = group.members & kept, kept & ~group.members
            allowed = (~kept | own).sum() <= _MOST * len(scores)
            if allowed and middle > np.quantile(scores[others], 1 - rate):
                found.append(Kind(own, group.name))
                kept = others
                break
        else:
            return tuple(found)


def without(kinds: tuple[Kind, ...], count: int) -> NDArray[np.bool_]:
    """Return which of `count` images are of no kind of their own, bool (count,)."""
    kept = np.ones(count, np.bool_)
    for kind in kinds:
        kept &= ~kind.members
    return kept


def _groups(batches: Batches) -> Iterator[Kind]:
    """Yield what may stand apart: batches that people or time set apart, and families of so many that they can be judged."""
    if batches.source in ("folders", "times"):
        for number, name in enumerate(batches.names):
            yield Kind(batches.batch_of == number, f"batch {name}")
    for family in np.unique(batches.family_of):
        number = family + 1  # as in the pack's calibration.json
        yield Kind(batches.family_of == family, f"as alike as copies, family {number} in calibration.json")
