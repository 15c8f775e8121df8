"""What an unfinished fit has is whole, of this very fit, or not used."""

from pathlib import Path

import numpy as np
import pytest

from inspector.clock import ManualClock
from inspector.model.checkpoint import Checkpoint, key_of, unfinished

ARRAYS = {"scores": np.array([1.0, np.nan]), "0.counts": np.arange(3)}


def test_what_was_saved_comes_back_to_the_same_fit_alone(tmp_path: Path) -> None:
    said: list[str] = []
    Checkpoint.beside(tmp_path / "pack", "same").save("features", ARRAYS)
    found = Checkpoint.beside(tmp_path / "pack", "same", said.append).load("features")
    assert found is not None
    assert set(found) == set(ARRAYS)
    np.testing.assert_array_equal(found["scores"], ARRAYS["scores"])
    assert Checkpoint.beside(tmp_path / "pack", "same").load("held-out models") is None
    assert Checkpoint.beside(tmp_path / "pack", "other", said.append).load("features") is None
    assert "going on from" in said[0]
    assert "of other images, options, versions or another CPU" in said[1]


def test_another_image_or_option_is_another_fit() -> None:
    keys = {
        key_of({"bank": bank}, images) for bank in (1, 2) for images in (["a", "b"], ["b", "a"], ["a", "c"])
    }
    assert len(keys) == 6
    assert key_of({"bank": 1}, ["a"]) == key_of({"bank": 1}, ["a"])


@pytest.mark.parametrize("where", ["__version__", "cpu_name", "version"])
def test_another_version_or_machine_is_another_fit(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = key_of({}, [])
    monkeypatch.setattr(
        f"inspector.model.checkpoint.{where}", "9.9" if where == "__version__" else lambda *_: "other"
    )
    assert key_of({}, []) != before


@pytest.mark.parametrize("left", [0, 100, -3])
def test_a_damaged_file_is_told_and_not_used(tmp_path: Path, left: int) -> None:
    said: list[str] = []
    checkpoint = Checkpoint.beside(tmp_path / "pack", "key", said.append)
    checkpoint.save("features", ARRAYS)
    file = unfinished(tmp_path / "pack") / "features.npz"
    file.write_bytes(file.read_bytes()[:left])
    assert checkpoint.load("features") is None
    assert "beginning this stage again" in said[0]


def test_what_cannot_be_written_ends_the_keeping_and_not_the_fit(tmp_path: Path) -> None:
    said: list[str] = []
    unfinished(tmp_path / "pack").write_text("a file where the folder would be")
    checkpoint = Checkpoint.beside(tmp_path / "pack", "key", said.append)
    for _ in range(2):
        checkpoint.save("features", ARRAYS)
    assert len(said) == 1
    assert "the fit goes on" in said[0]
    assert not checkpoint.due(0)


def test_saving_is_due_by_the_clock_and_never_takes_much_of_the_time(tmp_path: Path) -> None:
    clock = ManualClock()
    checkpoint = Checkpoint(tmp_path / "unfinished", "key", clock=clock)
    clock.advance_ms(9_999)
    assert not checkpoint.due()
    clock.advance_ms(1)
    assert checkpoint.due()
    checkpoint.save("features", ARRAYS)
    assert not checkpoint.due()
    assert not Checkpoint(None, clock=clock).due(0)


def test_nothing_is_left_when_the_pack_is_written(tmp_path: Path) -> None:
    checkpoint = Checkpoint.beside(tmp_path / "pack", "key")
    checkpoint.save("features", ARRAYS)
    checkpoint.remove()
    assert list(tmp_path.iterdir()) == []


def test_the_time_of_earlier_starts_counts(tmp_path: Path) -> None:
    for start in (0, 1):
        clock = ManualClock()
        checkpoint = Checkpoint(tmp_path / "unfinished", "key", clock=clock)
        checkpoint.load("features")
        assert checkpoint.earlier_s == 20.0 * start
        clock.advance_ms(20_000)
        checkpoint.save("features", ARRAYS)
