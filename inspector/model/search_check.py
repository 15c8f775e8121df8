"""What searching a large bank costs in exactness, found on good patches when it is fitted: stated in the manifest."""

from collections.abc import Iterable
from dataclasses import dataclass

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
_LEAST = (
    0.1  # of an entry's spacing: nearer patches are entries themselves, and a share of nothing says nothing
)


@dataclass(frozen=True, slots=True)
class SearchChecked:
    """Of so many good `patches` that are no entries: by which share of it a distance was found too large at most.

    `bound`: by which share int8 could have made it too large, whatever its roundings do together. 0 of no patches. Too small is none.
    """

    patches: int
    largest_error: float
    bound: float


def check_search(heads: Iterable[Head], trainings: Iterable[Training]) -> SearchChecked | None:
    """Return what the search in these heads' banks costs, None where none is searched. Takes seconds."""
    checked = [
        _check(head, training)
        for head, training in zip(heads, trainings, strict=True)
        if isinstance(head, NearestHead) and head.searched
    ]
    if not checked:
        return None
    return SearchChecked(
        sum(each.patches for each in checked),
        max(each.largest_error for each in checked),
        max(each.bound for each in checked),
    )


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


def _check(head: NearestHead, training: Training) -> SearchChecked:
    rng = np.random.default_rng(0)
    some = rng.permutation(len(training.candidates))[: 2 * _PATCHES]
    patches = head.whitening.apply(training.candidates[np.sort(some)])
    found = search(head.bank, patches)
    apart = np.flatnonzero(found > _LEAST**2)[:_PATCHES]
    if not len(apart):
        return SearchChecked(0, 0.0, 0.0)
    least, most = bounds(head.bank, patches[apart])
    error = np.sqrt(found[apart] / least) - 1
    return SearchChecked(len(apart), max(0.0, float(error.max())), float(np.sqrt(most / least).max()) - 1)
