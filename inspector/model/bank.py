"""The bank of good patches: a small set that leaves no good patch far from its nearest entry.

Greedy coreset: take the patch farthest from all taken so far, again and again (Gonzalez 1985; for anomaly detection Roth
et al., "PatchCore", CVPR 2022). Some hundred are taken between two comparisons with all patches, and are the very same:
see farthest_first. 3,000 of 40,000 take a fifth of a second on two cores, 100,000 of 200,000 half a minute.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.model.progress import Advance, uncounted
from inspector.model.spacing import local_spacing
from inspector.model.whitening import Whitening

PROJECTED = 64  # dimensions in which the bank is chosen
_POOL = 512  # farthest candidates that are looked at between two comparisons with all: most often they tell the next 100 to 256
_HALF_WAY = 0.249  # of the squared distance, with a margin for rounding
_WORTH_LEAVING_OUT = (
    0.9  # share of the candidates that are left: copying these costs a tenth of comparing all
)
_AT_ONCE = 256  # taken between two comparisons with all, at most
_ROWS = 4096  # candidates that are compared at once: with 1,024 the threads of BLAS wait for each other twice as long on a busy machine
_DISTANCES = 1 << 21  # that are held at once: 8 MB, which do not go through memory
_FEWEST = 64  # rows that are compared at once: fewer would make no matrix product worth the name


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
    first = rng.integers(len(candidates), size=1)
    advance(1)
    nearest = squared_to_nearest(candidates, candidates[first])
    return np.concatenate([first, farthest_first(candidates, nearest, size - 1, advance=advance)])


def farthest_first(
    candidates: NDArray[np.float32],
    nearest: NDArray[np.float32],
    size: int,
    *,
    until: float = 0.0,
    advance: Advance = uncounted,
) -> NDArray[np.int64]:
    """Return the row numbers of at most `size` candidates (n, d), each the farthest from those before it and those that are known.

    `nearest` float32 (n,): squared distance of each to the nearest known one; it is brought up to date. Ends early where the
    farthest is no farther than `until` (squared), or equal to one that is known.

    Distances to what is known only fall as more is taken. So the farthest of the few thousand candidates that were farthest
    at the last comparison is the farthest of all, as long as it lies beyond every other one's distance of then. And what is taken lies so
    far from all that is known that it cannot be nearer to a candidate less than half as far from its own: those are not compared again.
    """
    norms = np.einsum("ij,ij->i", candidates, candidates)
    until = max(until, 1e-5 * float(norms.mean()))  # squared distance that float32 rounding alone can make
    taken: list[NDArray[np.int64]] = []
    left = size
    while left > 0:
        some, apart = _farthest(candidates, norms, nearest, min(left, _AT_ONCE), until)
        if not len(some):
            break
        open_ones = np.flatnonzero(nearest >= _HALF_WAY * apart)
        if len(open_ones) < _WORTH_LEAVING_OUT * len(nearest):
            off = squared_to_nearest(candidates[open_ones], candidates[some])
            nearest[open_ones] = np.minimum(nearest[open_ones], off)
        else:
            np.minimum(nearest, squared_to_nearest(candidates, candidates[some]), out=nearest)
        taken.append(some)
        left -= len(some)
        advance(len(some))
    return np.concatenate(taken) if taken else np.empty(0, np.int64)


def _farthest(
    candidates: NDArray[np.float32],
    norms: NDArray[np.float32],
    nearest: NDArray[np.float32],
    most: int,
    until: float,
) -> tuple[NDArray[np.int64], float]:
    """Return what greedy choice takes next, as far as the farthest _POOL candidates can tell.

    And the squared distance that each of them has at least from what is known and what was taken before it.
    """
    pool, beyond = np.arange(len(nearest)), until
    if len(nearest) > _POOL:
        order = np.argpartition(nearest, len(nearest) - _POOL - 1)
        pool, beyond = order[-_POOL:], max(until, float(nearest[order[-_POOL - 1]]))
    rows, squares, near = candidates[pool], norms[pool], nearest[pool]
    taken: list[int] = []
    apart = np.inf
    while len(taken) < most:
        farthest = int(near.argmax())
        if near[farthest] <= until or near[farthest] < beyond:
            break
        taken.append(farthest)
        apart = float(near[farthest])  # never more than the one before
        # einsum stays in this thread: BLAS would meet its other threads at a barrier for each entry, and on a busy machine
        # each meeting waits for a time slice.
        products = np.einsum("ij,j->i", rows, rows[farthest])
        np.minimum(near, squares + (squares[farthest] - 2.0 * products), out=near)
    return pool[taken], apart


def squared_to_nearest(rows: NDArray[np.float32], known: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the squared distance of each of `rows` (n, d) to the nearest of `known` (m, d), float32 (n,)."""
    norms, twice = np.einsum("ij,ij->i", known, known), np.ascontiguousarray(-2.0 * known.T)
    found = np.empty(len(rows), np.float32)
    step = max(_FEWEST, min(_ROWS, _DISTANCES // len(known)))
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        off = some @ twice  # and in place from here: passing over the matrix costs more than making it
        off += norms
        found[start : start + step] = off.min(axis=1) + np.einsum("ij,ij->i", some, some)
    return found


def build_bank(
    candidates: NDArray[np.float32],
    size: int,
    rng: np.random.Generator,
    advance: Advance = uncounted,
    white: Whitening | None = None,
) -> Bank:
    """Return the greedy bank of `candidates` (n, d) with each entry's local spacing, both as `white` makes them.

    Advances twice for each entry.
    """
    shadow = projected(candidates, rng, white)
    chosen = candidates[greedy_coreset(shadow, size, rng, advance)]
    entries = np.ascontiguousarray(chosen if white is None else white.apply(chosen))
    return Bank(entries, local_spacing(entries, advance=advance))


def projected(
    candidates: NDArray[np.float32], rng: np.random.Generator, white: Whitening | None = None
) -> NDArray[np.float32]:
    """Return `candidates` (n, d), as `white` makes them, in the few dimensions in which a bank is chosen.

    Pairwise distances survive (Johnson and Lindenstrauss 1984), time falls to a sixth, and what is not taken is never whitened.
    """
    depth = candidates.shape[1]
    if depth <= PROJECTED:
        return candidates if white is None else white.apply(candidates)
    directions = rng.standard_normal((depth, PROJECTED), np.float32) / np.float32(PROJECTED**0.5)
    if white is None:
        return np.asarray(candidates @ directions)
    low = Whitening(white.mean, white.projection @ directions)
    found = np.empty((len(candidates), PROJECTED), np.float32)
    for start in range(0, len(candidates), _ROWS):  # whole, the centred candidates would be as large again
        found[start : start + _ROWS] = low.apply(candidates[start : start + _ROWS])
    return found
