"""The way of a frame into the TensorRT engine and out of it, on a GPU that a stand-in plays."""

import logging
import mmap
from pathlib import Path

import numpy as np
import pytest

from inspector.engine import tensorrt as engine_module
from inspector.engine.alignment import Alignment
from inspector.engine.gpu import PageLock
from inspector.engine.preprocess import Geometry, to_input
from inspector.engine.tensorrt import TensorRTEngine
from inspector.errors import (
    EngineTimeoutError,
)
from inspector.pixels import pixel_format
from tests.unit.engine import host_kernel
from tests.unit.engine.gpu_standin import (
    StandInDriver,
    StandInGpu,
    calls_of_a_frame,
)

GEOMETRY = Geometry(1, 32, 48)
IMAGE = np.random.default_rng(3).integers(0, 256, (32, 48), np.uint8)


needs_compiler = pytest.mark.skipif(host_kernel.compiler() is None, reason="no C compiler to play nvcc")


@needs_compiler
def test_a_raw_frame_goes_up_as_it_came_and_one_wait_ends_it(graph: Path, gpu: StandInGpu) -> None:
    engine = TensorRTEngine(graph, GEOMETRY)
    raw = np.random.default_rng(1).integers(0, 256, (64, 96), np.uint8)
    steps: list[str] = []
    engine.mark = steps.append
    engine.score(raw, "BayerRG8")  # the first of its kind: its input comes down as well
    steps.clear()
    upload, prepare = ["set", "download", "upload", "download"], ["set", "set", "kernel", "download"]
    calls = calls_of_a_frame(gpu, engine, raw, "BayerRG8")
    assert calls == [*upload, *prepare, "set", "infer", "download", "download", "record"]
    assert steps == ["upload", "prepare", "infer", "download"]
    engine.close()


@needs_compiler
@pytest.mark.parametrize("name", ["Mono8", "BayerGB8", "Mono12Packed", "BayerRG10p", "Mono16"])
def test_a_raw_frame_scores_as_one_that_the_cpu_prepared(name: str, graph: Path, gpu: StandInGpu) -> None:
    engine = TensorRTEngine(graph, GEOMETRY)
    form = pixel_format(name)
    raw = np.random.default_rng(2).integers(0, 256, (64, form.line_bytes(96)), np.uint8)
    by_cpu = engine.score_prepared(to_input(raw, GEOMETRY, name))
    by_gpu = engine.score(raw, name)
    # A tie may round to the next grey level.
    assert by_gpu.value == pytest.approx(by_cpu.value, rel=2e-2)
    assert by_gpu.cells_to_frame != by_cpu.cells_to_frame, "one knows the frame, the other only the input"
    engine.close()


@needs_compiler
def test_memory_is_taken_once_for_each_kind_of_frame(graph: Path, gpu: StandInGpu) -> None:
    engine = TensorRTEngine(graph, GEOMETRY)
    for _ in range(3):
        engine.score(IMAGE)
    taken = len(gpu.allocations)
    assert taken == 3 + 1 + 7
    engine.score(np.zeros((64, 96), np.uint8))
    assert len(gpu.allocations) == taken + 7
    assert sum(a.freed for a in gpu.allocations) == 7
    engine.close()


def test_the_frame_of_a_part_that_moves_is_prepared_on_the_cpu(
    graph: Path, gpu: StandInGpu, caplog: pytest.LogCaptureFixture
) -> None:
    reference = np.random.default_rng(1).integers(0, 256, (64, 96), np.uint8)
    alignment = Alignment(reference, (96, 64), 8.0, 5.0, None)
    with caplog.at_level(logging.INFO):
        engine = TensorRTEngine(graph, Geometry(1, 32, 48, frame=(96, 64), alignment=alignment))
    assert "frames_prepared_on_cpu" in [record.getMessage() for record in caplog.records]
    assert "kernel" not in calls_of_a_frame(gpu, engine, reference)
    engine.close()


@needs_compiler
def test_a_ring_is_page_locked_once_and_unlocked_at_the_end(
    graph: Path, gpu: StandInGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = StandInDriver()
    monkeypatch.setattr(engine_module, "PageLock", lambda: PageLock(driver))
    engine = TensorRTEngine(graph, GEOMETRY)
    memory = np.frombuffer(mmap.mmap(-1, 4 * 4096), np.uint8)
    for slot in range(3):
        frame = memory[slot * 4096 :][: 32 * 48].reshape(32, 48)
        frame[...] = IMAGE
        assert engine.score(frame, "Mono8").value == engine.score(IMAGE).value
    assert driver.locked == {memory.ctypes.data: memory.nbytes}
    engine.close()
    assert driver.locked == {}


def test_an_idle_engine_works_on_what_is_there_and_looks_at_nothing(graph: Path, gpu: StandInGpu) -> None:
    engine = TensorRTEngine(graph, GEOMETRY)
    gpu.calls.clear()
    engine.keep_warm()
    upload = ["set", "download", "upload", "download"]
    assert gpu.calls == [*upload, "set", "infer", "download", "download", "record"]
    engine.close()


def test_the_wait_is_a_poll_with_an_end(graph: Path, gpu: StandInGpu) -> None:
    engine = TensorRTEngine(graph, GEOMETRY, timeout_ms=5)
    gpu.hangs, gpu.queries = True, 0
    with pytest.raises(EngineTimeoutError):
        engine.keep_warm()
    assert gpu.queries > 1


def test_the_first_runs_may_take_longer_than_a_frame(graph: Path, gpu: StandInGpu) -> None:
    """Kernels are compiled then; a frame's limit would take that for a hang."""
    engine = TensorRTEngine(graph, GEOMETRY, timeout_ms=500)
    limits: list[float] = []
    engine.mark = lambda _step: limits.append(engine.gpu.timeout_ms)
    engine.warm_up()
    assert set(limits) == {60_000.0}
    limits.clear()
    engine.score(IMAGE)
    assert set(limits) == {500}
    engine.close()
