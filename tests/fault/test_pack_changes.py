"""A model pack that is replaced under a running station: what decides is what the record names, or nothing decides (I6)."""

import shutil
from pathlib import Path

import pytest

from inspector import recipes
from inspector.engine.base import Engine, open_engine
from inspector.engine.preprocess import Geometry
from inspector.errors import PackError, ServiceError
from inspector.model.pack import Pack, load_pack
from inspector.recipes import open_unchanged
from tests.support.daemon import inspector


@pytest.fixture
def mine(tmp_path: Path, pack: Path) -> Pack:
    """A copy of the pack that may be spoilt."""
    shutil.copytree(pack, tmp_path / "pack")
    return load_pack(tmp_path / "pack")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory, good_plates: Path) -> Path:
    """Another model of the same geometry: its graph fits, and its scores are others."""
    out = tmp_path_factory.mktemp("models") / "other"
    done = inspector("fit", "--good", good_plates, "--out", out, "--size", 96, "--bank", 100)
    assert done.returncode == 0, done.stderr
    return out


def replace(pack: Pack, other: Path) -> None:
    """Do what `inspector fit --out` does to a pack that is there."""
    shutil.rmtree(pack.path)
    shutil.copytree(other, pack.path)


def test_an_engine_is_opened_on_the_pack_that_was_loaded(mine: Pack) -> None:
    open_unchanged("openvino", mine).close()


def test_an_engine_that_is_opened_again_refuses_another_model(mine: Pack, other: Path) -> None:
    replace(mine, other)
    with pytest.raises(ServiceError, match="found another one"):
        open_unchanged("openvino", mine)


def test_a_graph_that_was_altered_alone_is_refused(mine: Pack) -> None:
    mine.graph.write_bytes(mine.graph.read_bytes()[:-1] + b"?")
    with pytest.raises(PackError, match="expected sha256"):
        open_unchanged("openvino", mine)


def test_a_pack_that_is_replaced_while_the_engine_reads_it_is_refused(
    mine: Pack, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []

    def during(kind: str, graph: Path, geometry: Geometry) -> Engine:
        replace(mine, other)
        engine = open_engine(kind, graph, geometry)
        monkeypatch.setattr(engine, "close", lambda: closed.append(True))
        return engine

    monkeypatch.setattr(recipes, "open_engine", during)
    with pytest.raises(ServiceError, match="found another one"):
        open_unchanged("openvino", mine)
    assert closed == [True]
