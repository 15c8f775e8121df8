"""The plan cache: what is found again, what counts as another plan, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from inspector.engine.plan import Plan, PlanKey, plan_folder, read_plan, write_plan
from inspector.errors import GraphError

KEY = PlanKey(
    graph_sha256="ab" * 32,
    runtime="tensorrt_rtx",
    runtime_version="1.7.1.116",
    compute_capability="sm86",
    gpu="NVIDIA RTX A2000",
)
PLAN = Plan(
    b"\x00plan\xff" * 100,
    {"image": ("uint8", (1, 256, 320, 3))},
    {"score": ("float32", (1,)), "heatmap": ("float32", (1, 16, 20))},
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "solar.plans"


def test_the_cache_lies_beside_the_pack(tmp_path: Path) -> None:
    assert plan_folder(tmp_path / "models" / "solar" / "model.onnx") == tmp_path / "models" / "solar.plans"


def test_a_plan_is_found_again_with_its_tensors(folder: Path) -> None:
    write_plan(folder, KEY, PLAN)
    assert read_plan(folder, KEY) == PLAN
    assert sorted(p.name for p in folder.iterdir()) == ["tensorrt_rtx-sm86.json", "tensorrt_rtx-sm86.plan"]


def test_nothing_is_found_where_nothing_was_written(folder: Path) -> None:
    assert read_plan(folder, KEY) is None


@pytest.mark.parametrize(
    "change",
    [
        {"graph_sha256": "cd" * 32},
        {"runtime": "tensorrt"},
        {"runtime_version": "1.8.0.1"},
        {"compute_capability": "sm89"},
        {"gpu": "NVIDIA RTX A4000"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_plan_for_another_graph_runtime_or_gpu_is_not_taken(change: dict[str, str], folder: Path) -> None:
    write_plan(folder, KEY, PLAN)
    assert read_plan(folder, KEY.model_copy(update=change)) is None


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data[:0], lambda data: b"\x01" + data[1:]]
)
def test_a_truncated_or_altered_plan_is_refused(damage: Callable[[bytes], bytes], folder: Path) -> None:
    write_plan(folder, KEY, PLAN)
    path = folder / "tensorrt_rtx-sm86.plan"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(GraphError, match="the plan is damaged or replaced, delete it") as caught:
        read_plan(folder, KEY)
    assert "\n" not in str(caught.value)


def test_a_plan_that_is_gone_is_refused(folder: Path) -> None:
    write_plan(folder, KEY, PLAN)
    (folder / "tensorrt_rtx-sm86.plan").unlink()
    with pytest.raises(GraphError, match="No such file"):
        read_plan(folder, KEY)


@pytest.mark.parametrize("text", ["", "{}", '{"plan_sha256": 1}', "[1, 2"])
def test_a_damaged_sidecar_is_refused_in_one_line(text: str, folder: Path) -> None:
    write_plan(folder, KEY, PLAN)
    (folder / "tensorrt_rtx-sm86.json").write_text(text)
    with pytest.raises(GraphError, match="not the description of a plan") as caught:
        read_plan(folder, KEY)
    assert "\n" not in str(caught.value)


def test_a_crash_between_plan_and_sidecar_is_noticed(folder: Path) -> None:
    write_plan(folder, KEY, PLAN)
    newer = Plan(b"built later", PLAN.inputs, PLAN.outputs)
    (folder / "tensorrt_rtx-sm86.plan").write_bytes(newer.data)
    with pytest.raises(GraphError):
        read_plan(folder, KEY)
    write_plan(folder, KEY, newer)
    assert read_plan(folder, KEY) == newer
