"""`inspector build` on a real pack: half precision is settled by scores, and plans for GPUs that are not there are really built."""

import json
import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.reference
import pytest

from inspector import recipes
from inspector.cli import main
from inspector.engine import half
from inspector.engine.base import Engine, open_engine
from inspector.engine.openvino import core
from inspector.engine.plan import Precision, plan_folder, read_precision, sha256
from inspector.engine.preprocess import Geometry
from inspector.errors import DisagreementError, EngineUnavailableError
from inspector.model import precision
from inspector.model.pack import Pack, load_pack
from inspector.model.precision import HALF_BOUND, settle, settled
from tests.support.plates import part
from tests.unit.engine.gpu_standin import StandInGpu, kernel_for


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
    assert "is allowed" in found.why


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


def test_half_precision_that_the_gpu_computes_otherwise_is_given_up_by_itself(
    loaded: Pack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A GPU that is off by a tenth of the threshold as long as the plan is in half precision."""
    monkeypatch.setattr("inspector.engine.gpu.require_device", lambda: (None, None))
    opened: list[str] = []

    def open_off(kind: str, graph: Path, geometry: Geometry, *, threads: int = 0) -> Engine:
        engine = open_engine("openvino", graph, geometry)
        settled_for = kept(loaded)
        assert settled_for is not None
        opened.append(settled_for.taken)
        if settled_for.taken == "half":
            right = engine.score_prepared
            monkeypatch.setattr(
                engine,
                "score_prepared",
                lambda x: replace(right(x), value=right(x).value + loaded.threshold / 10),
            )
        return engine

    monkeypatch.setattr(recipes, "open_engine", open_off)
    recipes.open_unchanged("tensorrt", loaded).close()
    assert opened == ["half", "float32"]
    found = kept(loaded)
    assert found is not None
    assert found.why.startswith("on the GPU: openvino scores")
    assert "half_precision_given_up" in [record.getMessage() for record in caplog.records]
    opened.clear()
    recipes.open_unchanged("tensorrt", loaded).close()
    assert opened == ["float32"]


def test_float32_that_disagrees_is_refused(loaded: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    def disagree(engine: Engine, pack: Pack) -> None:
        raise DisagreementError("other scores")

    monkeypatch.setattr(recipes, "require_agreement", disagree)
    with pytest.raises(DisagreementError, match="other scores"):
        recipes.open_unchanged("openvino", loaded)
    assert kept(loaded) is None


def test_a_station_with_a_gpu_takes_it_by_itself_and_builds_what_is_missing(
    loaded: Pack, rtx: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The whole way at a start, with the real builder, and a stand-in for the GPU that has OpenVINO evaluate the pack's graph."""
    gpu = StandInGpu(loaded.graph, rtx)
    compiled = core().compile_model(str(loaded.graph), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    names = [output.name for output in onnx.load(str(loaded.graph), load_external_data=False).graph.output]
    gpu.evaluate = lambda image: [compiled({"image": image})[name] for name in names]
    for module in ("gpu", "tensorrt"):
        monkeypatch.setattr(f"inspector.engine.{module}.require_device", lambda: (gpu.trt, gpu.cuda))
    monkeypatch.setattr("inspector.engine.raw_frames.kernel_for", kernel_for)
    with caplog.at_level(logging.INFO):
        engine = recipes.open_unchanged("auto", loaded)
    told = [record.getMessage() for record in caplog.records if record.name.startswith("inspector.")]
    assert engine.name == "tensorrt"
    engine.close()
    for event in (
        "precision_settled",
        "plan_building",
        "plan_progress",
        "plan_built",
        "engine_chosen",
        "engine_agrees",
    ):
        assert event in told
    caplog.clear()
    with caplog.at_level(logging.INFO):
        recipes.open_unchanged("auto", loaded).close()
    assert not {"precision_settled", "plan_building"} & {record.getMessage() for record in caplog.records}


def test_a_station_without_a_gpu_takes_the_cpu_and_one_line_says_why(
    loaded: Pack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> None:
        raise EngineUnavailableError("no libcuda.so.1 (install the NVIDIA driver)")

    for module in ("gpu", "tensorrt"):
        monkeypatch.setattr(f"inspector.engine.{module}.require_device", refuse)
    with caplog.at_level(logging.INFO):
        engine = recipes.open_unchanged("auto", loaded)
    engine.close()
    [chosen] = [record for record in caplog.records if record.getMessage() == "engine_chosen"]
    assert chosen.__dict__["engine"] == engine.name == "openvino"
    assert chosen.__dict__["why"].startswith(
        "tensorrt not usable: no libcuda.so.1 (install the NVIDIA driver)"
    )


@pytest.mark.parametrize(
    ("gpu", "words"),
    [
        ("foo", "expected a GPU's compute capability like sm_89 or 8.9, got 'foo'"),
        ("sm_999", "has no kernels for sm999, only for sm75, sm80, sm86"),
    ],
)
def test_what_the_builder_does_not_know_is_refused_before_anything_is_compared(
    gpu: str, words: str, loaded: Pack, rtx: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", str(loaded.path), "--gpu", "sm_86", gpu]) == 1
    assert words in capsys.readouterr().err
    assert kept(loaded) is None


def test_a_machine_without_a_builder_is_told_what_brings_one(
    loaded: Pack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, None)  # what import finds where a package is not installed
    assert main(["build", str(loaded.path), "--gpu", "sm_86"]) == 1
    assert "no tensorrt and no tensorrt_rtx that loads: sh tools/setup build" in capsys.readouterr().err
    assert main(["build", str(loaded.path), "--gpu", "foo"]) == 1
    assert "like sm_89 or 8.9, got 'foo'" in capsys.readouterr().err
