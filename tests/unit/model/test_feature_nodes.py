"""Changes of size inside the graph are those of OpenCV."""

import cv2
import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

from inspector.model.feature_nodes import add_resize
from inspector.model.onnx_nodes import Nodes


@pytest.mark.parametrize(
    ("size", "to", "method"),
    [
        ((40, 60), (40, 60), cv2.INTER_AREA),
        ((40, 60), (20, 20), cv2.INTER_AREA),
        ((40, 60), (16, 25), cv2.INTER_AREA),
        ((10, 12), (20, 24), cv2.INTER_LINEAR),
        ((10, 12), (13, 17), cv2.INTER_LINEAR),
    ],
)
def test_a_resize_is_that_of_opencv(size: tuple[int, int], to: tuple[int, int], method: int) -> None:
    plane = np.random.default_rng(0).normal(size=size).astype(np.float32)
    nodes = Nodes()
    result = nodes.add("Identity", add_resize(nodes, "x", size, to))
    model = nodes.model("resize", {"x": (1, 1, *size)}, {result: (1, 1, *to)})
    (found,) = ReferenceEvaluator(model).run(None, {"x": plane[None, None]})
    expected = cv2.resize(plane, to[::-1], interpolation=method)
    np.testing.assert_allclose(np.asarray(found)[0, 0], expected, atol=1e-5)
