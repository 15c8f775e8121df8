"""Int8 is taken where it decides as float32 does, and refused where it answers every part alike."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from inspector.engine.preprocess import to_input
from inspector.errors import ModelError
from inspector.model import int8_gate, sample, trials
from inspector.model.batches import Batches
from inspector.model.detector import fit_detector
from inspector.model.folds import Folds, choose_folds
from inspector.model.framing import Framing, plan
from inspector.model.graph import fused_graph, head_graph
from inspector.model.images import survey
from inspector.model.int8 import Int8Backbone, quantised
from inspector.model.int8_gate import Settled, agrees, compared, seen_alone, settle, settled_precision
from inspector.model.methods import choice
from inspector.model.methods.base import Detector, method_named
from inspector.model.methods.nearest import NearestHead
from inspector.model.options import FLOAT32, INT8, FitOptions, FrameOptions
from inspector.model.patches import fit_patches, spec_for
from inspector.model.progress import silent, uncounted
from inspector.model.sample import Sample, draw
from inspector.model.scoring import compiled
from inspector.model.spec import ModelSpec

OPTIONS = FitOptions(sizes=(96,), taps=(("4", "7"),), bank=100, false_reject_rate=0.05)


@pytest.fixture(autouse=True, scope="module")
def _few() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "EACH", 3)
        yield


@pytest.fixture(scope="module")
def folds() -> Folds:
    batches = Batches(np.repeat(np.arange(3), 10), ("a", "b", "c"), np.arange(30), "folders")
    return choose_folds(batches, np.random.default_rng(0))


@pytest.fixture(scope="module")
def framing(paths: list[Path]) -> Framing:
    return plan(FrameOptions(), survey(paths), paths, OPTIONS.sizes)


@pytest.fixture(scope="module")
def drawn(paths: list[Path], folds: Folds, framing: Framing) -> Sample:
    return draw(paths, folds, framing, 0, uncounted)


@pytest.fixture(scope="module")
def spec(framing: Framing) -> ModelSpec:
    return spec_for(OPTIONS, framing)


def scores_of(model: onnx.ModelProto, spec: ModelSpec, shown: Sample) -> NDArray[np.float64]:
    """Return each judged image's score by a graph, NaN for the others."""
    scores = np.full(len(shown.images), np.nan)
    with compiled(model, spec.geometry) as engine:
        for index in np.flatnonzero(shown.fold_of >= 0).tolist():
            scores[index] = engine.score_prepared(to_input(shown.images[index], spec.geometry)).value
    return scores


def in_int8_throughout(model: onnx.ModelProto, spec: ModelSpec, shown: Sample) -> onnx.ModelProto:
    """Return the graph with all its products in int8, also that of patches, lengths and bank, as a quantiser of graphs makes it."""
    product = next(node for node in model.graph.node if node.op_type == "MatMul")
    result = onnx.ModelProto()
    result.CopyFrom(model)
    with compiled(_showing(model, product.input[0]), spec.geometry) as engine:
        values = engine.score_prepared(to_input(shown.images[0], spec.geometry)).heatmap
    step = np.float32((values.max() - values.min()) / 255)
    zero = np.uint8(round(float(-values.min() / step)))
    bank = next(each for each in model.graph.initializer if each.name == product.input[1])
    factors = numpy_helper.to_array(bank)
    steps = (np.abs(factors).max(axis=0) / 127).astype(np.float32)
    constants = {
        "q.step": step, "q.zero": zero, "q.bank": np.rint(factors / steps).astype(np.int8), "q.steps": steps,
        "q.zeros": np.zeros(len(steps), np.int8),
    }  # fmt: skip
    result.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items())
    pairs = [
        helper.make_node("QuantizeLinear", [product.input[0], "q.step", "q.zero"], ["q.int8"]),
        helper.make_node("DequantizeLinear", ["q.int8", "q.step", "q.zero"], ["q.patches"]),
        helper.make_node("DequantizeLinear", ["q.bank", "q.steps", "q.zeros"], ["q.entries"], axis=1),
    ]
    index = next(i for i, node in enumerate(result.graph.node) if node.op_type == "MatMul")
    nodes = list(result.graph.node)
    nodes[index].input[:] = ["q.patches", "q.entries"]
    del result.graph.node[:]
    result.graph.node.extend([*nodes[:index], *pairs, *nodes[index:]])
    return result


def _showing(model: onnx.ModelProto, tensor: str) -> onnx.ModelProto:
    """Return the graph with a tensor [n, d] as its heat map [1, n, d]."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
    shape = next(
        [size.dim_value for size in each.type.tensor_type.shape.dim]
        for each in inferred
        if each.name == tensor
    )
    kept = [node for node in result.graph.node if "heatmap" not in node.output]
    result.graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), "first"))
    kept.append(helper.make_node("Unsqueeze", [tensor, "first"], ["heatmap"]))
    del result.graph.node[:]
    result.graph.node.extend(kept)
    score = [each for each in result.graph.output if each.name == "score"]
    del result.graph.output[:]
    result.graph.output.extend(
        [*score, helper.make_tensor_value_info("heatmap", onnx.TensorProto.FLOAT, [1, *shape])]
    )
    return result


def test_a_backbone_in_int8_is_taken(spec: ModelSpec, drawn: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        int8_gate, "DEVIATION_BOUND", 0.06
    )  # banks of thirty small plates differ more by chance
    settled = settle(spec, OPTIONS, drawn, uncounted)
    assert settled.precision == INT8, settled.why
    assert isinstance(settled.spec.backbone, Int8Backbone)
    assert settled.spec.framing == spec.framing
    assert settled.found is not None
    assert settled.found.images > 20
    assert settled.found.deviation > 1e-4  # something was rounded


def test_int8_is_judged_by_the_search_that_it_will_decide_by(
    spec: ModelSpec, drawn: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[bool] = []

    def noted(head: ModelSpec, detector: Detector) -> onnx.ModelProto:
        searched.extend(isinstance(each, NearestHead) and each.searched for each in detector.heads)
        return head_graph(head, detector)

    monkeypatch.setattr(trials, "head_graph", noted)
    monkeypatch.setattr(choice, "SEARCHED_FROM_INT8", 50)
    settle(spec, OPTIONS, drawn, uncounted)
    half = len(searched) // 2
    assert searched == [False] * half + [True] * half, "float32 is compared with all, int8 by a search"


def test_a_graph_in_int8_throughout_is_refused(
    spec: ModelSpec, drawn: Sample, paths: list[Path], folds: Folds
) -> None:
    seen = seen_alone(spec)
    method = method_named("nearest", bank=100, seed=0)
    model = fit_patches(spec, method, paths, folds, seed=0, progress=silent)
    exact = fused_graph(seen, fit_detector(seen, method, model.collected.without(None), uncounted))
    scores = scores_of(exact, seen, drawn)
    whole = scores_of(in_int8_throughout(exact, seen, drawn), seen, drawn)
    judged = drawn.fold_of >= 0
    assert np.std(whole[judged]) / np.mean(whole[judged]) < np.std(scores[judged]) / np.mean(scores[judged])
    assert not agrees(compared(scores, whole, drawn, OPTIONS.false_reject_rate))


def test_the_same_answer_to_every_part_is_refused(drawn: Sample) -> None:
    exact = np.where(drawn.kind_of < 0, 0.8, 1.5)
    exact[drawn.fold_of < 0] = np.nan
    constant = np.where(drawn.fold_of < 0, np.nan, 1.0)
    assert agrees(compared(exact, 1.2 * exact, drawn, 0.05))
    assert not agrees(compared(exact, constant, drawn, 0.05))


def test_a_network_whose_activations_were_cut_is_refused(
    spec: ModelSpec, drawn: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(spec: ModelSpec, images: list[NDArray[np.uint8]]) -> ModelSpec:
        found = quantised(spec, images)
        assert isinstance(found.backbone, Int8Backbone)
        ranges = {name: (low / 8, high / 8) for name, (low, high) in found.backbone.ranges.items()}
        return replace(found, backbone=replace(found.backbone, ranges=ranges))

    monkeypatch.setattr(int8_gate, "quantised", cut)
    settled = settle(spec, OPTIONS, drawn, uncounted)
    assert (settled.precision, settled.spec) == (FLOAT32, spec)


def test_nothing_is_tried_unless_it_is_asked_for(
    spec: ModelSpec, paths: list[Path], folds: Folds, framing: Framing
) -> None:
    stages: list[str] = []
    settled = settled_precision(
        spec, OPTIONS, paths, folds, framing, progress=lambda stage, *_: stages.append(stage)
    )
    assert (settled.precision, settled.spec, settled.found, stages) == (FLOAT32, spec, None, [])


def test_int8_alone_is_an_error_where_it_is_refused(
    spec: ModelSpec, paths: list[Path], folds: Folds, framing: Framing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8_gate, "settle", lambda spec, *_: Settled(spec, FLOAT32, "it is too far off"))
    wanted = replace(OPTIONS, precision=INT8)
    with pytest.raises(ModelError, match="too far off; choose --precision float32"):
        settled_precision(spec, wanted, paths, folds, framing, progress=silent)
