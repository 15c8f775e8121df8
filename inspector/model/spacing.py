"""How far the entries of a bank lie apart: each one's mean distance to its nearest others, in bounded memory.

All distances between 100,000 entries are 8 TFLOP and 40 GB. They are the same in both directions, so that half of them are computed, a
tile at a time that caches hold; of a tile only what is nearer than the nearest so far is looked at, which soon is next to nothing.
"""

import numpy as np
from numpy.typing import NDArray

from inspector.model.progress import Advance, uncounted

NEIGHBOURS = 5  # bank entries that define an entry's own spacing
_TILE = 1024  # entries along a side of a tile: its distances are 4 MB
_LEAST_SHARE = 0.1  # of the median spacing: copies of one patch do not make a spacing of nothing


def local_spacing(
    entries: NDArray[np.float32], neighbours: int = NEIGHBOURS, advance: Advance = uncounted
) -> NDArray[np.float32]:
    """Return each entry's mean distance to its nearest others, float32 (n,), floored at a tenth of the median.

    One that is alone has a spacing of 1. Advances by n in all.
    """
    count = len(entries)
    if count < 2:
        advance(count)
        return np.ones(count, np.float32)
    # In an order of chance: a greedy bank has the near ones last, and the nearest so far would go on being undercut.
    order = np.random.default_rng(0).permutation(count)
    squares = np.empty(count, np.float32)
    squares[order] = _mean_distances(entries[order], min(neighbours, count - 1), advance)
    return np.maximum(squares, max(_LEAST_SHARE * float(np.median(squares)), 1e-6)).astype(np.float32)


def _mean_distances(entries: NDArray[np.float32], count: int, advance: Advance) -> NDArray[np.float32]:
    """Return the mean distance of each entry (n, d) to its `count` nearest others, float32 (n,)."""
    norms, ones = np.einsum("ij,ij->i", entries, entries)[:, None], np.ones((len(entries), 1), np.float32)
    # Their product is |a|^2 + |b|^2 - 2 a.b: adding the lengths afterwards would pass over each tile twice more.
    left = np.concatenate([entries, norms, ones], axis=1)
    right = np.concatenate([-2.0 * entries, ones, norms], axis=1)
    nearest = np.full((len(entries), count), np.inf, np.float32)
    tile = np.empty((_TILE, _TILE), np.float32)
    starts = range(0, len(entries), _TILE)
    done, tiles = 0, len(starts) * (len(starts) + 1) // 2
    for number, start in enumerate(starts):
        rows = slice(start, start + _TILE)
        for first in starts[number:]:
            columns = slice(first, first + _TILE)
            off = tile[: len(left[rows]), : len(left[columns])]
            np.matmul(left[rows], right[columns].T, out=off)
            if first == start:
                np.fill_diagonal(off, np.inf)  # an entry is not its own neighbour
            else:
                _take_nearer(nearest[columns], off, axis=0)
            _take_nearer(nearest[rows], off, axis=1)
            before, done = done, done + 1
            advance(len(entries) * done // tiles - len(entries) * before // tiles)
    return np.asarray(np.sqrt(np.maximum(nearest, 0)).mean(axis=1))


def _take_nearer(nearest: NDArray[np.float32], off: NDArray[np.float32], *, axis: int) -> None:
    """Bring `nearest` (n, count), the largest of each row last, up to date with more distances: along `axis` of `off`, for the n of the other."""
    count, limits = nearest.shape[1], nearest[:, -1]
    if np.isinf(limits[0]) and off.shape[axis] > count:  # nothing so far
        lines = off if axis else np.ascontiguousarray(off.T)
        nearest[:] = np.partition(lines, count - 1, axis=1)[:, :count]
        return
    hits = np.flatnonzero(off < (limits[:, None] if axis else limits))
    rows = hits // off.shape[1] if axis else hits % off.shape[1]
    order = np.argsort(rows, kind="stable")
    found, first, hits_of = np.unique(rows[order], return_index=True, return_counts=True)
    if not len(found):
        return
    # A line for each that has hits, as wide as the most of them.
    wide = np.full((len(found), count + int(hits_of.max())), np.inf, np.float32)
    wide[:, :count] = nearest[found]
    place = np.arange(len(rows)) - np.repeat(first, hits_of)
    wide[np.repeat(np.arange(len(found)), hits_of), count + place] = off.reshape(-1)[hits[order]]
    nearest[found] = np.partition(wide, count - 1, axis=1)[:, :count]
