"""The graph of several views says of each what the graph of that view alone says, over its limit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from inspector.engine.build import build_plan
from inspector.errors import ModelError, ScoreError
from inspector.model.backbone import open_backbone
from inspector.model.bank import Bank
from inspector.model.graph import ViewHead, fused_graph, require_batches, views_graph
from inspector.model.lite import lite0
from inspector.model.methods.base import Detector, Scale
from inspector.model.methods.nearest import NearestHead
from inspector.model.score_nodes import Exposure
from inspector.model.scoring import compiled
from inspector.model.spec import ModelSpec, model_spec
from inspector.model.whitening import Moments, whitening
from tests.support import networks

SPEC = model_spec(lite0(), 1, [(64, 96)], [("4", "7")], pooling=48.0)
TWO = model_spec(lite0(), 3, [(64, 64), (96, 96)], [("4",), ("7",)])


def detector_of(spec: ModelSpec, rng: np.random.Generator) -> Detector:
    """Return a bank of noise for each branch."""
    heads = []
    for branch in spec.branches:
        white = whitening(Moments.of(rng.normal(size=(500, branch.depth)).astype(np.float32)))
        width = white.projection.shape[1]
        entries = rng.normal(size=(50, width)).astype(np.float32)
        heads.append(NearestHead(white, Bank(entries, rng.uniform(1, 2, 50).astype(np.float32))))
    scales = tuple(Scale(rng.uniform(1, 2), 0.3) for _ in heads) if len(heads) > 1 else ()
    return Detector(tuple(heads), scales)


def heads_of(spec: ModelSpec, count: int) -> list[ViewHead]:
    """Return heads that differ in everything that may differ: bank, limit, exposure, what is watched."""
    rng = np.random.default_rng(0)
    heads = []
    for number in range(count):
        watched = np.ones((spec.height, spec.width), np.bool_)
        if number == 1:
            watched[:, spec.width * 2 // 3 :] = False
        elif number == 2:
            watched[spec.height // 2 :, : spec.width // 2] = False
        own = replace(spec, watched=None if watched.all() else watched)
        exposure = Exposure(90 + 10 * number, 140, limit=2.0 + number)
        heads.append(ViewHead(own, detector_of(spec, rng), 2.0 + number, exposure))
    return heads


def inputs_of(spec: ModelSpec, count: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (count, spec.height, spec.width, spec.channels), np.uint8)


@pytest.mark.parametrize(("spec", "count"), [(SPEC, 2), (SPEC, 4), (TWO, 3)])
def test_each_view_is_judged_as_by_a_graph_of_its_own(spec: ModelSpec, count: int) -> None:
    heads, images = heads_of(spec, count), inputs_of(spec, count)
    images[-1] //= 4  # dark: its exposure speaks
    graph = views_graph(heads)
    onnx.checker.check_model(graph, full_check=True)
    with compiled(graph, [spec.geometry] * count) as engine:
        found = engine.score_prepared(images)
    alone = []
    for number, head in enumerate(heads):
        with compiled(fused_graph(head.spec, head.detector, head.exposure), spec.geometry) as engine:
            own = engine.score_prepared(images[number : number + 1])
        alone.append(own.value / head.limit)
        assert found.views[number].value == pytest.approx(alone[-1], rel=1e-4)
        np.testing.assert_allclose(
            found.views[number].heatmap, own.heatmap / head.limit, rtol=1e-3, atol=1e-4
        )
    assert found.value == pytest.approx(max(alone), rel=1e-4)
    assert found.view == int(np.argmax(alone))


def test_the_views_order_changes_nothing_but_their_order() -> None:
    heads, images = heads_of(SPEC, 3), inputs_of(SPEC, 3)
    with compiled(views_graph(heads), [SPEC.geometry] * 3) as engine:
        forward = engine.score_prepared(images)
    with compiled(views_graph(heads[::-1]), [SPEC.geometry] * 3) as engine:
        backward = engine.score_prepared(np.ascontiguousarray(images[::-1]))
    assert forward.value == pytest.approx(backward.value, rel=1e-5)
    assert [view.value for view in forward.views] == pytest.approx(
        [view.value for view in backward.views][::-1], rel=1e-5
    )


def foreign(path: Path, nodes: list[onnx.NodeProto], *constants: onnx.TensorProto) -> ModelSpec:
    """Return the spec of a backbone of these nodes behind `pixels`, their last one a convolution of steps of 8 pixels."""
    weights = np.random.default_rng(1).normal(size=(6, 3, 8, 8)).astype(np.float32)
    networks.write(
        path, nodes, [networks.constant("mix", weights), *constants], {"map": ("n", 6, "rows", "columns")}
    )
    return model_spec(open_backbone(str(path)), 1, [(64, 96)])


@pytest.mark.parametrize("broken", [0, 1])
def test_one_view_without_numbers_is_no_score_of_the_part(broken: int, tmp_path: Path) -> None:
    """A maximum over the views may drop what is no number, and the part would pass by the other."""
    nodes = [
        onnx.helper.make_node("Sub", ["most", "pixels"], ["room"]),
        onnx.helper.make_node("Log", ["room"], ["logarithm"]),  # no number where a pixel is above
        onnx.helper.make_node("Conv", ["logarithm", "mix"], ["map"], kernel_shape=[8, 8], strides=[8, 8]),
    ]
    most = networks.constant("most", np.array([1.0], np.float32))
    spec = foreign(tmp_path / "net.onnx", nodes, most)
    images = np.full((2, 64, 96, 1), 128, np.uint8)
    with compiled(views_graph(heads_of(spec, 2)), [spec.geometry] * 2) as engine:
        assert engine.score_prepared(images).value > 0
        images[broken, 5, 7] = 255  # alone on a flat image, it is stretched far beyond white
        with pytest.raises(ScoreError, match="the score is nan"):
            engine.score_prepared(images)


def test_a_backbone_of_one_image_is_told_before_anything_is_fitted(tmp_path: Path) -> None:
    nodes = [
        onnx.helper.make_node("Conv", ["pixels", "mix"], ["free"], kernel_shape=[8, 8], strides=[8, 8]),
        onnx.helper.make_node("Reshape", ["free", "shape"], ["map"]),
    ]
    shape = networks.constant("shape", np.array([1, 6, 8, 12], np.int64))
    spec = foreign(tmp_path / "net.onnx", nodes, shape)
    with pytest.raises(ModelError, match=r"takes 2 images at once, .* export it with a free batch") as caught:
        require_batches([spec, spec])
    assert "\n" not in str(caught.value)
    require_batches([spec])
    require_batches([SPEC] * 4)


@pytest.mark.parametrize("precision", ["float32", "half"])
def test_a_plan_for_a_gpu_takes_several_views(precision: Any, tmp_path: Path) -> None:
    rtx = pytest.importorskip("tensorrt_rtx", reason="no tensorrt_rtx: pip install tensorrt-rtx-cu13")
    path = tmp_path / "graph.onnx"
    path.write_bytes(views_graph(heads_of(SPEC, 2)).SerializeToString())
    plan = build_plan(rtx, path, path.read_bytes(), "sm86", precision=precision)
    rows, columns = SPEC.grid
    assert plan.inputs == {"image": ("uint8", (2, 64, 96, 1))}
    assert plan.outputs == {
        "score": ("float32", (1,)),
        "heatmap": ("float32", (2, rows, columns)),
        "views": ("float32", (2,)),
    }
