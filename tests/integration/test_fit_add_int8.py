"""A pack in int8 grows too, as long as int8 decides on the new parts as float32 does; and what outgrows the time it was tuned for says so."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from inspector.errors import ModelError, PackError
from inspector.model import fitted, int8_gate, outgrown
from inspector.model.fitted import FITTED, from_file, ranges_from_file, to_file
from inspector.model.methods.nearest import NearestHead
from inspector.model.pack import Pack, load_pack, save_pack
from tests.support.commands import inspector
from tests.support.plates import part, write, write_batches

SMALL = ["--size", "96", "--bank", "600", "--taps", "4,7,10", "--false-reject-rate", "0.05"]


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """old/ (three batches of ten) and new/ (eight)."""
    root, rng = tmp_path_factory.mktemp("plates"), np.random.default_rng(0)
    write_batches(root / "old", rng, each=10)
    for index in range(8):
        write(root / "new" / f"{index}.png", part(rng))
    return root


@pytest.fixture(autouse=True)
def _wide_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Banks of thirty small plates differ more by chance."""
    for module in (int8_gate, outgrown):
        monkeypatch.setattr(module, "DEVIATION_BOUND", 0.2)
        monkeypatch.setattr(module, "FLIP_BOUND", 0.4)


@pytest.fixture(scope="module")
def old(plates: Path) -> Pack:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(int8_gate, "DEVIATION_BOUND", 0.2)
        patched.setattr(int8_gate, "FLIP_BOUND", 0.4)
        inspector("fit", "--good", plates / "old", "--out", plates / "old8", *SMALL, "--precision", "int8")
    return load_pack(plates / "old8")


def test_it_grows_by_the_same_ranges_and_says_what_the_new_parts_showed(
    plates: Path, old: Pack, tmp_path: Path
) -> None:
    assert inspector("fit", "--add", plates / "new", "--pack", old.path, "--out", tmp_path / "new") == 0
    grown = load_pack(tmp_path / "new")
    assert ranges_from_file(grown.path / FITTED) == ranges_from_file(old.path / FITTED) != {}
    assert grown.manifest.bank > old.manifest.bank
    precision = grown.manifest.precision
    assert precision is not None
    assert precision.taken == "int8"
    assert "8 added images" in precision.why
    assert precision.found is not None
    assert precision.found.deviation > 1e-4  # something was rounded


def test_beside_an_int8_backbone_a_small_bank_is_searched(old: Pack) -> None:
    (head,) = from_file(old.path / FITTED).heads
    assert isinstance(head, NearestHead)
    assert head.size == 600
    assert head.searched
    assert old.manifest.search is not None


def test_parts_on_which_int8_decides_otherwise_are_refused(
    plates: Path, old: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8_gate, "DEVIATION_BOUND", 1e-6)
    with pytest.raises(ModelError, match="expected int8 to decide on the new parts as float32 does"):
        inspector("fit", "--add", plates / "new", "--pack", old.path, "--out", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_pack_without_its_ranges_is_refused(plates: Path, old: Pack, tmp_path: Path) -> None:
    files = {name: (old.path / name).read_bytes() for name in old.manifest.files}
    content = to_file(from_file(old.path / FITTED))
    assert content is not None
    files[fitted.FITTED] = content
    said = old.manifest.model_dump(mode="json", exclude={"format", "files", "model_hash"})
    earlier = save_pack(tmp_path / "earlier", said, files)
    with pytest.raises(PackError, match="expected the ranges of its int8 backbone"):
        inspector("fit", "--add", plates / "new", "--pack", earlier.path, "--out", tmp_path / "new")


def test_what_outgrows_its_time_is_told(old: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    def took(before_ms: float, after_ms: float) -> None:
        monkeypatch.setattr(outgrown, "_times_ms", lambda *_: (before_ms, after_ms))

    graph = onnx.ModelProto()
    took(5.0, 5.9)
    assert outgrown.slower(old, graph) == ()
    took(5.0, 6.1)
    (warning,) = outgrown.slower(old, graph)
    assert "takes 6.1 ms here with the larger bank, it took 5.0" in warning
    record = type("Record", (), {"budget_ms": 5.5})()
    tuned = replace(old, manifest=old.manifest.model_copy(update={"tuning": record}))
    took(5.3, 5.6)
    (warning,) = outgrown.slower(tuned, graph)
    assert "5.6 ms here with the larger bank, the model was tuned for 5.5 ms" in warning
    assert "\n" not in warning
