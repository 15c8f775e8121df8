"""A GPU that silently leaves a step out, or prepares wrongly, ends in EngineError: never in the score of the part before."""

import ctypes
import functools
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from inspector.engine.preprocess import Geometry, to_input
from inspector.engine.tensorrt import TensorRTEngine
from inspector.errors import EngineError, ScoreError
from tests.unit.engine import host_kernel
from tests.unit.engine.gpu_standin import StandInGpu, kernel_for
from tests.unit.engine.graphs import SmallGraph

pytestmark = pytest.mark.skipif(host_kernel.compiler() is None, reason="no C compiler to play nvcc")

GEOMETRY = Geometry(1, 32, 48)
GOOD = np.random.default_rng(3).integers(0, 60, (64, 96), np.uint8)
BAD = np.random.default_rng(4).integers(180, 256, (64, 96), np.uint8)


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandInGpu:
    rtx = pytest.importorskip("tensorrt_rtx", reason="no tensorrt_rtx: pip install tensorrt-rtx-cu13")
    gpu = StandInGpu(SmallGraph().save(tmp_path / "graph.onnx"), rtx)
    monkeypatch.setattr("inspector.engine.tensorrt.require_device", lambda: (gpu.trt, gpu.cuda))
    monkeypatch.setattr("inspector.engine.raw_frames.kernel_for", kernel_for)
    return gpu


@pytest.fixture
def engine(gpu: StandInGpu) -> Iterator[TensorRTEngine]:
    engine = TensorRTEngine(gpu.graph, GEOMETRY)
    engine.warm_up()
    yield engine
    engine.close()


def refused(score: Callable[[], object], told: str) -> None:
    """The engine as a whole is in doubt, which a ScoreError would not say."""
    with pytest.raises(EngineError, match=told) as caught:
        score()
    assert not isinstance(caught.value, ScoreError)
    assert "\n" not in str(caught.value)


def leave_out(gpu: StandInGpu, monkeypatch: pytest.MonkeyPatch, *steps: str) -> None:
    """From now on what these calls put into the stream is not done."""
    right = gpu.enqueue

    def enqueue(work: Callable[[], None]) -> None:
        if gpu.calls[-1] not in steps:
            right(work)

    monkeypatch.setattr(gpu, "enqueue", enqueue)


LAST_BYTES = list(
    itertools.product([0x00, 0x5A, 0xA5, 0xFF], repeat=2)
)  # of the part before, and of this one


@pytest.mark.parametrize("steps", [["upload"], ["upload", "set"]])
@pytest.mark.parametrize("ends", LAST_BYTES)
def test_an_upload_that_does_nothing_leaves_no_score(
    ends: tuple[int, int],
    steps: list[str],
    engine: TensorRTEngine,
    gpu: StandInGpu,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever the last pixels are, also those of the part before, and though nothing was poisoned."""
    good, bad = GOOD.copy(), BAD.copy()
    good[-1, -1], bad[-1, -1] = ends
    engine.score(good)
    leave_out(gpu, monkeypatch, *steps)
    refused(lambda: engine.score(bad), "did not reach the GPU")


def test_an_upload_of_a_prepared_input_that_does_nothing_leaves_no_score(
    engine: TensorRTEngine, gpu: StandInGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.score_prepared(to_input(GOOD, GEOMETRY))
    leave_out(gpu, monkeypatch, "upload")
    refused(lambda: engine.score_prepared(to_input(BAD, GEOMETRY)), "did not reach the GPU")


@pytest.mark.parametrize("steps", [["kernel"], ["kernel", "infer"]])
def test_a_kernel_that_does_nothing_leaves_no_score(
    steps: list[str], engine: TensorRTEngine, gpu: StandInGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.score(GOOD)
    leave_out(gpu, monkeypatch, *steps)
    refused(lambda: engine.score(BAD), "kernel did not run")


def test_a_gpu_that_does_nothing_at_all_leaves_no_score(
    engine: TensorRTEngine, gpu: StandInGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.score(GOOD)
    monkeypatch.setattr(gpu, "enqueue", lambda _work: None)
    refused(lambda: engine.score(GOOD), "did not reach the GPU")


def wrong_by(levels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the kernel makes one pixel in the middle brighter or darker than it is."""
    right = host_kernel.library()

    def run(*arguments: Any) -> None:
        right.run(*arguments)
        made = (ctypes.c_ubyte * (32 * 48)).from_address(arguments[-1].value)
        made[700] = made[700] + levels if made[700] < 128 else made[700] - levels

    monkeypatch.setattr(host_kernel, "library", lambda: SimpleNamespace(run=run))


def test_a_kernel_that_prepares_wrongly_scores_nothing(
    engine: TensorRTEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two grey levels in one pixel are enough; and the second frame is refused like the first."""
    wrong_by(2, monkeypatch)
    for image in (GOOD, BAD):
        refused(functools.partial(engine.score, image), "2 grey levels from the CPU, expected at most 1")


def test_a_tie_that_rounds_the_other_way_is_no_fault(
    engine: TensorRTEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong_by(1, monkeypatch)
    assert np.isfinite(engine.score(GOOD).value)


def test_each_kind_of_frame_is_compared_once(engine: TensorRTEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, ...]] = []

    def to_input_told(image: Any, *rest: Any) -> Any:
        compared.append(image.shape)
        return to_input(image, *rest)

    monkeypatch.setattr("inspector.engine.raw_frames.to_input", to_input_told)
    larger = np.tile(GOOD, (2, 2))
    for image in (GOOD, BAD, GOOD, larger, larger):
        engine.score(image)
    assert compared == [GOOD.shape, larger.shape]


def test_a_uniform_frame_does_not_count_as_a_comparison(
    engine: TensorRTEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel that takes its pixels from the wrong places makes the same of it."""
    engine.score(np.full_like(GOOD, 9))
    wrong_by(2, monkeypatch)
    refused(lambda: engine.score(GOOD), "grey levels from the CPU")


# -- several views ---------------------------------------------------------------------------------

VIEWS = [Geometry(1, 32, 48, roi=roi) for roi in ((0, 0, 48, 32), (30, 20, 64, 40))]


@pytest.fixture
def of_two(gpu: StandInGpu) -> Iterator[TensorRTEngine]:
    engine = TensorRTEngine(SmallGraph(views=2).save(gpu.graph), VIEWS)
    engine.warm_up()
    yield engine
    engine.close()


@pytest.mark.parametrize("left_out", [0, 1])
def test_a_view_that_the_kernel_leaves_out_leaves_no_score(
    left_out: int, of_two: TensorRTEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each view answers for itself: its slice could be that of the part before."""
    of_two.score(GOOD)
    right = host_kernel.library()

    def run(across: int, down: int, _views: int, *rest: Any) -> None:
        *pointers, receipts, out = rest
        if left_out == 1:
            right.run(across, down, 1, *rest)
            return
        mine, made = (
            ctypes.c_uint.from_address(receipts.value),
            (ctypes.c_ubyte * (32 * 48)).from_address(out.value),
        )
        receipt, before = mine.value, bytes(made)
        right.run(across, down, 2, *pointers, receipts, out)
        mine.value, made[:] = receipt, list(before)

    monkeypatch.setattr(host_kernel, "library", lambda: SimpleNamespace(run=run))
    refused(lambda: of_two.score(BAD), "kernel did not run")


def test_a_view_of_one_grey_does_not_count_as_a_comparison(
    of_two: TensorRTEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the other view says much: the kernel may take this one's pixels from the wrong places."""
    compared: list[object] = []

    def to_input_told(image: Any, *rest: Any) -> Any:
        compared.append(image)
        return to_input(image, *rest)

    monkeypatch.setattr("inspector.engine.raw_frames.to_input", to_input_told)
    uniform = GOOD.copy()
    uniform[:32, :48] = 9
    for image in (uniform, GOOD, GOOD):
        of_two.score(image)
    assert [each is uniform for each in compared] == [True, False]
