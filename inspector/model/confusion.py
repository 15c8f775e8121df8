"""Which known defect a rejected part was said to have, against which it has."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NONE = "none of them"


@dataclass(frozen=True, slots=True)
class Confusion:
    """`counts` int64 (rows, columns) of rejected bad parts: `truths` (folder names) by `names` (known defects, then none).

    `of_known`: how many of them are of known kinds; `right`: how many of those got their own name.
    """

    truths: tuple[str, ...]
    names: tuple[str, ...]
    counts: NDArray[np.int64]

    @property
    def of_known(self) -> int:
        """See the class."""
        return int(self.counts[self._known_rows].sum())

    @property
    def right(self) -> int:
        """See the class."""
        return sum(int(self.counts[row, self.names.index(self.truths[row])]) for row in self._known_rows)

    @property
    def _known_rows(self) -> list[int]:
        return [row for row, truth in enumerate(self.truths) if truth in self.names]

    def as_json(self) -> dict[str, dict[str, int]]:
        """Return the counts by truth and name."""
        return {
            truth: {name: int(count) for name, count in zip(self.names, row, strict=True)}
            for truth, row in zip(self.truths, self.counts, strict=True)
        }


def confusion(truths: Sequence[str], named: Sequence[str], known: Sequence[str]) -> Confusion:
    """Count; `truths` and `named` are of the same rejected parts, "" where none of the `known` defects was named."""
    rows, columns = tuple(sorted(set(truths))), (*known, NONE)
    counts = np.zeros((len(rows), len(columns)), np.int64)
    for truth, name in zip(truths, named, strict=True):
        counts[rows.index(truth), columns.index(name or NONE)] += 1
    return Confusion(rows, columns, counts)
