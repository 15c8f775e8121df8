"""The engines on the graph that fitting writes, with the real backbone and a small random bank."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx.reference
import pytest

from inspector.engine.base import open_engine
from inspector.engine.build import build_plan
from inspector.engine.half import emulated
from inspector.engine.preprocess import Geometry
from inspector.errors import GraphError
from inspector.model.bank import Bank
from inspector.model.graph import ViewHead, fused_graph, views_graph
from inspector.model.lite import lite0
from inspector.model.methods.base import Detector, Scale, method_named
from inspector.model.methods.nearest import NearestHead
from inspector.model.options import METHODS
from inspector.model.positions import GatheredPositions
from inspector.model.progress import uncounted
from inspector.model.spec import model_spec
from inspector.model.tiling import Tile
from inspector.model.training import Gathered
from inspector.model.whitening import Moments, whitening

SPEC = model_spec(lite0(), 1, [(64, 96)])
DEPTH = SPEC.branches[0].depth
GEOMETRY = Geometry(1, 64, 96)
IMAGE = np.random.default_rng(3).integers(0, 256, (64, 96), np.uint8)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(11)
    white = whitening(Moments.of(rng.normal(size=(1000, DEPTH)).astype(np.float32)))
    bank = Bank(rng.normal(size=(200, DEPTH)).astype(np.float32), np.full(200, 2, np.float32))
    path = tmp_path_factory.mktemp("pack") / "graph.onnx"
    path.write_bytes(fused_graph(SPEC, Detector((NearestHead(white, bank),))).SerializeToString())
    return path


def test_the_cpu_engine_agrees_with_the_reference_evaluator(graph: Path) -> None:
    evaluator = onnx.reference.ReferenceEvaluator(str(graph))
    score, heatmap = (
        np.asarray(o) for o in evaluator.run(["score", "heatmap"], {"image": IMAGE[None, ..., None]})
    )
    engine = open_engine("openvino", graph, GEOMETRY)
    engine.warm_up()
    answer = engine.score(IMAGE)
    engine.close()
    assert answer.value == pytest.approx(score.item(), rel=1e-4)
    np.testing.assert_allclose(answer.heatmap, heatmap[0], rtol=1e-3)


@pytest.mark.parametrize("flat", [0, 128, 255])
def test_a_frame_without_any_contrast_still_has_a_score(flat: int, graph: Path) -> None:
    """The lens cap is on, or the light is off: that is a bad part to judge, not a failure of the engine."""
    engine = open_engine("openvino", graph, GEOMETRY)
    assert np.isfinite(engine.score(np.full((64, 96), flat, np.uint8)).value)
    engine.close()


@pytest.fixture(scope="module")
def rtx() -> Any:
    return pytest.importorskip("tensorrt_rtx", reason="no tensorrt_rtx: pip install tensorrt-rtx-cu13")


@pytest.mark.parametrize("precision", ["float32", "half"])
@pytest.mark.parametrize("capability", ["sm80", "sm86", "sm89", "sm120"])
def test_a_plan_is_built_for_every_kind_of_gpu(
    capability: str, precision: Any, graph: Path, rtx: Any
) -> None:
    plan = build_plan(rtx, graph, graph.read_bytes(), capability, precision=precision)
    assert plan.inputs == {"image": ("uint8", (1, 64, 96, 1))}
    assert plan.outputs == {"score": ("float32", (1,)), "heatmap": ("float32", (1, 4, 6))}


@pytest.mark.parametrize("method", [name for name in METHODS if name != "nearest"])
def test_every_method_becomes_a_plan_and_a_score(method: str, rtx: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    branch = SPEC.branches[0]
    gathered = Gathered(branch, 1, 8, 0, positions=GatheredPositions(branch, 1, seed=0))
    for _ in range(8):
        gathered.add(rng.normal(size=(branch.cells, branch.depth)).astype(np.float32), 0, rng)
    head = method_named(method, bank=50, seed=0).fit(gathered.without(None), uncounted)
    path = tmp_path / "graph.onnx"
    path.write_bytes(fused_graph(replace(SPEC, pooling=8.0), Detector((head,))).SerializeToString())
    plan = build_plan(rtx, path, path.read_bytes(), "sm86")
    assert plan.outputs == {"score": ("float32", (1,)), "heatmap": ("float32", (1, 4, 6))}
    engine = open_engine("openvino", path, GEOMETRY)
    assert engine.score(IMAGE).value > 0
    engine.close()


def test_a_large_bank_becomes_a_plan_and_the_score_of_comparing_all_of_it(rtx: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    white = whitening(Moments.of(rng.normal(size=(1000, DEPTH)).astype(np.float32)))
    head = NearestHead(
        white, Bank(rng.normal(size=(4500, DEPTH)).astype(np.float32), np.ones(4500, np.float32))
    )
    assert head.searched
    answers = []
    for each in (head, replace(head, searched_from=4501)):
        path = tmp_path / f"{each.searched}.onnx"
        path.write_bytes(fused_graph(SPEC, Detector((each,))).SerializeToString())
        engine = open_engine("openvino", path, GEOMETRY)
        answers.append(engine.score(IMAGE))
        engine.close()
    searched, exact = answers
    assert searched.value == pytest.approx(exact.value, rel=1e-3)
    np.testing.assert_allclose(searched.heatmap, exact.heatmap, rtol=1e-2)
    path = tmp_path / "True.onnx"
    plan = build_plan(rtx, path, path.read_bytes(), "sm86")
    assert plan.outputs == {"score": ("float32", (1,)), "heatmap": ("float32", (1, 4, 6))}


def test_two_scales_become_a_plan(rtx: Any, tmp_path: Path) -> None:
    spec = model_spec(lite0(), 1, [(64, 96), (96, 128)])
    rng = np.random.default_rng(6)
    white = whitening(Moments.of(rng.normal(size=(1000, DEPTH)).astype(np.float32)))
    head = NearestHead(white, Bank(rng.normal(size=(50, DEPTH)).astype(np.float32), np.ones(50, np.float32)))
    detector = Detector((head, head), (Scale(0.0, 1.0), Scale(0.5, 0.5)))
    path = tmp_path / "graph.onnx"
    path.write_bytes(fused_graph(spec, detector).SerializeToString())
    plan = build_plan(rtx, path, path.read_bytes(), "sm86")
    assert plan.outputs["heatmap"] == ("float32", (1, 6, 8))


def test_several_views_become_a_plan_and_in_half_their_scores_stay(rtx: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    white = whitening(Moments.of(rng.normal(size=(1000, DEPTH)).astype(np.float32)))
    banks = [Bank(rng.normal(size=(50, DEPTH)).astype(np.float32), np.ones(50, np.float32)) for _ in range(2)]
    detectors = [Detector((NearestHead(white, bank),)) for bank in banks]
    path, half = tmp_path / "graph.onnx", tmp_path / "half.onnx"
    heads = [ViewHead(SPEC, detector, limit) for detector, limit in zip(detectors, (20.0, 30.0), strict=True)]
    path.write_bytes(views_graph(heads).SerializeToString())
    for precision in ("float32", "half"):
        plan = build_plan(rtx, path, path.read_bytes(), "sm86", precision=precision)
        assert plan.inputs == {"image": ("uint8", (2, 64, 96, 1))}
        assert plan.outputs == {
            "score": ("float32", (1,)),
            "heatmap": ("float32", (2, 4, 6)),
            "views": ("float32", (2,)),
        }
    emulation = emulated(path.read_bytes())
    assert emulation is not None
    half.write_bytes(emulation)
    answers = []
    for each in (path, half):
        engine = open_engine("openvino", each, [GEOMETRY] * 2)
        pair = np.stack([IMAGE, IMAGE[::-1]])[..., None]
        answers.append([view.value for view in engine.score_prepared(pair).views])
        engine.close()
    assert answers[0] == pytest.approx(answers[1], rel=0.02)
    assert answers[0] != answers[1], "half precision is not float32"


def test_turing_has_no_float32_products(graph: Path, rtx: Any) -> None:
    with pytest.raises(GraphError, match="FP32 GEMM is not supported"):
        build_plan(rtx, graph, graph.read_bytes(), "sm75")


@pytest.fixture(scope="module")
def tiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph of 3 x 2 tiles whose lower right corner is masked."""
    rng = np.random.default_rng(13)
    watched = np.ones((96, 128), np.bool_)
    watched[70:, 90:] = False
    spec = replace(model_spec(lite0(), 1, [(96, 128)], tile=Tile(64, 32)), watched=watched)
    white = whitening(Moments.of(rng.normal(size=(1000, DEPTH)).astype(np.float32)))
    bank = Bank(rng.normal(size=(50, DEPTH)).astype(np.float32), np.full(50, 2, np.float32))
    path = tmp_path_factory.mktemp("tiled") / "graph.onnx"
    path.write_bytes(fused_graph(spec, Detector((NearestHead(white, bank),))).SerializeToString())
    return path


def test_tiles_in_a_loop_and_a_mask_agree_with_the_reference_evaluator(tiled: Path) -> None:
    image = np.random.default_rng(4).integers(0, 256, (96, 128), np.uint8)
    evaluator = onnx.reference.ReferenceEvaluator(str(tiled))
    score, heatmap = (
        np.asarray(o) for o in evaluator.run(["score", "heatmap"], {"image": image[None, ..., None]})
    )
    engine = open_engine("openvino", tiled, Geometry(1, 96, 128))
    answer = engine.score(image)
    engine.close()
    assert answer.value == pytest.approx(score.item(), rel=1e-4)
    np.testing.assert_allclose(answer.heatmap, heatmap[0], rtol=1e-3, atol=1e-4)
    assert answer.heatmap[5, 7] == 0


def test_tiles_in_a_loop_and_a_mask_become_a_plan(tiled: Path, rtx: Any) -> None:
    plan = build_plan(rtx, tiled, tiled.read_bytes(), "sm86")
    assert plan.inputs == {"image": ("uint8", (1, 96, 128, 1))}
    assert plan.outputs == {"score": ("float32", (1,)), "heatmap": ("float32", (1, 6, 8))}
