"""The method `nearest`: a patch is as odd as it is far from the nearest patch of the good parts (Roth et al., "PatchCore", CVPR 2022).

Distances are in units of the bank entry's own spacing: where good parts vary much, a patch may lie farther off.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.model.bank import Bank, build_bank
from inspector.model.methods.planes import add_projection, flatten, to_plane
from inspector.model.onnx_nodes import Nodes
from inspector.model.progress import Advance
from inspector.model.search import add_search, in_blocks
from inspector.model.spec import Branch
from inspector.model.training import CANDIDATES, Training
from inspector.model.whitening import Whitening, whitening

# Entries from which on a bank is searched in two passes, which then takes half the time. Below, a millisecond is not worth the near ties.
SEARCHED_FROM = 4_000
# Beside a backbone in int8, whose features are rounded as coarsely: the default bank then takes three quarters of the time.
SEARCHED_FROM_INT8 = 500
_ROWS = 4096  # patches that are compared at once: all their distances to a bank of 3,000 are 12 kB a row
_ROWS_SEARCHED = 1024  # in a large bank: a block of its entries for each is up to 100 kB a row


@dataclass(frozen=True, slots=True)
class NearestHead:
    """Whitening and bank; one of `searched_from` entries or more is searched in two passes."""

    whitening: Whitening
    bank: Bank
    searched_from: int = SEARCHED_FROM

    @property
    def size(self) -> int:
        """Entries of the bank."""
        return len(self.bank.entries)

    @property
    def searched(self) -> bool:
        """Whether the bank is searched in two passes: see search.py."""
        return self.size >= self.searched_from

    def add(self, nodes: Nodes, features: str, branch: Branch) -> str:
        """Append whitening and the distance to the nearest entry."""
        white = add_projection(nodes, features, self.whitening.mean, self.whitening.projection)
        patches = flatten(nodes, white, self.whitening.projection.shape[1], branch.cells)
        return to_plane(nodes, _add_distance(nodes, patches, branch.cells, self), branch)


@dataclass(frozen=True, slots=True)
class Nearest:
    """Keeps a greedy bank of at most `bank` patches; see NearestHead for `searched_from`."""

    bank: int
    seed: int
    positions: bool = False
    searched_from: int = SEARCHED_FROM

    @property
    def candidates(self) -> int:
        """Of twice as many as are kept a greedy choice can still leave out what says least."""
        return max(CANDIDATES, 2 * self.bank)

    @property
    def steps(self) -> int:
        """Two for each entry: its choice, and its spacing."""
        return 2 * self.bank

    def fit(self, training: Training, advance: Advance) -> NearestHead:
        """Whiten by the moments, choose the bank among the candidates."""
        white = whitening(training.moments)
        rng = np.random.default_rng(self.seed)
        bank = build_bank(training.candidates, self.bank, rng, advance, white)
        return NearestHead(white, bank, self.searched_from)


def _add_distance(nodes: Nodes, patches: str, cells: int, head: NearestHead) -> str:
    """Append the distance of each patch [cells, d] to the nearest bank entry, in units of that entry's own spacing.

    The squared distance over the squared spacing, (|f|^2 + |b|^2 - 2 f.b) / s^2, is linear in (f, |f|^2, 1): one matrix
    product. The minimum needs no index and no gather, which half precision is known to get wrong. A large bank is searched
    in two passes, the second of which is this product again.
    """
    parts = (add_searched if head.searched else _add_all)(nodes, patches, cells, head.bank)
    nearest = nodes.add("Concat", *parts, axis=0) if len(parts) > 1 else parts[0]
    # Rounding may leave a tiny negative number where a patch equals its entry, and its root would be NaN.
    return nodes.add("Sqrt", nodes.add("Max", nearest, nodes.scalar("zero", 0.0)))


def _add_all(nodes: Nodes, patches: str, cells: int, bank: Bank) -> list[str]:
    """Append the comparison with every entry, in parts."""
    _, extended = _add_extended(nodes, patches, cells)
    transposed = nodes.constant("bank", _factors(bank).T)
    return [
        nodes.add("ReduceMin", nodes.add("MatMul", part, transposed), axes=[1], keepdims=0)
        for part, _ in _in_parts(nodes, extended, cells, _ROWS)
    ]


def add_searched(nodes: Nodes, patches: str, cells: int, bank: Bank) -> list[str]:
    """Append the search in a large bank, in parts."""
    blocks = in_blocks(bank, _factors(bank))
    found = []
    for part, rows in _in_parts(nodes, patches, cells, _ROWS_SEARCHED):
        square, extended = _add_extended(nodes, part, rows)
        found.append(add_search(nodes, part, square, extended, rows=rows, blocks=blocks))
    return found


def _add_extended(nodes: Nodes, patches: str, rows: int) -> tuple[str, str]:
    """Append |f|^2 [rows, 1] and (f, |f|^2, 1) [rows, d + 2]."""
    square = nodes.add(
        "ReduceSum",
        nodes.add("Mul", patches, patches),
        nodes.constant("axes", np.array([1], np.int64)),
        keepdims=1,
    )
    ones = nodes.constant("ones", np.ones((rows, 1), np.float32))
    return square, nodes.add("Concat", patches, square, ones, axis=1)


def _factors(bank: Bank) -> NDArray[np.float32]:
    """Return what (f, |f|^2, 1) is multiplied by, float32 (n, d + 2)."""
    weight = (1.0 / np.square(bank.spacing))[:, None]
    norms = np.square(bank.entries).sum(axis=1, keepdims=True)
    factors = np.concatenate([-2.0 * bank.entries * weight, weight, norms * weight], axis=1)
    return factors.astype(np.float32, copy=False)


def _in_parts(nodes: Nodes, patches: str, cells: int, rows: int) -> list[tuple[str, int]]:
    """Append the cut of very many rows into parts of at most `rows`; return each with its rows."""
    if cells <= rows:
        return [(patches, cells)]
    axis = nodes.constant("axis", np.array([0], np.int64))
    bounds = [nodes.constant("row", np.array([row], np.int64)) for row in (*range(0, cells, rows), cells)]
    return [
        (nodes.add("Slice", patches, first, last, axis), min(rows, cells - number * rows))
        for number, (first, last) in enumerate(itertools.pairwise(bounds))
    ]
