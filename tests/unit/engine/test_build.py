"""Building plans, with the real builder of TensorRT-RTX, which needs no GPU: what it compiles, for which GPUs, and what it refuses."""

import logging
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from inspector.engine.build import build_plan, capability_of, load_tensorrt, plan_for
from inspector.engine.plan import plan_folder
from inspector.errors import EngineUnavailableError, GraphError


@pytest.mark.parametrize("precision", ["float32", "half"])
@pytest.mark.parametrize("capability", ["sm80", "sm86", "sm89", "sm120"])
def test_a_plan_is_built_without_a_gpu(capability: str, precision: Any, graph: Path, rtx: Any) -> None:
    plan = build_plan(rtx, graph, graph.read_bytes(), capability, precision=precision)
    assert len(plan.data) > 100_000
    assert plan.inputs == {"image": ("uint8", (1, 32, 48, 1))}
    assert plan.outputs == {"score": ("float32", (1,)), "heatmap": ("float32", (1, 8, 12))}


def test_two_builds_give_the_same_bytes_and_two_gpus_give_two_plans(graph: Path, rtx: Any) -> None:
    first, again, other = (
        build_plan(rtx, graph, graph.read_bytes(), c).data for c in ("sm86", "sm86", "sm120")
    )
    assert first == again != other


def test_float32_is_computed_in_float32(graph: Path, rtx: Any) -> None:
    """TF32 keeps 10 bits of mantissa, and is on unless switched off."""
    configs = []

    class Builder(rtx.Builder):  # type: ignore[misc]  # untyped
        def build_serialized_network(self, network: Any, config: Any) -> Any:
            configs.append(config)
            return super().build_serialized_network(network, config)

    observed = SimpleNamespace(**{name: getattr(rtx, name) for name in dir(rtx)} | {"Builder": Builder})
    build_plan(observed, graph, graph.read_bytes(), "sm86")
    assert [config.get_flag(rtx.BuilderFlag.TF32) for config in configs] == [False]


def test_float32_products_are_refused_for_turing(graph: Path, rtx: Any) -> None:
    with pytest.raises(GraphError, match=r"cannot compile this graph for sm75: .*FP32 GEMM is not supported"):
        build_plan(rtx, graph, graph.read_bytes(), "sm75")


def test_a_gpu_the_runtime_has_no_kernels_for_is_named(graph: Path, rtx: Any) -> None:
    with pytest.raises(EngineUnavailableError, match=r"no kernels for sm90, only for .*sm86, sm89, sm120"):
        build_plan(rtx, graph, graph.read_bytes(), "sm90")


def test_a_truncated_graph_is_refused(graph: Path, rtx: Any) -> None:
    with pytest.raises(GraphError, match=r"cannot read this graph: .*Failed to parse"):
        build_plan(rtx, graph, graph.read_bytes()[:-40], "sm86")


def test_hopper_is_not_among_the_gpus_of_this_runtime_and_cannot_be_forced(graph: Path, rtx: Any) -> None:
    """The exact answers of TensorRT-RTX 1.7: no SM90 in its list, and a failure deep inside where its number is given all the same."""
    assert set(rtx.ComputeCapability.__members__) == {
        "NONE", "CURRENT", "SM75", "SM80", "SM86", "SM89", "SM120", "SM121",
    }  # fmt: skip
    forced = SimpleNamespace(
        **{name: getattr(rtx, name) for name in dir(rtx)}
        | {"ComputeCapability": SimpleNamespace(SM90=rtx.ComputeCapability(90))}
    )
    with pytest.raises(
        GraphError, match="cannot compile this graph for sm90: Unexpected exception bad optional access"
    ):
        build_plan(forced, graph, graph.read_bytes(), "sm90")


def test_an_unsupported_operator_is_named(tmp_path: Path, rtx: Any) -> None:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 8])
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, [1, 8])
    node = helper.make_node("Sharpen", ["image"], ["score"], domain="com.example")
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    model = helper.make_model(
        helper.make_graph([node], "odd", [image], [score]), opset_imports=opsets, ir_version=10
    )
    with pytest.raises(GraphError, match=r"cannot read this graph: .*Sharpen") as caught:
        build_plan(rtx, tmp_path / "graph.onnx", model.SerializeToString(), "sm86")
    assert "\n" not in str(caught.value)


def quantised(kind: Any) -> bytes:
    """Through eight bits and back, with a zero point of this type."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8]) for name in ("x", "y"))
    constants = [
        numpy_helper.from_array(np.array(0.1, np.float32), "step"),
        numpy_helper.from_array(np.array(0, kind), "zero"),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "step", "zero"], ["q"], name="down"),
        helper.make_node("DequantizeLinear", ["q", "step", "zero"], ["y"], name="up"),
    ]
    graph = helper.make_graph(nodes, "quantised", [x], [y], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return bytes(model.SerializeToString())


def test_unsigned_bytes_are_refused_and_signed_ones_built(tmp_path: Path, rtx: Any) -> None:
    """TensorRT would read 200 as -56, and say so in nothing but a warning."""
    path = tmp_path / "graph.onnx"
    assert build_plan(rtx, path, quantised(np.int8), "sm86").data
    with pytest.raises(GraphError, match="unsigned 8 bits, which TensorRT takes for signed ones"):
        build_plan(rtx, path, quantised(np.uint8), "sm86")


def test_a_graph_without_a_convolution_has_no_half(tmp_path: Path, rtx: Any) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8]) for name in ("x", "y"))
    model = helper.make_model(
        helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "no convolution", [x], [y]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=10,
    )
    onnx.checker.check_model(model)
    with pytest.raises(GraphError, match="nothing in this graph can be computed in half precision"):
        build_plan(rtx, tmp_path / "graph.onnx", model.SerializeToString(), "sm86", precision="half")


def test_building_shows_how_far_it_is(graph: Path, rtx: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "inspector.engine.build"):
        plan_for(rtx, graph, "sm86", "")
    told = [record.getMessage() for record in caplog.records]
    assert told[0] == "plan_building"
    assert told[-1] == "plan_built"
    percents = [
        record.__dict__["percent"] for record in caplog.records if record.getMessage() == "plan_progress"
    ]
    assert percents == sorted(percents)
    assert percents


# -- the cache -------------------------------------------------------------------------------------


def test_a_plan_that_was_built_elsewhere_is_taken_whatever_the_gpu_is_called(
    graph: Path, rtx: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = plan_for(rtx, graph, "sm86", "")
    monkeypatch.setattr("inspector.engine.build.build_plan", lambda *_, **__: pytest.fail("built again"))
    assert plan_for(rtx, graph, "sm86", "NVIDIA RTX A2000") == built


def test_the_plan_of_another_gpu_is_refused_and_built_again(
    graph: Path, rtx: Any, caplog: pytest.LogCaptureFixture
) -> None:
    other = plan_for(rtx, graph, "sm120", "")
    folder = plan_folder(graph)
    for suffix in ("plan", "json"):
        (folder / f"tensorrt_rtx-sm120.{suffix}").rename(folder / f"tensorrt_rtx-sm86.{suffix}")
    with caplog.at_level(logging.WARNING):
        plan = plan_for(rtx, graph, "sm86", "")
    assert plan.data != other.data
    [told] = [record.__dict__["why"] for record in caplog.records]
    assert "expected a plan for compute_capability sm86, this one is for sm120: build it again" in told


@pytest.mark.parametrize("text", ["sm_89", "sm89", "8.9", "SM_89", " 8.9 "])
def test_a_capability_is_read_as_people_write_it(text: str) -> None:
    assert capability_of(text) == "sm89"


def test_later_ones_have_three_figures() -> None:
    assert [capability_of(text) for text in ("12.0", "sm_120", "sm_90a")] == ["sm120", "sm120", "sm90"]


@pytest.mark.parametrize("text", ["", "ada", "sm", "8", "8.9.1"])
def test_what_is_no_capability_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(EngineUnavailableError, match=r"like sm_89 or 8\.9"):
        capability_of(text)


# -- which package ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("installed", "taken"), [({"tensorrt", "tensorrt_rtx"}, "tensorrt"), ({"tensorrt_rtx"}, "tensorrt_rtx")]
)
def test_the_full_tensorrt_comes_first(
    installed: set[str], taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def import_module(name: str) -> str:
        if name not in installed:
            raise ImportError(name)
        return name

    monkeypatch.setattr("inspector.engine.build.importlib.import_module", import_module)
    assert load_tensorrt() == taken


def test_without_either_runtime_the_way_to_install_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(EngineUnavailableError, match="sh tools/setup gpu"):
        load_tensorrt()
