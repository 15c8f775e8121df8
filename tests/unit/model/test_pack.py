"""A pack is written whole or not at all, and read only when every byte is as it was written."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from inspector.errors import PackError
from inspector.model.pack import Pack, load_pack, save_pack

FILES = {"graph.onnx": b"a graph", "calibration.json": b"{}", "reference/best.png": b"a picture"}


def facts(**changes: object) -> dict[str, object]:
    return {
        "created": "2026-01-01T00:00:00+00:00",
        "method": "nearest",
        "backbone": {"name": "efficientnet-lite0", "sha256": "0" * 64},
        "branches": [{"height": 64, "width": 96, "taps": ["4", "7"]}],
        "pooling": "max",
        "input": {"channels": 1, "height": 64, "width": 96},
        "frame": {
            "size": None,
            "aspect": 1.5,
            "bits": 8,
            "roi": None,
            "picture": None,
            "tile": None,
            "masked": False,
            "align": None,
        },
        "bank": 100,
        "grey": [90.0, 120.0],
        "threshold": 1.25,
        "false_reject_rate": 0.01,
        "held_out": {
            "by": "none",
            "batches": 1,
            "families": 20,
            "folds": 5,
            "images": 20,
            "false_reject_rate": 0.0,
            "interval": None,
            "next_images": 100,
            "promised": False,
            "confidence": 0.95,
            "learning": [],
        },
        "images": 20,
        "seed": 0,
        "warnings": ["one batch only"],
        "references": [{"file": "reference/best.png", "score": 0.5}],
        **changes,
    }


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    return save_pack(tmp_path / "models" / "tile", facts(), FILES)


def rewrite_manifest(pack: Pack, *, honest_hash: bool = True, **changes: Any) -> None:
    """Change the manifest, with a model_hash that fits the change unless `honest_hash` is off."""
    path = pack.path / "manifest.json"
    content = {**json.loads(path.read_text()), **changes}
    if honest_hash:
        rest = {key: value for key, value in content.items() if key != "model_hash"}
        spelled = json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()
        content["model_hash"] = hashlib.sha256(spelled).hexdigest()
    path.write_text(json.dumps(content))


def test_what_was_saved_is_loaded(pack: Pack) -> None:
    loaded = load_pack(pack.path)
    assert loaded == pack
    assert loaded.graph.read_bytes() == b"a graph"
    assert (loaded.geometry.channels, loaded.geometry.height, loaded.geometry.width) == (1, 64, 96)
    assert loaded.threshold == 1.25
    assert loaded.manifest.warnings == ("one batch only",)
    assert sorted(entry.name for entry in pack.path.parent.iterdir()) == ["tile"], "nothing is left beside it"


def test_the_model_hash_covers_graph_and_threshold(tmp_path: Path, pack: Pack) -> None:
    other_graph = save_pack(tmp_path / "b", facts(), {**FILES, "graph.onnx": b"another"})
    other_limit = save_pack(tmp_path / "c", facts(threshold=1.5), FILES)
    same = save_pack(tmp_path / "d", facts(), FILES)
    assert len({pack.model_hash, other_graph.model_hash, other_limit.model_hash}) == 3
    assert same.model_hash == pack.model_hash


@pytest.mark.parametrize("name", list(FILES))
def test_an_altered_file_is_refused(pack: Pack, name: str) -> None:
    path = pack.path / name
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    with pytest.raises(PackError, match=rf"{name}: expected sha256 .* altered"):
        load_pack(pack.path)


@pytest.mark.parametrize("name", list(FILES))
def test_a_truncated_or_missing_file_is_refused(pack: Pack, name: str) -> None:
    path = pack.path / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(PackError, match="truncated"):
        load_pack(pack.path)
    path.unlink()
    with pytest.raises(PackError, match="No such file"):
        load_pack(pack.path)


def test_an_altered_threshold_is_noticed(pack: Pack) -> None:
    rewrite_manifest(pack, honest_hash=False, threshold=99.0)
    with pytest.raises(PackError, match="it was altered"):
        load_pack(pack.path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 3}, "expected pack format 2, found 3; update Inspector"),
        (
            {"format": 1},
            "expected pack format 2, found 1; an earlier Inspector wrote it: fit the model again",
        ),
        ({"format": "2"}, "expected a manifest with its format number"),
        ({"threshold": -1.0}, "threshold: "),
        ({"threshold": "1.25"}, "threshold: "),
        ({"surprise": 1}, "surprise: "),
        ({"files": {"../outside.json": {"bytes": 1, "sha256": "0" * 64}}}, "files"),
        ({"files": {"/etc/passwd.json": {"bytes": 1, "sha256": "0" * 64}}}, "files"),
        ({"files": {}}, "graph.onnx in the manifest"),
    ],
)
def test_a_manifest_outside_the_rules_is_refused(pack: Pack, change: dict[str, Any], message: str) -> None:
    rewrite_manifest(pack, **change)
    with pytest.raises(PackError, match=message):
        load_pack(pack.path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"format": 1, "threshold": NaN}'])
def test_a_damaged_manifest_is_one_clear_line(pack: Pack, text: str) -> None:
    (pack.path / "manifest.json").write_text(text)
    with pytest.raises(PackError) as caught:
        load_pack(pack.path)
    assert "\n" not in str(caught.value)


def test_no_pack_at_all(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="there is no such folder; check the path, or fit the model"):
        load_pack(tmp_path / "missing")


def test_a_newer_pack_replaces_the_older_whole(pack: Pack) -> None:
    files = {name: data for name, data in FILES.items() if name != "reference/best.png"}
    newer = save_pack(pack.path, facts(threshold=2.0, references=[]), files)
    assert load_pack(pack.path).threshold == newer.threshold == 2.0
    assert not (pack.path / "reference").exists()
    assert sorted(entry.name for entry in pack.path.parent.iterdir()) == ["tile"]


def test_a_reference_without_a_score_of_each_view_is_refused(pack: Pack) -> None:
    rewrite_manifest(pack, references=[{"file": "reference/best.png", "score": 0.5, "views": [0.5, 0.4]}])
    with pytest.raises(PackError, match="expected 0 scores of views with each reference image; fit"):
        load_pack(pack.path)


def test_a_failure_while_writing_keeps_the_older_pack(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(PackError, match="No space left on device"):
        save_pack(pack.path, facts(threshold=2.0), FILES)
    assert load_pack(pack.path) == pack
    assert sorted(entry.name for entry in pack.path.parent.iterdir()) == ["tile"]


def test_a_folder_that_is_no_pack_is_never_replaced(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "holiday.jpg").write_bytes(b"dear to somebody")
    with pytest.raises(PackError, match="found something else"):
        save_pack(photos, facts(), FILES)
    assert (photos / "holiday.jpg").exists()


def test_a_folder_without_a_manifest_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(PackError, match=r"expected a model pack, manifest\.json is missing; check the path"):
        load_pack(tmp_path)
    with pytest.raises(PackError, match="gone: expected a model pack, there is no such folder"):
        load_pack(tmp_path / "gone")
