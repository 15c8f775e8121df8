"""tools/gpu-check: what it says without a GPU, and that every part runs through where a stand-in plays one."""

import contextlib
import ctypes
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import pytest

from inspector.engine.gpu import PageLock
from inspector.engine.preprocess import Geometry
from inspector.engine.tensorrt import TensorRTEngine
from inspector.errors import EngineUnavailableError, GraphError
from tests.unit.engine import host_kernel
from tests.unit.engine.gpu_standin import StandInDriver, StandInGpu, kernel_for
from tests.unit.engine.graphs import SmallGraph
from tools.gpucheck import cli, measure, parts, references
from tools.gpucheck.exact import in_float64
from tools.gpucheck.outcome import Outcome, Reasons, attempt, exit_status, markdown, write
from tools.gpucheck.roofline import bounds, work_of
from tools.gpucheck.setting import Checked, Setting

MISSING = "no libcuda.so.1 (install the NVIDIA driver)"
needs_compiler = pytest.mark.skipif(host_kernel.compiler() is None, reason="no C compiler to play nvcc")


@pytest.fixture(scope="module")
def rtx() -> Any:
    return pytest.importorskip("tensorrt_rtx", reason="no tensorrt_rtx: pip install tensorrt-rtx-cu13")


def everywhere(monkeypatch: pytest.MonkeyPatch, require_device: Callable[[], Any]) -> None:
    for module in ("inspector.engine.gpu", "inspector.engine.tensorrt", "tools.gpucheck.parts"):
        monkeypatch.setattr(f"{module}.require_device", require_device)


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    """A graph of one view, and one of four."""
    for name in ("one", "four"):
        (tmp_path / name).mkdir()
    one = Checked(SmallGraph().save(tmp_path / "one" / "graph.onnx"), (Geometry(1, 32, 48),))
    views = tuple(Geometry(1, 32, 48, roi=(x, y, 48, 32)) for y in (0, 32) for x in (0, 48))
    four = Checked(SmallGraph(views=4).save(tmp_path / "four" / "graph.onnx"), views)
    return Setting((one, four), (96, 64), "Mono8", 3, 0)


@pytest.fixture
def gpu(setting: Setting, rtx: Any, monkeypatch: pytest.MonkeyPatch) -> StandInGpu:
    gpu = StandInGpu(setting.models[0].graph, rtx)
    everywhere(monkeypatch, lambda: (gpu.trt, gpu.cuda))
    right = Checked.opened

    def opened(model: Checked) -> TensorRTEngine:
        gpu.graph = model.graph  # a stand-in cannot read the graph back from the plan
        return right(model)

    monkeypatch.setattr(Checked, "opened", opened)
    driver = StandInDriver()
    for module in ("inspector.engine.tensorrt", "tools.gpucheck.parts"):
        monkeypatch.setattr(f"{module}.PageLock", lambda: PageLock(driver))
    for module in ("inspector.engine.raw_frames", "tools.gpucheck.parts"):
        monkeypatch.setattr(f"{module}.kernel_for", kernel_for)
    monkeypatch.setattr(parts, "_SLOW_RUNS", 1)
    monkeypatch.setattr(parts, "_SIZE", (96, 64))
    monkeypatch.setattr(parts, "compile_kernel", lambda _wanted: b"fatbin")
    return gpu


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise EngineUnavailableError(MISSING)

    everywhere(monkeypatch, refuse)
    monkeypatch.setattr(parts, "_SIZE", (96, 64))
    monkeypatch.setattr(parts, "CAPABILITIES", ("sm86",))
    monkeypatch.setattr(parts, "compile_kernel", lambda _wanted: b"fatbin")


def run(work: parts.Part, setting: Setting) -> Outcome:
    return attempt(work[0], lambda outcome: work[1](outcome, setting))


@pytest.mark.usefixtures("nothing", "rtx")
def test_without_a_gpu_each_part_says_what_is_missing_and_none_claims_to_have_run(setting: Setting) -> None:
    outcomes = [run(each, setting) for each in (*parts.BEFORE, *parts.AFTER)]
    assert {each.part: each.status for each in outcomes if each.status != "not run"} == dict.fromkeys(
        ["plans built", "kernel compiled", "kernel against references", "scores against float64"],
        "only built",
    )
    assert all(MISSING in each.why for each in outcomes)
    assert exit_status(outcomes) == 3
    assert outcomes[2].why.endswith("compiled for the CPU")


@needs_compiler
@pytest.mark.parametrize("work", [*parts.BEFORE, *parts.AFTER], ids=lambda work: work[0])
def test_with_a_gpu_each_part_runs_through(work: parts.Part, setting: Setting, gpu: StandInGpu) -> None:
    outcome = run(work, setting)
    setting.close()
    if work[0] == "plain framework":
        assert (outcome.status, outcome.why) in {
            ("not run", "no torch"),
            ("not run", "this torch sees no GPU"),
        }
        return
    assert outcome.status == "ran", outcome.why
    assert outcome.rows
    if work[0] != "kernel compiled":
        assert {row["views"] for row in outcome.rows} == {1, 4}
    live = [each for each in gpu.allocations if not each.freed]
    assert live == []
    assert gpu.depth == 0


@needs_compiler
def test_times_are_told_for_each_step_and_held_against_the_targets(setting: Setting, gpu: StandInGpu) -> None:
    setting = replace(setting, runs=320)  # as many as p99 takes
    outcome = run(("times", parts.times), setting)
    setting.close()
    for_one, for_four = ([row for row in outcome.rows if row["views"] == count] for count in (1, 4))
    held = {f"{what}: p50 <= {limit:g} ms" for what, limit in measure.TARGETS_MS.items()}
    assert {row["what"] for row in for_one} == {row["what"] for row in for_four} | held
    by_name = {row["what"]: row for row in for_one}
    assert {f"{step}, by events" for step in measure.STEPS} <= set(by_name)
    assert by_name["infer, by events"]["p50_ms"] == 0.125
    assert by_name["upload to download, by events"]["p50_ms"] == 0.5
    assert by_name["whole, by the host"]["p99_ms"] is not None
    assert by_name["all but the plan: p50 <= 0.25 ms"]["held"] == "no", "three steps of 0.125 ms"


@needs_compiler
def test_a_kernel_that_computes_wrongly_fails_the_check(
    setting: Setting, gpu: StandInGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = host_kernel.library()

    def wrong(*arguments: Any) -> None:
        right.run(*arguments)
        (ctypes.c_ubyte * 1).from_address(arguments[-1].value)[0] ^= 0x80  # the first pixel of the input

    monkeypatch.setattr(host_kernel, "library", lambda: SimpleNamespace(run=wrong))
    outcome = run(("kernel", parts.kernel_values), setting)
    assert outcome.status == "failed"
    assert "levels from the CPU path" in outcome.why


@needs_compiler
def test_a_check_that_takes_a_stale_input_fails(
    setting: Setting, gpu: StandInGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inspector.engine.raw_frames.RawFrames.check", lambda *_: None)
    outcome = run(("preparing", parts.preparing), setting)
    assert (outcome.status, outcome.why) == (
        "failed",
        "a frame over which no kernel ran is taken for prepared",
    )


@needs_compiler
def test_the_references_agree_with_each_other_on_fresh_frames() -> None:
    rows = references.compare(host_kernel.launch, 5, 240, 160)
    assert {row["views"] for row in rows} == {1, 4}
    assert max(row["levels_from_cpu"] for row in rows) <= references.LEVELS
    assert 0 < max(row["levels_from_float64"] for row in rows) <= references.EXACT_LEVELS


def test_an_error_is_an_outcome_and_the_files_tell_it(tmp_path: Path) -> None:
    def fail(outcome: Outcome) -> None:
        raise GraphError("no such plan")

    outcomes = [
        attempt("one", fail),
        Outcome("two", rows=[{"what": "x", "p50_ms": 0.12345678, "p99_ms": None}]),
    ]
    assert (outcomes[0].status, outcomes[0].why) == ("failed", "ENG-003: no such plan")
    assert exit_status(outcomes) == 1
    assert exit_status(outcomes[1:]) == 0
    as_json, as_text = write(
        outcomes, {"GPU": [{"what": "GPU", "value": "none"}]}, tmp_path / "out", {"seed": 77}
    )
    content = json.loads(as_json.read_text())
    assert (content["exit_status"], content["inputs"]) == (1, {"seed": 77})
    assert "inputs: seed 77" in as_text.read_text()
    assert [part["status"] for part in content["parts"]] == ["failed", "ran"]
    assert "| one | **failed** | ENG-003: no such plan |" in as_text.read_text()
    assert "| x | 0.1235 | - |" in markdown(outcomes, {}, {})


def test_the_work_of_a_graph_is_counted(tmp_path: Path) -> None:
    """Kernels of 4 x 4 on 8 x 12 places to 8 features, and 96 patches against a bank of 64."""
    work = work_of(SmallGraph().save(tmp_path / "graph.onnx"), half=False)
    assert work["gmac"] * 1e9 == pytest.approx(8 * 8 * 12 * 16 + 96 * 64 * 8)
    halved = work_of(tmp_path / "graph.onnx", half=True)
    assert halved["gmac"] == work["gmac"]
    saved = (work["weights_mb"] - halved["weights_mb"]) * 1e6
    assert saved == pytest.approx(8 * 16 * 2, abs=16), (
        "the kernels alone are in half; constants that nothing uses are gone"
    )
    least = bounds(work, bandwidth_gb_s=100.0, tflops=None)
    assert least["sums_ms"] is None
    assert least["weights_ms"] == pytest.approx(work["weights_mb"] / 100)
    assert bounds({"gmac": 1, "weights_mb": 1, "handed_on_mb": 1}, 1, 2.0)["sums_ms"] == 1.0


def test_a_graph_in_float64_rounds_nothing(setting: Setting) -> None:
    for model, graph in zip(setting.models, (SmallGraph(), SmallGraph(views=4)), strict=True):
        image = np.random.default_rng(2).integers(0, 256, (graph.views, 32, 48, 1), np.uint8)
        score, heatmap = graph.reference(image)
        answers = in_float64(model.graph)(image)
        assert answers["score"].dtype == np.float64
        # The norms of the bank are constants of the graph, made in float32.
        assert answers["score"].item() == pytest.approx(score, rel=1e-6)
        view = answers["heatmap"][answers["heatmap"].reshape(graph.views, -1).max(axis=1).argmax()]
        np.testing.assert_allclose(view, heatmap, rtol=1e-5, atol=1e-6)


@needs_compiler
@pytest.mark.parametrize(("exact", "apart"), [(1e9, "100.0%"), (np.nan, "nan%")])
def test_scores_that_are_not_those_of_float64_fail_the_check(
    exact: float, apart: str, setting: Setting, gpu: StandInGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        parts, "in_float64", lambda _graph: lambda _image: {"score": np.array([exact], np.float64)}
    )
    outcome = run(("scores", parts.exact_scores), setting)
    setting.close()
    assert (outcome.status, outcome.why) == ("failed", f"a score differs from float64 by {apart}")


@needs_compiler
def test_a_gpu_that_the_runtime_does_not_serve_leaves_the_figures_of_the_cpu(
    setting: Setting, gpu: StandInGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_model: Checked) -> NoReturn:
        raise EngineUnavailableError("no plans for SM90")

    monkeypatch.setattr(Checked, "opened", refused)
    outcome = run(("scores", parts.exact_scores), setting)
    assert outcome.status == "only built"
    assert outcome.why == "no plans for SM90; the figures are of OpenVINO"
    assert [row["engine"] for row in outcome.rows] == ["openvino"] * len(setting.models)


def test_a_size_that_is_none_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--frame", "large"]) == 2
    assert "expected a size like 1920x1200, got 'large'" in capsys.readouterr().err


LOADED = """
import sys
sys.path.insert(0, sys.argv[1])
import tests.conftest, tests.contract.test_engine, tools.gpucheck.cli
import inspector.engine.half, inspector.engine.openvino, inspector.model.lite, inspector.model.pack, inspector.model.probing
print(*{name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names))
"""


def test_the_folder_of_wheels_holds_all_that_is_loaded() -> None:
    """On a machine without a network nothing else can be had: what the check and its suite import is in the script's two lists."""
    script = (cli.ROOT / "tools" / "gpu-check").read_text()
    listed = re.findall(r'packages="([^"]*)"', script)[0].split()
    told = script.partition("pip download -d DIR")[2].partition("set -eu")[0].replace("#", " ").split()
    assert set(listed) <= set(told), "what is installed is fetched beforehand"
    done = subprocess.run(
        [sys.executable, "-c", LOADED, str(cli.ROOT)], capture_output=True, text=True, check=True, timeout=60
    )
    by_module = packages_distributions()
    needed = {
        canonical(name)
        for module in done.stdout.split()
        for name in by_module.get(module, [])
        if name not in {"inspector", "setuptools", "coverage"}
    }
    assert needed <= with_theirs(listed), "the lists at the top of tools/gpu-check"


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def with_theirs(names: list[str]) -> set[str]:
    """These distributions, and those that they need, as far as they are installed here."""
    found: set[str] = set()
    left = [canonical(name) for name in names]
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        with contextlib.suppress(PackageNotFoundError):
            left += [
                canonical(each[0])
                for requirement in requires(name) or []
                if "extra ==" not in requirement and (each := re.match(r"[\w.-]+", requirement))
            ]
    return found


def test_what_a_machine_lacks_is_said_once() -> None:
    outcomes = [
        Outcome("plans", "only built", MISSING),
        Outcome("times", "not run", MISSING),
        Outcome("scores", "only built", f"{MISSING}; the figures are of OpenVINO"),
        Outcome("kernel", "failed", f"wrong, and {MISSING}"),
        Outcome("torch", "not run", "no torch"),
    ]
    told = Reasons()
    assert [told.short(each) for each in outcomes] == [
        MISSING, "see plans", "see plans; the figures are of OpenVINO", f"wrong, and {MISSING}", "no torch",
    ]  # fmt: skip
    page = markdown(outcomes, {}, {})
    assert page.count(MISSING) == 2
    assert "| times | **not run** | see plans |" in page


def test_the_help_names_each_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert re.search(r"Exit status: 0 .* 1 .* 2 .* 3\s+nothing failed", capsys.readouterr().out, re.DOTALL)


def test_without_pytest_the_suite_is_not_run_and_it_says_what_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    outcome = attempt("engine contract suite", cli._contract)
    assert (outcome.status, outcome.why.partition(",")[0]) == ("not run", "no pytest: sh tools/setup dev")
