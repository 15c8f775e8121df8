"""The TensorRT engine as far as it goes without a GPU: real plans from the RTX builder, and the handling of a device that a stand-in plays."""

import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from inspector.engine import tensorrt as engine_module
from inspector.engine.gpu import require_device
from inspector.engine.plan import plan_folder
from inspector.engine.preprocess import Geometry
from inspector.engine.tensorrt import TensorRTEngine
from inspector.errors import (
    DeviceLostError,
    EngineClosedError,
    EngineError,
    EngineTimeoutError,
    EngineUnavailableError,
    GraphError,
    ScoreError,
)
from tests.unit.engine.gpu_standin import (
    StandInBindings,
    StandInExecution,
    StandInGpu,
    calls_of_a_frame,
)
from tests.unit.engine.graphs import SmallGraph

GEOMETRY = Geometry(1, 32, 48)
IMAGE = np.random.default_rng(3).integers(0, 256, (32, 48), np.uint8)


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
    engine.score(IMAGE)
    raw = engine.prepares_on_gpu
    engine.close()
    assert len(gpu.allocations) == 3 + 8 * raw, (
        "tensors; a receipt, a frame, the kernel's parameters and tables"
    )
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
    with pytest.raises(EngineClosedError, match="hangs or failed"):
        engine.score(IMAGE)
    engine.close()
    assert not any(a.freed for a in gpu.allocations), "freeing waits for the GPU that hangs"
    assert [engine] == engine_module._LOST
    assert gpu.depth == 0


def test_a_gpu_that_others_hold_is_an_engine_error(graph: Path, gpu: StandInGpu) -> None:
    def busy() -> None:
        raise gpu.cuda.Error(
            "cuDevicePrimaryCtxRetain failed: all CUDA-capable devices are busy or unavailable"
        )

    gpu.cuda.Device(0).retain_primary_context = busy
    with pytest.raises(EngineError, match=r"the GPU cannot be taken, see nvidia-smi .*busy or unavailable"):
        TensorRTEngine(graph, GEOMETRY)


def test_an_error_of_cuda_in_the_middle_of_the_work_loses_the_device(graph: Path, gpu: StandInGpu) -> None:
    engine = TensorRTEngine(graph, GEOMETRY)
    gpu.fails = True
    with pytest.raises(DeviceLostError, match=r"CUDA failed: cuMemcpyHtoDAsync failed.*restart the station"):
        engine.score(IMAGE)
    assert gpu.depth == 0
    gpu.fails = False
    with pytest.raises(EngineClosedError, match="hangs or failed"):
        engine.score(IMAGE)
    engine.close()
    assert not any(a.freed for a in gpu.allocations), "an error sticks to all that the process has on the GPU"
    assert [engine] == engine_module._LOST


def test_no_memory_at_the_start_is_an_error_that_may_pass(graph: Path, gpu: StandInGpu) -> None:
    def refuse(_size: int) -> None:
        raise gpu.cuda.Error("cuMemAlloc failed: out of memory")

    gpu.cuda.mem_alloc = refuse
    with pytest.raises(EngineError, match=r"see nvidia-smi for free memory: .*out of memory") as caught:
        TensorRTEngine(graph, GEOMETRY)
    assert not isinstance(caught.value, DeviceLostError)
    assert (gpu.depth, gpu.detached) == (0, 1)


def test_a_run_that_writes_nothing_does_not_leave_the_score_of_the_frame_before(
    graph: Path, gpu: StandInGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TensorRTEngine(graph, GEOMETRY)
    engine.score(IMAGE)
    monkeypatch.setattr(StandInExecution, "_evaluate", lambda _self: None)
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


def test_a_kept_plan_that_the_runtime_refuses_is_built_again_once(
    graph: Path, gpu: StandInGpu, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a new driver under the same version of the runtime."""
    TensorRTEngine(graph, GEOMETRY).close()
    right = gpu.trt.Runtime
    refused: list[bytes] = []

    def runtime(logger: Any) -> Any:
        def deserialize(plan: bytes) -> Any:
            if not refused:
                refused.append(plan)
                return None
            return right(logger).deserialize_cuda_engine(plan)

        return SimpleNamespace(deserialize_cuda_engine=deserialize)

    gpu.trt.Runtime = runtime
    with caplog.at_level(logging.INFO):
        engine = TensorRTEngine(graph, GEOMETRY)
    told = [record.getMessage() for record in caplog.records]
    assert told.index("plan_refused") < told.index("plan_building")
    assert np.isfinite(engine.score(IMAGE).value)
    engine.close()


# -- CUDA graphs -----------------------------------------------------------------------------------


def test_rtx_is_told_to_capture_by_itself(graph: Path, gpu: StandInGpu, rtx: Any) -> None:
    engine = TensorRTEngine(graph, GEOMETRY)
    engine.warm_up()
    assert gpu.strategies == [rtx.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE]
    assert not engine.captured
    engine.close()


@pytest.fixture
def full(graph: Path, rtx: Any, gpu: StandInGpu, monkeypatch: pytest.MonkeyPatch) -> StandInGpu:
    """The same GPU with the full TensorRT."""
    full = StandInGpu(graph, rtx, full=True)
    monkeypatch.setattr(engine_module, "require_device", lambda: (full.trt, full.cuda))
    return full


def test_the_full_tensorrt_is_captured_and_launched_by_one_call(
    graph: Path, full: StandInGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    bindings = StandInBindings(full)
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", bindings)
    engine = TensorRTEngine(graph, GEOMETRY)
    before = engine.score(IMAGE).value
    engine.warm_up()
    assert engine.captured
    calls = calls_of_a_frame(full, engine, IMAGE)
    assert calls[-2:] == ["launch", "record"]
    assert "infer" not in calls
    assert engine.score(IMAGE).value == before
    assert engine.score(np.flip(IMAGE).copy()).value != before
    engine.close()
    assert bindings.destroyed == ["graph", "executable"]


def test_what_cannot_be_captured_runs_call_by_call(
    graph: Path, full: StandInGpu, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bindings = StandInBindings(full)
    bindings.refuses = "cuGraphInstantiate"
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", bindings)
    with caplog.at_level(logging.INFO):
        engine = TensorRTEngine(graph, GEOMETRY)
        engine.warm_up()
    assert "graph_not_captured" in [record.getMessage() for record in caplog.records]
    assert not engine.captured
    assert "infer" in calls_of_a_frame(full, engine, IMAGE)
    assert full.capturing is None, "a stream left capturing takes no other work"
    assert bindings.destroyed == ["graph"]
    engine.close()


def test_a_driver_that_lacks_a_call_runs_call_by_call(
    graph: Path, full: StandInGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cuda-bindings 13 raise then was seen with a driver that has next to nothing."""

    def begin(*_: object) -> None:
        raise RuntimeError("Failed to get cuGetProcAddress_v2")

    bindings = StandInBindings(full)
    monkeypatch.setattr(bindings, "_cuStreamBeginCapture", begin)
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", bindings)
    engine = TensorRTEngine(graph, GEOMETRY)
    engine.warm_up()
    assert not engine.captured
    assert np.isfinite(engine.score(IMAGE).value)
    engine.close()


def test_without_the_bindings_it_runs_call_by_call(
    graph: Path, full: StandInGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", None)
    engine = TensorRTEngine(graph, GEOMETRY)
    engine.warm_up()
    assert not engine.captured
    engine.close()


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

    monkeypatch.setattr("inspector.engine.gpu.ctypes.CDLL", not_there)
    monkeypatch.setattr("inspector.engine.gpu.importlib.util.find_spec", lambda _name: None)
    with pytest.raises(
        EngineUnavailableError, match=r"no libcuda\.so\.1 .*, no pycuda .*, no tensorrt and no tensorrt_rtx"
    ):
        require_device()
