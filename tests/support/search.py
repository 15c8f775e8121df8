"""A bank of any size that is searched as a large one is, and patches to compare with it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.model.bank import Bank
from inspector.model.search_check import search


@dataclass(frozen=True)
class Case:
    """A bank, and patches float32 (n, d)."""

    bank: Bank
    patches: NDArray[np.float32]

    def found(self) -> NDArray[np.float64]:
        """Return what the engine finds for each patch."""
        return search(self.bank, self.patches)

    def rounding(self) -> NDArray[np.float64]:
        """Return how far float32 may be off for each patch and any entry, (n,): its |f|^2 + |b|^2 - 2 f.b has no more digits."""
        patches = np.square(self.patches, dtype=np.float64).sum(axis=1)[:, None]
        entries = np.square(self.bank.entries, dtype=np.float64).sum(axis=1)
        spacing = np.square(self.bank.spacing, dtype=np.float64)
        return np.asarray(4e-6 * ((patches + entries) / spacing).max(axis=1))
