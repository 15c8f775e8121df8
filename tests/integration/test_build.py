"""`inspector build` on a real pack: half precision is settled by scores, and plans for GPUs that are not there are really built."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.reference
import pytest

from inspector.cli import main
from inspector.engine import half
from inspector.engine.base import open_engine
from inspector.engine.plan import Precision, plan_folder, read_precision, sha256
from inspector.errors import EngineUnavailableError
from inspector.model import precision
from inspector.model.pack import Pack, load_pack
from inspector.model.precision import HALF_BOUND, settle, settled
from tests.support.plates import part


@pytest.fixture
def rtx() -> Any:
    return pytest.importorskip("tensorrt_rtx", reason="no tensorrt_rtx: pip install tensorrt-rtx-cu13")


@pytest.fixture
def loaded(pack: Path, tmp_path: Path) -> Pack:
    """The pack in a folder of its own, since plans lie beside it."""
    own = tmp_path / "plates"
    own.mkdir()
    for path in pack.rglob("*"):
        target = own / path.relative_to(pack)
        if path.is_dir():
            target.mkdir()
        else:
            target.write_bytes(path.read_bytes())
    return load_pack(own)


def kept(pack: Pack) -> Precision | None:
    return read_precision(plan_folder(pack.graph), sha256(pack.graph.read_bytes()), half.RULES)


def test_a_pack_is_built_for_gpus_that_are_not_there(
    loaded: Pack, rtx: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tmp_path / "build.json"
    status = main(["build", str(loaded.path), "--gpu", "sm_86", "12.0", "--json", str(result)])
    assert status == 0, capsys.readouterr().err
    facts = json.loads(result.read_text())
    assert [each["gpu"] for each in facts["plans"]] == ["sm86", "sm120"]
    assert all(Path(each["plan"]).stat().st_size == each["bytes"] for each in facts["plans"])
    assert facts["precision"]["taken"] == "half"
    assert 0 < facts["precision"]["worst"] <= HALF_BOUND
    sidecar = json.loads((plan_folder(loaded.graph) / "tensorrt_rtx-sm86.json").read_text())
    assert sidecar["key"]["precision"] == "half"
    assert sidecar["outputs"]["score"] == ["float32", [1]]
    assert "built, not run" in capsys.readouterr().out


def test_without_a_gpu_one_has_to_be_named(
    loaded: Pack, rtx: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from inspector.engine.gpu import require_device

    try:
        require_device()
    except EngineUnavailableError:
        assert main(["build", str(loaded.path)]) == 1
        assert "there is no GPU here to build for" in capsys.readouterr().err
    else:
        pytest.skip("there is a GPU here")


def test_turing_is_refused_since_the_distance_is_in_float32(
    loaded: Pack, rtx: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", str(loaded.path), "--gpu", "sm_75"]) == 1
    assert "FP32 GEMM is not supported" in capsys.readouterr().err


def test_the_emulation_scores_as_the_half_graph_does(loaded: Pack, tmp_path: Path) -> None:
    """By the evaluator of the ONNX project, which computes in float16 where the graph says so. One image: it takes seconds."""
    data = loaded.graph.read_bytes()
    image = np.clip(part(np.random.default_rng(3)), 0, 255).astype(np.uint8)
    small, twin = half.to_half(data), half.emulated(data)
    assert small is not None
    assert twin is not None
    path = tmp_path / "emulated.onnx"
    path.write_bytes(twin)
    engine, exact = (open_engine("openvino", each, loaded.geometry) for each in (path, loaded.graph))
    evaluator = onnx.reference.ReferenceEvaluator(onnx.load_model_from_string(small))
    from inspector.engine.preprocess import to_input

    prepared = to_input(image, loaded.geometry)
    [there] = evaluator.run(["score"], {"image": prepared})
    here = engine.score_prepared(prepared).value
    base = exact.score_prepared(prepared).value
    engine.close()
    exact.close()
    assert abs(here - base) > 0
    # Sums of the evaluator are rounded to float16 at each step, so it is further from float32 than a GPU.
    assert abs(here - float(np.asarray(there).item())) <= HALF_BOUND * loaded.threshold


def test_half_precision_is_not_taken_where_scores_differ(
    loaded: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "HALF_BOUND", 1e-9)
    found = settled(loaded)
    assert found.taken == "float32"
    assert found.worst is not None
    assert "may be" in found.why


def test_a_station_with_a_gpu_settles_once_and_one_without_never(
    loaded: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle("openvino", loaded)
    assert kept(loaded) is None
    monkeypatch.setattr("inspector.engine.gpu.require_device", lambda: (None, None))
    settle("auto", loaded)
    first = kept(loaded)
    assert first is not None
    assert first.taken == "half"
    monkeypatch.setattr(precision, "settled", lambda *_: pytest.fail("settled again"))
    settle("auto", loaded)


def test_what_cannot_be_kept_is_told_and_stops_nothing(
    loaded: Pack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("inspector.engine.gpu.require_device", lambda: (None, None))
    plan_folder(loaded.graph).write_text("a file where the folder should be")
    settle("tensorrt", loaded)
    assert [record.getMessage() for record in caplog.records][-1] == "precision_not_settled"
