"""The plan cache: what is found again, what counts as another plan, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from inspector.engine.plan import (
    Plan,
    PlanKey,
    Precision,
    plan_folder,
    read_plan,
    read_precision,
    write_plan,
    write_precision,
)
from inspector.errors import GraphError

KEY = PlanKey(
    graph_sha256="ab" * 32,
    runtime="tensorrt_rtx",
    runtime_version="1.7.1.116",
    compute_capability="sm86",
    gpu="NVIDIA RTX A2000",
    precision="half",
    rules=1,
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


def test_the_user_of_a_station_may_read_what_another_user_built(folder: Path) -> None:
    write_plan(folder, KEY, PLAN)
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o644, 0o644]


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
        {"precision": "float32"},
        {"rules": 2},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_plan_for_another_graph_runtime_or_gpu_is_refused_by_name(
    change: dict[str, str], folder: Path
) -> None:
    write_plan(folder, KEY, PLAN)
    wanted = KEY.model_copy(update=change)
    other = folder / f"{wanted.runtime}-{wanted.compute_capability}"
    for suffix in (".plan", ".json"):  # as if copied from a machine with another GPU
        content = (folder / f"tensorrt_rtx-sm86{suffix}").read_bytes()
        other.with_suffix(suffix).write_bytes(content)
    [(name, value)] = change.items()
    with pytest.raises(GraphError, match=f"expected a plan for {name} {str(value)[:24]}, this one is for"):
        read_plan(folder, wanted)


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


SETTLED = Precision(
    graph_sha256="ab" * 32, rules=1, taken="half", bound=0.01, worst=0.002, images=3, why="within the bound"
)


def test_what_was_settled_of_precision_holds_for_its_graph_and_rules_only(folder: Path) -> None:
    assert read_precision(folder, "ab" * 32, 1) is None
    write_precision(folder, SETTLED)
    assert read_precision(folder, "ab" * 32, 1) == SETTLED
    assert read_precision(folder, "cd" * 32, 1) is None
    assert read_precision(folder, "ab" * 32, 2) is None


@pytest.mark.parametrize("text", ["", '{"taken": "half"}', "[1, 2"])
def test_a_damaged_precision_is_refused_in_one_line(text: str, folder: Path) -> None:
    folder.mkdir()
    (folder / "precision.json").write_text(text)
    with pytest.raises(GraphError, match="says nothing of precision") as caught:
        read_precision(folder, "ab" * 32, 1)
    assert "\n" not in str(caught.value)
