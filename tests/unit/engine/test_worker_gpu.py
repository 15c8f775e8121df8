"""The engine thread with a device that cools down, hangs or fails: it is kept warm, and what it does to a part is REJECT with ENGINE."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inspector.clock import SystemClock
from inspector.engine import worker
from inspector.engine.base import Engine
from inspector.engine.preprocess import Geometry
from inspector.engine.tensorrt import TensorRTEngine
from inspector.engine.worker import EngineThread, Job
from inspector.errors import DeviceLostError, EngineError, EngineTimeoutError
from inspector.part import Frame, FrameStatus, Reason
from tests.unit.engine.gpu_standin import StandInGpu, kernel_for
from tests.unit.engine.graphs import SmallGraph
from tests.unit.engine.worker_rig import FAR_NS, PATIENCE_S, FakeDesk, FakeEngine


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "STOP_LOOK_MS", 1)


@contextmanager
def running(desk: FakeDesk, engine: Any) -> Iterator[EngineThread]:
    def open_engine(_: int) -> Engine:
        opened: Engine = engine() if callable(engine) else engine
        return opened

    thread = EngineThread(open_engine, desk, desk.doorbell_fd, SystemClock())
    thread.start()
    try:
        yield thread
    finally:
        if thread.error is None:
            thread.stop(PATIENCE_S)


class CoolingEngine(FakeEngine):
    """Counts how often it was kept warm."""

    def __init__(self, *script: Any, error: EngineError | None = None) -> None:
        super().__init__(*script)
        self.kept = 0
        self.thrice = threading.Event()
        self.error = error

    def keep_warm(self) -> None:
        assert self.warm
        self.kept += 1
        if self.kept >= 3:
            self.thrice.set()
        if self.error is not None:
            raise self.error


def test_where_nothing_comes_the_engine_is_kept_warm_and_still_scores(desk: FakeDesk) -> None:
    engine = CoolingEngine(0.25)
    with running(desk, engine) as thread:
        assert engine.thrice.wait(PATIENCE_S)
        desk.file(1)
        desk.wait_for(lambda: 1 in desk.answers)
        assert thread.error is None
    assert desk.answers == {1: 0.25}


def test_an_engine_that_does_not_cool_is_left_alone(desk: FakeDesk) -> None:
    engine = FakeEngine()
    with running(desk, engine):
        desk.wait_for(lambda: bool(desk.engine))
        desk.file(1)
        desk.wait_for(lambda: 1 in desk.answers)
    assert engine.scored == [1]


def test_a_device_that_hangs_between_parts_ends_the_thread_before_the_next_part(desk: FakeDesk) -> None:
    with running(desk, CoolingEngine(error=EngineTimeoutError("hangs"))) as thread:
        thread._thread.join(PATIENCE_S)
        assert isinstance(thread.error, EngineTimeoutError)
    assert desk.engine[-1] == (False, "ENG-006: hangs")


@pytest.mark.parametrize(("fault", "error"), [("hangs", EngineTimeoutError), ("fails", DeviceLostError)])
def test_the_part_on_a_gpu_that_hangs_or_fails_is_rejected_and_the_station_ends(
    fault: str, error: type[EngineError], desk: FakeDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rtx = pytest.importorskip("tensorrt_rtx", reason="no tensorrt_rtx: pip install tensorrt-rtx-cu13")
    monkeypatch.setattr(worker, "STOP_LOOK_MS", 100)
    graph = SmallGraph().save(tmp_path / "graph.onnx")
    gpu = StandInGpu(graph, rtx)
    monkeypatch.setattr("inspector.engine.tensorrt.require_device", lambda: (gpu.trt, gpu.cuda))
    monkeypatch.setattr("inspector.engine.tensorrt._LOST", [])
    monkeypatch.setattr("inspector.engine.raw_frames.kernel_for", kernel_for)

    def open_engine() -> TensorRTEngine:
        return TensorRTEngine(graph, Geometry(1, 32, 48), timeout_ms=1000)

    def frame(number: int) -> Job:
        header = Frame(1, number, number, 0, FrameStatus.OK, 0, 48, 32, "Mono8")
        return Job(header, np.full((32, 48), 50 + number, np.uint8), FAR_NS)

    with running(desk, open_engine) as thread:
        desk.wait_for(lambda: bool(desk.engine))
        assert desk.engine == [(True, "tensorrt")], desk.engine
        desk.file_jobs(frame(1))
        desk.wait_for(lambda: 1 in desk.answers)
        setattr(gpu, fault, True)
        desk.file_jobs(frame(2))
        thread._thread.join(PATIENCE_S)
        assert isinstance(thread.error, error)
    assert isinstance(desk.answers[1], float)
    assert desk.answers[2] is Reason.ENGINE
    assert desk.engine[-1][0] is False
