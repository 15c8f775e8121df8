"""The TensorRT engine as far as it goes without a GPU: real plans from the RTX builder, and the handling of a device that a stand-in plays."""

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inspector.engine import tensorrt as engine_module
from inspector.engine.plan import plan_folder
from inspector.engine.preprocess import Geometry
from inspector.engine.tensorrt import TensorRTEngine, require_device
from inspector.errors import (
    EngineClosedError,
    EngineError,
    EngineTimeoutError,
    EngineUnavailableError,
    GraphError,
    ScoreError,
)
from tests.unit.engine.gpu_standin import StandInGpu
from tests.unit.engine.graphs import SmallGraph

GEOMETRY = Geometry(1, 32, 48)
IMAGE = np.random.default_rng(3).integers(0, 256, (32, 48), np.uint8)


@pytest.fixture(scope="module")
def rtx() -> Any:
    return pytest.importorskip("tensorrt_rtx", reason="no tensorrt_rtx: pip install tensorrt-rtx-cu13")


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    pack = tmp_path / "pack"
    pack.mkdir()
    return SmallGraph().save(pack / "graph.onnx")


@pytest.fixture
def gpu(graph: Path, rtx: Any, monkeypatch: pytest.MonkeyPatch) -> StandInGpu:
    gpu = StandInGpu(graph, rtx)
    monkeypatch.setattr(engine_module, "require_device", lambda: (gpu.trt, gpu.cuda))
    monkeypatch.setattr(engine_module, "_HUNG", [])
    return gpu


# -- the plan cache in use -------------------------------------------------------------------------


def test_the_second_start_takes_the_cached_plan(
    graph: Path, gpu: StandInGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    TensorRTEngine(graph, GEOMETRY).close()
    monkeypatch.setattr("inspector.engine.build.build_plan", lambda *_, **__: pytest.fail("built again"))
    engine = TensorRTEngine(graph, GEOMETRY)
    assert gpu.plans[0] == gpu.plans[1]
    assert engine.score(IMAGE).value == pytest.approx(
        SmallGraph().reference(IMAGE[None, ..., None])[0], rel=1e-3
    )
    engine.close()


@pytest.mark.parametrize("change", ["graph", "gpu"])
def test_another_graph_or_gpu_builds_another_plan(change: str, graph: Path, gpu: StandInGpu) -> None:
    TensorRTEngine(graph, GEOMETRY).close()
    if change == "graph":
        SmallGraph(seed=8).save(graph)
    else:
        gpu.capability = (8, 9)
    TensorRTEngine(graph, GEOMETRY).close()
    assert gpu.plans[0] != gpu.plans[1]


def test_a_truncated_plan_is_never_deserialised_but_built_again(
    graph: Path, gpu: StandInGpu, caplog: pytest.LogCaptureFixture
) -> None:
    TensorRTEngine(graph, GEOMETRY).close()
    [path] = plan_folder(graph).glob("*.plan")
    path.write_bytes(path.read_bytes()[:-100])
    with caplog.at_level(logging.WARNING):
        TensorRTEngine(graph, GEOMETRY).close()
    assert gpu.plans[0] == gpu.plans[1] == path.read_bytes()
    assert [r.getMessage() for r in caplog.records] == ["plan_refused"]


def test_a_cache_that_cannot_be_written_is_told_and_does_no_harm(
    graph: Path, gpu: StandInGpu, caplog: pytest.LogCaptureFixture
) -> None:
    plan_folder(graph).write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        engine = TensorRTEngine(graph, GEOMETRY)
    assert [r.getMessage() for r in caplog.records] == [
        "precision_refused",
        "plan_refused",
        "plan_not_cached",
    ]
    assert np.isfinite(engine.score(IMAGE).value)
    engine.close()


# -- the device: a stand-in ------------------------------------------------------------------------


def test_everything_taken_is_given_back(graph: Path, gpu: StandInGpu) -> None:
    engine = TensorRTEngine(graph, GEOMETRY)
    engine.warm_up()
    engine.close()
    assert len(gpu.allocations) == 3
    assert all(a.freed for a in gpu.allocations)
    assert (gpu.depth, gpu.detached) == (0, 1)


def test_a_graph_that_breaks_the_contract_leaves_nothing_behind(tmp_path: Path, gpu: StandInGpu) -> None:
    graph = SmallGraph(heatmap_rank=4).save(tmp_path / "pack" / "graph.onnx")
    with pytest.raises(GraphError, match="expected the outputs"):
        TensorRTEngine(graph, GEOMETRY)
    assert (gpu.depth, gpu.detached) == (0, 1)


def test_a_gpu_that_hangs_is_a_time_out_and_the_engine_is_done_for(graph: Path, gpu: StandInGpu) -> None:
    engine = TensorRTEngine(graph, GEOMETRY, timeout_ms=1)
    gpu.hangs = True
    with pytest.raises(EngineTimeoutError, match="did not finish a frame in 1 ms"):
        engine.score(IMAGE)
    gpu.hangs = False
    with pytest.raises(EngineClosedError, match="hangs"):
        engine.score(IMAGE)
    engine.close()
    assert not any(a.freed for a in gpu.allocations), "freeing waits for the GPU that hangs"
    assert [engine] == engine_module._HUNG
    assert gpu.depth == 0


def test_a_gpu_that_others_hold_is_an_engine_error(graph: Path, gpu: StandInGpu) -> None:
    def busy() -> None:
        raise gpu.cuda.Error(
            "cuDevicePrimaryCtxRetain failed: all CUDA-capable devices are busy or unavailable"
        )

    gpu.cuda.Device(0).retain_primary_context = busy
    with pytest.raises(EngineError, match=r"the GPU cannot be taken, see nvidia-smi .*busy or unavailable"):
        TensorRTEngine(graph, GEOMETRY)


def test_an_error_of_cuda_is_an_engine_error_and_leaves_no_context_behind(
    graph: Path, gpu: StandInGpu
) -> None:
    engine = TensorRTEngine(graph, GEOMETRY)
    gpu.fails = True
    with pytest.raises(EngineError, match="CUDA failed: cuMemcpyHtoDAsync failed"):
        engine.score(IMAGE)
    assert gpu.depth == 0
    engine.close()


def test_a_run_that_writes_nothing_does_not_leave_the_score_of_the_frame_before(
    graph: Path, gpu: StandInGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TensorRTEngine(graph, GEOMETRY)
    engine.score(IMAGE)
    monkeypatch.setattr(gpu, "enqueue", lambda _work: None)
    with pytest.raises(ScoreError, match="the score is nan"):
        engine.score(IMAGE)
    engine.close()


def test_a_refused_run_is_an_engine_error(graph: Path, gpu: StandInGpu) -> None:
    engine = TensorRTEngine(graph, GEOMETRY)
    gpu.refuses = True
    with pytest.raises(EngineError, match="refused to run"):
        engine.score(IMAGE)
    engine.close()


def test_a_plan_the_runtime_refuses_is_a_graph_error(graph: Path, gpu: StandInGpu) -> None:
    gpu.trt.Runtime = lambda _logger: type("Runtime", (), {"deserialize_cuda_engine": lambda *_: None})()
    with pytest.raises(GraphError, match="tensorrt_rtx refuses the plan"):
        TensorRTEngine(graph, GEOMETRY)
    assert (gpu.depth, gpu.detached) == (0, 1)


# -- without GPU and packages ----------------------------------------------------------------------


def test_the_module_loads_without_any_vendor_package() -> None:
    code = (
        "import sys, inspector.engine.tensorrt; "
        "print([n for n in ('tensorrt', 'tensorrt_rtx', 'pycuda', 'openvino') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_all_that_is_missing_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_there(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr("inspector.engine.tensorrt.ctypes.CDLL", not_there)
    monkeypatch.setattr("inspector.engine.tensorrt.importlib.util.find_spec", lambda _name: None)
    with pytest.raises(
        EngineUnavailableError, match=r"no libcuda\.so\.1 .*, no pycuda .*, no tensorrt and no tensorrt_rtx"
    ):
        require_device()
