"""The bank of good patches: a small set that leaves no good patch far from its nearest entry.

Greedy coreset: take the patch farthest from all taken so far, again and again (Gonzalez 1985; for anomaly detection Roth
et al., "PatchCore", CVPR 2022). Distances are kept incrementally, one matrix-vector product for each entry.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.model.progress import Advance, uncounted

NEIGHBOURS = 5  # bank entries that define an entry's own spacing
PROJECTED = 64  # dimensions in which the bank is chosen
_CHUNK = 1024  # rows of the bank's distance matrix at a time


@dataclass(frozen=True, slots=True)
class Bank:
    """`entries` float32 (n, d) in whitened space, `spacing` float32 (n,): mean distance to the nearest other entries, > 0."""

    entries: NDArray[np.float32]
    spacing: NDArray[np.float32]


def greedy_coreset(
    candidates: NDArray[np.float32],
    size: int,
    rng: np.random.Generator,
    advance: Advance = uncounted,
) -> NDArray[np.int64]:
    """Return the row numbers of at most `size` different candidates (n, d), farthest first from a seeded start.

    O(size n d) time, O(n) memory. Ends early where all the rest equal one that was taken.
    """
    size = min(size, len(candidates))
    chosen = np.empty(size, np.int64)
    norms = np.einsum("ij,ij->i", candidates, candidates)
    nearest = np.full(len(candidates), np.inf, np.float32)
    same = 1e-5 * float(norms.mean())  # squared distance that float32 rounding alone can make
    current = int(rng.integers(len(candidates)))
    for index in range(size):
        chosen[index] = current
        # einsum stays in this thread: BLAS would meet its other threads at a barrier 3,000 times, and on a busy machine
        # each meeting waits for a time slice (measured: 32 s instead of 0.6).
        products = np.einsum("ij,j->i", candidates, candidates[current])
        squared = norms + (norms[current] - 2.0 * products)
        np.minimum(nearest, squared, out=nearest)
        current = int(nearest.argmax())
        advance(1)
        if nearest[current] <= same:
            return chosen[: index + 1]
    return chosen


def build_bank(
    candidates: NDArray[np.float32],
    size: int,
    rng: np.random.Generator,
    advance: Advance = uncounted,
) -> Bank:
    """Return the greedy bank of whitened `candidates` (n, d) with each entry's local spacing."""
    # Only the choice is made in the projected space: pairwise distances survive (Johnson and Lindenstrauss 1984), time falls to a quarter.
    depth = candidates.shape[1]
    shadow = candidates
    if depth > PROJECTED:
        shadow = candidates @ (
            rng.standard_normal((depth, PROJECTED), np.float32) / np.float32(PROJECTED**0.5)
        )
    entries = np.ascontiguousarray(candidates[greedy_coreset(shadow, size, rng, advance)])
    return Bank(entries, local_spacing(entries))


def local_spacing(entries: NDArray[np.float32], neighbours: int = NEIGHBOURS) -> NDArray[np.float32]:
    """Return each entry's mean distance to its nearest others, float32 (n,), floored at a tenth of the median."""
    norms = np.square(entries).sum(axis=1)
    spacing = np.empty(len(entries), np.float32)
    count = min(neighbours, len(entries) - 1)
    for start in range(0, len(entries), _CHUNK):
        rows = entries[start : start + _CHUNK]
        squared = norms[start : start + _CHUNK, None] + norms[None, :] - 2.0 * (rows @ entries.T)
        squared[np.arange(len(rows)), start + np.arange(len(rows))] = (
            np.inf
        )  # an entry is not its own neighbour
        nearest = np.partition(squared, count - 1, axis=1)[:, :count]
        spacing[start : start + _CHUNK] = np.sqrt(np.maximum(nearest, 0)).mean(axis=1)
    return np.maximum(spacing, max(0.1 * float(np.median(spacing)), 1e-6)).astype(np.float32)
