"""What every method promises: `fit` on what one pass over the good images left, and a head that writes its arithmetic as ONNX nodes.

The nodes are the only copy of that arithmetic: scores in operation, of held-out images and while tuning all come from them.
"""

import importlib
from dataclasses import dataclass
from typing import Protocol

from inspector.errors import ModelError
from inspector.model.evidence import Evidence
from inspector.model.onnx_nodes import Nodes
from inspector.model.options import METHODS
from inspector.model.progress import Advance
from inspector.model.spec import Branch
from inspector.model.training import Training


class Head(Protocol):
    """A fitted method on one branch. Immutable."""

    @property
    def size(self) -> int:
        """What it keeps of the good parts: entries of a bank, directions of a subspace. For people."""
        ...

    def add(self, nodes: Nodes, features: str, branch: Branch) -> str:
        """Append the distances of the features [1, depth, rows, columns] from the good parts; return the plane [1, 1, rows, columns].

        Distances are 0 or more, and finite for finite features.
        """
        ...


class Method(Protocol):
    """One way to compare; made with `bank` (patches to keep, where it keeps any) and `seed`."""

    def fit(self, training: Training, advance: Advance) -> Head:
        """Return the head for these good parts; call `advance` `steps` times in all. Raises ModelError where they are of no use."""
        ...

    @property
    def positions(self) -> bool:
        """Whether it wants the statistics of each place, Training.positions."""
        ...

    @property
    def candidates(self) -> int:
        """How many patches it wants to choose from, about, over all good images; see Training.candidates."""
        ...

    @property
    def steps(self) -> int:
        """How many steps `fit` reports."""
        ...


@dataclass(frozen=True, slots=True)
class Scale:
    """Mean and deviation of the logarithm of a branch's plane on good images: what makes branches comparable."""

    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Detector:
    """The fitted half of a graph: a head for each branch, their scales where there are several, evidence for known defects."""

    heads: tuple[Head, ...]
    scales: tuple[Scale, ...] = ()
    evidence: Evidence | None = None

    @property
    def size(self) -> int:
        """What all heads keep."""
        return sum(head.size for head in self.heads)


def method_named(name: str, *, bank: int, seed: int) -> Method:
    """Return the method of this name, not yet fitted. Raises ModelError for an unknown one."""
    if name not in METHODS:
        raise ModelError(f"expected a method among {', '.join(METHODS)}, got {name!r}; choose one of those")
    module, class_name = METHODS[name]
    method: Method = getattr(importlib.import_module(module), class_name)(bank=bank, seed=seed)
    return method
