"""ONNX nodes that several methods write: projections of the feature grid, and the way from the grid to single patches and back."""

import numpy as np
from numpy.typing import NDArray

from inspector.model.onnx_nodes import Nodes
from inspector.model.spec import Branch


def add_projection(
    nodes: Nodes, features: str, mean: NDArray[np.float32], projection: NDArray[np.float32]
) -> str:
    """Append (feature - mean) @ projection for each cell: [1, d, rows, columns] to [1, k, rows, columns]; `projection` is (d, k)."""
    kernel = np.ascontiguousarray(projection.T)[:, :, None, None]
    return nodes.add(
        "Conv",
        features,
        nodes.constant("projection", kernel),
        nodes.constant("offset", -mean @ projection),
        kernel_shape=[1, 1],
    )


def flatten(nodes: Nodes, grid: str, depth: int, cells: int) -> str:
    """Append the change from a grid [1, depth, rows, columns] to patches [cells, depth].

    The transposition first: on a CPU it says how values lie there anyway, and costs nothing (0.16 of 1.67 ms the other way round).
    """
    last = nodes.add("Transpose", grid, perm=[0, 2, 3, 1])
    return nodes.add("Reshape", last, nodes.constant("flat", np.array([cells, depth], np.int64)))


def add_norm(nodes: Nodes, x: str, *, axis: int, scale: float) -> str:
    """Append the length along one axis, which stays with size 1, over `scale`."""
    square = nodes.add(
        "ReduceSum",
        nodes.add("Mul", x, x),
        nodes.constant("axes", np.array([axis], np.int64)),
        keepdims=1,
    )
    return nodes.add("Div", nodes.add("Sqrt", square), nodes.scalar("scale", scale))


def to_plane(nodes: Nodes, distance: str, branch: Branch) -> str:
    """Append the change from one value for each cell, in whatever shape, to the plane [1, 1, rows, columns]."""
    return nodes.add("Reshape", distance, nodes.constant("plane", np.array([1, 1, *branch.grid], np.int64)))
