"""What searching a large bank costs in exactness, found on good patches when it is fitted: stated in the manifest."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
import onnx
from numpy.typing import NDArray

from inspector.model.bank import Bank
from inspector.model.methods.base import Head
from inspector.model.methods.nearest import NearestHead, add_searched
from inspector.model.onnx_nodes import Nodes
from inspector.model.scoring import compiled_head
from inspector.model.search import bounds
from inspector.model.training import Training

_PATCHES = 512  # of each branch that are compared with every entry in float64: seconds for a bank of 100,000
# Of an entry's spacing: nearer patches are entries themselves, and a share of nothing says nothing.
_LEAST = 0.1


@dataclass(frozen=True, slots=True)
class SearchChecked:
    """Of so many good `patches` that are no entries: by which share of it a distance was found too large at most. None is too small.

    `bound`: by which share int8 could have made one too large, whatever its roundings do together. Both None of no patches.
    """

    patches: int
    largest_error: float | None
    bound: float | None


def check_search(heads: Iterable[Head], trainings: Iterable[Training]) -> SearchChecked | None:
    """Return what the search in these heads' banks costs, None where none is searched. Takes seconds."""
    checked = [_check(head, of) for head, of in zip(heads, trainings, strict=True) if _searched(head)]
    if not checked:
        return None
    errors, highest = (np.concatenate(each) for each in zip(*checked, strict=True))
    if not len(errors):
        return SearchChecked(0, None, None)
    return SearchChecked(len(errors), max(0.0, float(errors.max())), float(highest.max()))


def search_graph(bank: Bank, rows: int) -> onnx.ModelProto:
    """Return a head graph of the search alone: `features` [rows, d] in, `heatmap` [1, rows, 1] the squared distances, `score` [1] the largest."""
    nodes = Nodes()
    parts = add_searched(nodes, "features", rows, bank)
    found = nodes.add("Concat", *parts, axis=0) if len(parts) > 1 else parts[0]
    nodes.add("Reshape", found, nodes.constant("plane", np.array([1, rows, 1], np.int64)), output="heatmap")
    nodes.add("ReduceMax", "heatmap", axes=[1, 2], keepdims=0, output="score")
    shapes: dict[str, tuple[int, ...]] = {"score": (1,), "heatmap": (1, rows, 1)}
    return nodes.model("search", {"features": (rows, bank.entries.shape[1])}, shapes)


def search(bank: Bank, patches: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the squared distances over squared spacings that the engine finds for patches (n, d), float64 (n,)."""
    with compiled_head(search_graph(bank, len(patches))) as engine:
        return engine.score(patches).heatmap.astype(np.float64).reshape(-1)


def _searched(head: Head) -> TypeGuard[NearestHead]:
    return isinstance(head, NearestHead) and head.searched


def _check(head: NearestHead, training: Training) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the error of each patch, and the bound on it."""
    some = np.random.default_rng(0).permutation(len(training.candidates))[: 2 * _PATCHES]
    patches = head.whitening.apply(training.candidates[np.sort(some)])
    found = search(head.bank, patches)
    apart = np.flatnonzero(found > _LEAST**2)[:_PATCHES]
    least, most = bounds(head.bank, patches[apart])
    # An entry that the search confuses with another is found apart and is not: its share would be one of nothing.
    unit = np.maximum(least, _LEAST**2)
    return np.sqrt(found[apart] / unit) - 1, np.sqrt(most / unit) - 1
