"""The desk of the engine thread's tests, and a stand-in for a GPU with the real plan builder."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inspector.engine import tensorrt as engine_module
from tests.unit.engine.gpu_standin import StandInGpu, kernel_for
from tests.unit.engine.graphs import SmallGraph
from tests.unit.engine.worker_rig import FakeDesk


@pytest.fixture
def desk() -> Iterator[FakeDesk]:
    desk = FakeDesk()
    yield desk
    os.close(desk.doorbell_fd)


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
    monkeypatch.setattr(engine_module, "_LOST", [])
    monkeypatch.setattr("inspector.engine.raw_frames.kernel_for", kernel_for)
    return gpu
