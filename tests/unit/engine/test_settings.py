"""What was probed holds for the very graph, CPU and runtime, and nothing else."""

import json
from pathlib import Path

import pytest

from inspector.engine import settings
from inspector.engine.plan import plan_folder
from inspector.engine.settings import Probed, Settings, Tried, here, read_probed, write_probed

TAKEN = Settings(precision="bf16", threads=3, pinned=True)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A file in a pack; nothing here looks into it."""
    path = tmp_path / "pack" / "graph.onnx"
    path.parent.mkdir()
    path.write_bytes(b"a graph")
    return path


def kept(graph: Path) -> Path:
    tried = Tried(settings=TAKEN, alone_ms=1.5, beside_ms=2.5, worst=0.001)
    write_probed(graph, Probed(here=here(graph), taken=TAKEN, tried=(tried,)))
    (path,) = plan_folder(graph).iterdir()
    return path


def test_an_answer_is_read_back(graph: Path) -> None:
    assert read_probed(graph) is None
    kept(graph)
    found = read_probed(graph)
    assert found is not None
    assert found.taken == TAKEN


def test_another_graph_has_no_answer(graph: Path) -> None:
    kept(graph)
    graph.write_bytes(b"another graph")
    assert read_probed(graph) is None


def test_another_cpu_has_no_answer(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept(graph)
    monkeypatch.setattr(settings, "cpu_name", lambda: "another CPU")
    assert read_probed(graph) is None


@pytest.mark.parametrize("damage", ["", "{}", '{"taken": 1'])
def test_a_damaged_answer_is_none_and_is_logged(
    graph: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    kept(graph).write_text(damage, encoding="utf-8")
    assert read_probed(graph) is None
    assert "probe_refused" in caplog.text


def test_a_precision_that_is_none_is_refused(graph: Path) -> None:
    path = kept(graph)
    content = json.loads(path.read_text(encoding="utf-8"))
    content["taken"]["precision"] = "int4"
    path.write_text(json.dumps(content), encoding="utf-8")
    assert read_probed(graph) is None
