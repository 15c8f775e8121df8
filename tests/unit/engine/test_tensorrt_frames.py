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
from tests.unit.engine.graphs import SmallGraph

GEOMETRY = Geometry(1, 32, 48)
IMAGE = np.random.default_rng(3).integers(0, 256, (32, 48), np.uint8)


needs_compiler = pytest.mark.skipif(host_kernel.compiler() is None, reason="no C compiler to play nvcc")


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> StandInDriver:
    """What page-locking asks."""
    driver = StandInDriver()
    monkeypatch.setattr(engine_module, "PageLock", lambda: PageLock(driver))
    return driver


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
    graph: Path, gpu: StandInGpu, driver: StandInDriver
) -> None:
    engine = TensorRTEngine(graph, GEOMETRY)
    memory = np.frombuffer(mmap.mmap(-1, 4 * 4096), np.uint8)
    for slot in range(3):
        frame = memory[slot * 4096 :][: 32 * 48].reshape(32, 48)
        frame[...] = IMAGE
        assert engine.score(frame, "Mono8").value == engine.score(IMAGE).value
    assert driver.locked == {memory.ctypes.data: memory.nbytes}
    assert driver.asked == 1, "not for each frame"
    engine.close()
    assert driver.locked == {}


def test_an_idle_engine_works_on_what_is_there_and_looks_at_nothing(graph: Path, gpu: StandInGpu) -> None:
    engine = TensorRTEngine(graph, GEOMETRY)
    gpu.calls.clear()
    engine.keep_warm()
    upload = ["set", "download", "upload", "download"]
    assert gpu.calls == [*upload, "set", "infer", "download", "download", "record"]
    engine.close()


@needs_compiler
def test_no_copy_waits_for_the_gpu_by_itself(graph: Path, gpu: StandInGpu) -> None:
    """A plain copy has no time-out; also not the first of a kind of frame, which brings tables with it."""
    del gpu.cuda.memcpy_htod, gpu.cuda.memcpy_dtoh
    engine = TensorRTEngine(graph, GEOMETRY)
    engine.warm_up()
    for image in (IMAGE, np.tile(IMAGE, (2, 2))):
        assert np.isfinite(engine.score(image).value)
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


# -- several views ---------------------------------------------------------------------------------

VIEWS = [
    Geometry(1, 32, 48, roi=roi)
    for roi in ((0, 20, 64, 40), (30, 22, 48, 32), (8, 70, 96, 64), (0, 44, 128, 90))
]
PART = np.random.default_rng(5).integers(0, 256, (160, 128), np.uint8)


@pytest.fixture
def of_four(graph: Path, gpu: StandInGpu) -> Path:
    return SmallGraph(views=4).save(graph)


@needs_compiler
def test_all_views_cost_one_upload_one_kernel_one_execution_and_one_wait(
    of_four: Path, gpu: StandInGpu
) -> None:
    engine = TensorRTEngine(of_four, VIEWS)
    engine.score(PART)  # the first of its kind: its input comes down as well
    calls = calls_of_a_frame(gpu, engine, PART, "Mono8")
    upload, prepare = ["set", "download", "upload", "download"], ["set", "set", "kernel", "download"]
    outputs = ["download"] * 3  # score, heat maps, the views' scores
    assert engine.score(PART).value == pytest.approx(
        SmallGraph(views=4).reference(to_input(PART, VIEWS))[0], rel=2e-2
    )
    calls = calls_of_a_frame(gpu, engine, PART)
    assert calls == [*upload, *prepare, "set", "infer", *outputs, "record"]
    assert gpu.grids[-1] == (2, 4, 4)
    engine.close()


@needs_compiler
def test_only_the_lines_that_the_views_need_go_up(
    of_four: Path, gpu: StandInGpu, driver: StandInDriver
) -> None:
    """From a page-locked ring, which needs no copy either."""
    ring = np.frombuffer(mmap.mmap(-1, 8 * 4096), np.uint8)
    frame = ring[4096:][: PART.size].reshape(PART.shape)
    frame[...] = PART
    engine = TensorRTEngine(of_four, VIEWS)
    score = engine.score(frame, "Mono8")
    assert gpu.uploaded[-1].size == 114 * 128
    assert gpu.uploaded[-1].ctypes.data == frame[20:].ctypes.data
    assert driver.locked == {ring.ctypes.data: ring.nbytes}
    frame[:20], frame[134:] = 0, 255
    assert engine.score(frame, "Mono8").value == score.value
    engine.close()


@needs_compiler
def test_memory_is_taken_once_for_all_views_and_given_back(of_four: Path, gpu: StandInGpu) -> None:
    engine = TensorRTEngine(of_four, VIEWS)
    engine.warm_up()
    for _ in range(3):
        engine.score(PART)
    assert len(gpu.allocations) == 4 + 1 + 7, "tensors; receipts, a frame, the kernel's parameters and tables"
    engine.close()
    assert all(allocation.freed for allocation in gpu.allocations)


@needs_compiler
def test_views_scored_from_a_frame_are_those_that_the_cpu_prepared(of_four: Path, gpu: StandInGpu) -> None:
    engine = TensorRTEngine(of_four, VIEWS)
    raw = np.random.default_rng(6).integers(0, 256, (160, 128), np.uint8)
    by_cpu = engine.score_prepared(to_input(raw, VIEWS, "BayerGR8"))
    by_gpu = engine.score(raw, "BayerGR8")
    for ours, theirs in zip(by_gpu.views, by_cpu.views, strict=True):
        assert ours.value == pytest.approx(theirs.value, rel=3e-2)
    assert [each.place(0, 0) for each in by_gpu.views] == [
        pytest.approx((roi[0] + roi[2] / 24, roi[1] + roi[3] / 16))
        for roi in (view.roi for view in VIEWS)
        if roi
    ]
    engine.close()


def test_an_idle_engine_keeps_all_views_warm(of_four: Path, gpu: StandInGpu) -> None:
    engine = TensorRTEngine(of_four, VIEWS)
    gpu.calls.clear()
    engine.keep_warm()
    assert gpu.calls.count("upload") == gpu.calls.count("infer") == 1
    assert gpu.uploaded[-1].shape == (4, 32, 48, 1)
    engine.close()
