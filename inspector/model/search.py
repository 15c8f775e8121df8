"""Finds a patch's nearest entry in a large bank: all entries in int8, then one block of them again in float32.

A float32 product with 100,000 entries takes ten times as long as all the rest of a frame; in int8 it takes a third of that, and its
minima over blocks of entries come almost free. Only the block with the least of them is compared once more, by the very numbers that
a small bank is compared by. So a distance is never below that to the nearest entry, and no defect hides in the rounding; above it, it
is where int8 takes another block's entry for nearer: two that are about equally far. `bounds` says by how much at most.

What was tried and saves nothing, since whitened patches fill all their dimensions and all entries are about equally far: a first pass
in the leading third or two thirds of the dimensions (takes another entry for the nearest at 15 % and 2 % of the patches, where the
blocks of the best four are looked at again), in those that tell neighbours apart best (37 %), and the nearest 16 of 1,024 clusters (14 %,
a score up to 10 % too high). All dimensions in int8: under 1 %, with one block. Solar cells, a bank of 32,000.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.model.bank import Bank
from inspector.model.onnx_nodes import Nodes

# Blocks: the more of them, the longer the best is looked for, the fewer, the longer the second look takes. Measured for banks of 3,000
# to 100,000; no more than give a product with one entry of each (1.5 MB for 256 patches) room in a core's own cache.
_BLOCKS_PER_ROOT = 8
_MOST_BLOCKS = 1536
_MOST_LOOKED_AT = (
    24  # entries again in float32 for each patch: those of a larger block are told apart by its parts' minima
)
_VECTOR = 16  # blocks come in multiples of what a CPU's vector holds
_PATCH_LIMIT = 127
# Not 127: a CPU without VNNI adds two products of unsigned and signed bytes in 16 bits, which saturate beyond 255 * 127.
_ENTRY_LIMIT = 63
_LEAST = 1e-6  # of a patch that is all zeros
_CHUNK = 64  # patches whose bounds are reckoned at a time


@dataclass(frozen=True, slots=True)
class Blocks:
    """A bank in blocks of m entries each: entry (p, j) is the p-th of block j, which has k equal parts. Some occur twice to fill all blocks.

    An entry is about codes * steps: `codes` int8 (m, d, blocks), `steps` float32 (m, blocks). `norms` and `weights` float32
    (m, 1, blocks): squared length, and one over the squared spacing. `factors` float32 (k * blocks, m / k, d + 2), the first parts of all blocks first.
    """

    codes: NDArray[np.int8]
    steps: NDArray[np.float32]
    norms: NDArray[np.float32]
    weights: NDArray[np.float32]
    factors: NDArray[np.float32]


def in_blocks(bank: Bank, factors: NDArray[np.float32]) -> Blocks:
    """Lay out a bank; `factors` (n, d + 2) give the exact distance of a patch (f, |f|^2, 1)."""
    count = len(bank.entries)
    blocks = min(_MOST_BLOCKS, math.ceil(_BLOCKS_PER_ROOT * count**0.5 / _VECTOR) * _VECTOR)
    size = -(-count // blocks)
    parts = -(-size // _MOST_LOOKED_AT)
    places = np.arange(-(-size // parts) * parts * blocks).reshape(-1, blocks) % count
    by_part = places.reshape(parts, -1, blocks).transpose(0, 2, 1).reshape(parts * blocks, -1)
    codes, steps = _coded(bank.entries)
    return Blocks(
        np.ascontiguousarray(codes[places].transpose(0, 2, 1)),
        steps[places],
        np.square(bank.entries).sum(axis=1)[places][:, None],
        (1 / np.square(bank.spacing))[places][:, None],
        factors[by_part],
    )


def add_search(nodes: Nodes, patches: str, square: str, extended: str, *, rows: int, blocks: Blocks) -> str:
    """Append the least squared distance over squared spacing of patches [rows, d]; return its name [rows].

    `square` [rows, 1] is |f|^2, `extended` [rows, d + 2] is (f, |f|^2, 1).
    """
    best = _add_best(nodes, _add_minima(nodes, patches, square, blocks), blocks.steps.shape[1])
    near = nodes.add("Gather", nodes.constant("entries", blocks.factors), best, axis=0)
    column = nodes.constant("column", np.array([rows, blocks.factors.shape[2], 1], np.int64))
    distances = nodes.add("MatMul", near, nodes.add("Reshape", extended, column))
    return nodes.add("ReduceMin", distances, axes=[1, 2], keepdims=0)


def bounds(bank: Bank, patches: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the least squared distance over squared spacing of each patch (n, d), and the most that the search may find, (n,) each.

    The first pass is off by 2 |f.b - f'.b'| <= 2 (|f - f'| |b'| + |f| |b - b'|) at most (Cauchy and Schwarz), for the patch f' and the
    entry b' that the codes stand for. An entry may be taken for the nearest where that closes the gap between the two.
    """
    codes, steps = _coded(bank.entries)
    coded = codes * steps[:, None]
    sizes = np.linalg.norm(coded, axis=1), np.linalg.norm(bank.entries - coded, axis=1)
    del coded, codes
    entries, weights = bank.entries.astype(np.float64), 1 / np.square(bank.spacing.astype(np.float64))
    norms = np.square(entries).sum(axis=1)
    least, most = np.empty((2, len(patches)))
    for start in range(0, len(patches), _CHUNK):
        some = patches[start : start + _CHUNK].astype(np.float64)
        doubts = 2 * _lost(some, *sizes) * weights
        distances = norms - 2 * some @ entries.T
        distances += np.square(some).sum(axis=1, keepdims=True)
        distances = np.maximum(distances, 0) * weights
        nearest = distances.min(axis=1)
        rivals = distances - doubts <= (distances + doubts).min(axis=1, keepdims=True)
        least[start : start + _CHUNK] = nearest
        most[start : start + _CHUNK] = np.where(rivals, distances, nearest[:, None]).max(axis=1)
    return least, most


def _lost(
    patches: NDArray[np.float64], coded: NDArray[np.float32], rounded_off: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return |f - f'| |b'| + |f| |b - b'| for patches (n, d) and all entries, of which |b'| and |b - b'| (m,) are given."""
    top = np.maximum(np.abs(patches).max(axis=1, keepdims=True), _LEAST)
    off = patches - np.rint(patches / top * _PATCH_LIMIT) * top / _PATCH_LIMIT
    lost = np.outer(np.linalg.norm(off, axis=1), coded)
    lost += np.outer(np.linalg.norm(patches, axis=1), rounded_off)
    return lost


def _coded(entries: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return codes (n, d) and the step of each entry (n,)."""
    steps = np.maximum(np.abs(entries).max(axis=1), _LEAST) / np.float32(_ENTRY_LIMIT)
    return np.rint(entries / steps[:, None]).astype(np.int8), steps


def _add_best(nodes: Nodes, minima: list[str], blocks: int) -> str:
    """Append the number of the part of a block with the least of all `minima`, [rows] int64.

    The block first, then its part: looking through the parts of all blocks would take as long as a tenth of the product.
    """
    if len(minima) == 1:
        return _add_least(nodes, minima[0], blocks, keepdims=0)
    block = _add_least(nodes, nodes.add("Min", *minima), blocks, keepdims=1)
    own = [nodes.add("GatherElements", each, block, axis=1) for each in minima]
    part = _add_least(nodes, nodes.add("Concat", *own, axis=1), len(minima), keepdims=1)
    number = nodes.add(
        "Add", nodes.add("Mul", part, nodes.constant("blocks", np.array([blocks], np.int64))), block
    )
    return nodes.add("Reshape", number, nodes.constant("flat", np.array([-1], np.int64)))


def _add_least(nodes: Nodes, values: str, columns: int, *, keepdims: int) -> str:
    """Append the number of the column with the least of `values` [rows, columns].

    No engine promises which it finds for a patch that is no number: nothing may be looked up outside of the bank.
    """
    found = nodes.add("ArgMin", values, axis=1, keepdims=keepdims)
    last = nodes.constant("last", np.array([columns - 1], np.int64))
    first = nodes.constant("first", np.array([0], np.int64))
    return nodes.add("Max", nodes.add("Min", found, last), first)


def _add_minima(nodes: Nodes, patches: str, square: str, blocks: Blocks) -> list[str]:
    """Append the first pass: for each part of each block about the least of its entries' distances, [rows, blocks] by part."""
    top = nodes.add("ReduceMax", nodes.add("Abs", patches), axes=[1], keepdims=1)
    # Each patch in steps of its own: one far from all good ones would else be cut off, or make the steps of the others coarse.
    top = nodes.add("Max", top, nodes.scalar("least", _LEAST))
    step = nodes.constant("step", np.array(1 / _PATCH_LIMIT, np.float32))
    zero = nodes.constant("zero", np.array(0, np.int8))
    coded = nodes.add("QuantizeLinear", nodes.add("Div", patches, top), step, zero)
    coded = nodes.add("DequantizeLinear", coded, step, zero)
    twice = nodes.add("Mul", top, nodes.scalar("minus_two", -2.0))
    zeros = nodes.constant("zeros", np.zeros(blocks.steps.shape[1], np.int8))
    minima: list[str] = []
    size = blocks.factors.shape[1]
    for number, (codes, steps, norms, weights) in enumerate(
        zip(blocks.codes, blocks.steps, blocks.norms, blocks.weights, strict=True)
    ):
        entries = nodes.add(
            "DequantizeLinear", nodes.constant("codes", codes), nodes.constant("steps", steps), zeros, axis=1
        )
        product = nodes.add("Mul", nodes.add("MatMul", coded, entries), twice)
        # Norms and weights stay in float32: they run with the minimum through one loop over the product.
        squared = nodes.add("Add", nodes.add("Add", product, square), nodes.constant("norms", norms))
        distances = nodes.add("Mul", squared, nodes.constant("weights", weights))
        if number % size:
            minima[-1] = nodes.add("Min", minima[-1], distances)
        else:
            minima.append(distances)
    return minima
