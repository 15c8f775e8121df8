"""The quickest settings are taken only where they are quicker beside a busy thread too, and give the scores of float32."""

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from inspector.engine.openvino import OpenVinoEngine
from inspector.engine.settings import FALLBACK, Probed, Settings, Tried, read_probed
from inspector.model import probing
from inspector.model.pack import Pack, load_pack
from inspector.model.probing import best, candidates, probe
from inspector.recipes import open_unchanged

HALF, PINNED = Settings(precision="bf16"), Settings(pinned=True)


def tried(settings: Settings, alone: float, beside: float, worst: float | None = None) -> Tried:
    return Tried(settings=settings, alone_ms=alone, beside_ms=beside, worst=worst)


FIRST = tried(FALLBACK, 6.0, 9.0)


@pytest.mark.parametrize(
    ("other", "taken"),
    [
        (tried(HALF, 3.0, 5.0, 0.0019), HALF),
        (tried(HALF, 3.0, 5.0, 0.0021), FALLBACK),  # other scores
        (tried(HALF, 3.0, 5.0, 1e9), FALLBACK),  # no scores
        (tried(PINNED, 3.0, 5.0), PINNED),
        (tried(PINNED, 3.0, 9.1), FALLBACK),  # slower beside a busy thread
        (tried(PINNED, 6.1, 5.0), FALLBACK),  # slower alone
        (tried(PINNED, 5.8, 8.6), FALLBACK),  # hardly quicker
    ],
)
def test_what_is_taken(other: Tried, taken: Settings) -> None:
    assert best([FIRST, other]) == taken


def test_the_quickest_of_several_is_taken() -> None:
    assert best([FIRST, tried(PINNED, 5.0, 6.0), tried(HALF, 4.0, 6.0, 0.001)]) == HALF


def test_what_is_safe_is_tried_first_and_precisions_as_the_cpu_has_them() -> None:
    assert candidates(["FP32"], 2) == [FALLBACK, PINNED]
    assert candidates(["FP32", "BF16"], 2) == [FALLBACK, HALF, PINNED]
    assert candidates(["BF16", "FP16"], 8)[1:3] == [Settings(precision="f16"), Settings(threads=4)]


@pytest.fixture
def fresh(pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pack:
    """A pack that nothing was probed for, in a process that has not probed."""
    monkeypatch.setattr(probing, "_probed_here", threading.Event())
    return load_pack(Path(shutil.copytree(pack, tmp_path / "pack")))


def test_an_engine_runs_with_what_was_probed(fresh: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    assert OpenVinoEngine(fresh.graph, fresh.geometry).settings == FALLBACK
    monkeypatch.setattr(probing, "best", lambda _: PINNED)
    probe("openvino", fresh)
    found = read_probed(fresh.graph)
    assert found is not None
    assert found.tried[0].settings == FALLBACK
    assert found.tried[0].alone_ms > 0
    assert found.tried[0].beside_ms > 0
    assert OpenVinoEngine(fresh.graph, fresh.geometry).settings == PINNED
    assert OpenVinoEngine(fresh.graph, fresh.geometry, threads=1).settings == Settings(threads=1, pinned=True)


def test_a_station_probes_before_it_opens_its_engine(fresh: Pack) -> None:
    open_unchanged("openvino", fresh).close()
    assert read_probed(fresh.graph) is not None


def test_the_busy_neighbour_of_a_real_time_thread_leaves_it_its_core() -> None:
    found: list[int] = []

    def probe_in_real_time() -> None:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        with probing._busy_neighbour() as neighbour:
            found.append(os.sched_getscheduler(neighbour))

    with ThreadPoolExecutor(1) as pool:
        try:
            pool.submit(probe_in_real_time).result()
        except PermissionError:
            pytest.skip("Linux grants no real-time priority here")
    assert found == [os.SCHED_OTHER]


def test_what_is_known_is_not_probed_again(fresh: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    probe("openvino", fresh)
    probing._probed_here.clear()
    monkeypatch.setattr(probing, "_tried", _never)
    probe("openvino", fresh)


def test_a_process_probes_once_at_its_start(
    fresh: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe("openvino", fresh)
    other = load_pack(Path(shutil.copytree(fresh.path, tmp_path / "other")))
    monkeypatch.setattr(probing, "_tried", _never)
    probe("openvino", other)
    assert read_probed(other.graph) is None


def test_what_cannot_be_kept_hinders_nobody(
    fresh: Pack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(graph: Path, probed: Probed) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(probing, "write_probed", full)
    probe("openvino", fresh)
    assert "probe_not_kept" in caplog.text


def test_a_gpu_is_not_probed(fresh: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "_tried", _never)
    probe("tensorrt", fresh)
    monkeypatch.setattr("inspector.engine.gpu.require_device", lambda: (None, None))
    probe("auto", fresh)


def test_another_precision_is_held_against_float32(fresh: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "candidates", lambda *_: [FALLBACK, HALF])
    monkeypatch.setattr(probing, "COMPILING_MS", 60_000.0)
    first, other = probing._tried(fresh, [prepared for _, prepared in fresh.references()])
    assert first.worst is None
    assert other.worst is not None
    assert other.worst >= 0


def _never(*_: object) -> None:
    pytest.fail("probed")
