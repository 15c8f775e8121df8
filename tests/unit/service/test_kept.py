"""What a station keeps outlives the process by itself, and a loss of power from the next sync on."""

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from inspector.service.kept import COPY_BYTES, FILE_BYTES, KeptNumbers
from tests.support.power import Power

MAGIC = b"TESTKEPT"


@pytest.fixture
def power(monkeypatch: pytest.MonkeyPatch) -> Power:
    return Power(monkeypatch)


@pytest.fixture
def kept(tmp_path: Path, power: Power) -> Iterator[KeptNumbers]:
    kept = KeptNumbers.open(tmp_path / "state" / "cell.x", MAGIC, 2)
    yield kept
    kept.close()


def found(folder: Path, *unknown: int) -> tuple[int, ...]:
    """Start again on the files of this folder."""
    kept = KeptNumbers.open(folder / "cell.x", MAGIC, 2, unknown)
    numbers = kept.numbers
    kept.close()
    return numbers


def test_the_disk_has_the_files_from_the_beginning_and_their_folder(
    tmp_path: Path, kept: KeptNumbers, power: Power
) -> None:
    assert kept.synced
    left = power.lost(kept.path.parent, tmp_path / "after")
    assert (left / "cell.x.synced").stat().st_size == FILE_BYTES
    assert "state" in [path.name for path in power.lost(tmp_path, tmp_path / "above").iterdir()]


def test_after_a_loss_of_power_the_numbers_are_those_of_the_last_sync(
    tmp_path: Path, kept: KeptNumbers, power: Power
) -> None:
    kept.write([2, 3])
    kept.sync()
    assert kept.synced
    kept.write([4, 5])
    assert not kept.synced
    assert found(power.lost(kept.path.parent, tmp_path / "after"), 9, 9) == (2, 3)


@pytest.mark.parametrize("mapped", [None, b"", bytes(FILE_BYTES), b"\xff" * FILE_BYTES, "older"])
def test_whatever_the_kernel_had_written_back_by_itself_does_not_matter(
    tmp_path: Path, kept: KeptNumbers, power: Power, mapped: bytes | str | None
) -> None:
    kept.write([1, 1])
    older = kept.path.read_bytes()
    kept.write([2, 3])
    kept.sync()
    left = power.lost(kept.path.parent, tmp_path / "after")
    (left / "cell.x").unlink(missing_ok=True)
    if mapped is not None:
        (left / "cell.x").write_bytes(older if isinstance(mapped, str) else mapped)
    assert found(left, 9, 9) == (2, 3)
    assert found(left, 9, 9) == (2, 3)


def test_numbers_that_were_written_back_since_the_last_sync_count(tmp_path: Path, kept: KeptNumbers) -> None:
    kept.write([2, 3])
    kept.sync()
    kept.write([4, 5])
    assert found(shutil.copytree(kept.path.parent, tmp_path / "after")) == (4, 5)


@pytest.mark.parametrize("writes", [1, 2])
@pytest.mark.parametrize("torn", range(0, COPY_BYTES + 1, 8))
def test_a_loss_of_power_at_any_byte_of_a_sync_leaves_the_one_before(
    tmp_path: Path, kept: KeptNumbers, writes: int, torn: int
) -> None:
    """However many writes lie between two syncs."""
    synced = kept.path.with_name("cell.x.synced")
    for numbers in ([0, 1], [2, 3]):
        for _ in range(writes):
            kept.write(numbers)
        kept.sync()
    before = synced.read_bytes()
    for _ in range(writes):
        kept.write([4, 5])
    kept.sync()
    after = synced.read_bytes()
    (place,) = {n // COPY_BYTES * COPY_BYTES for n in range(FILE_BYTES) if before[n] != after[n]}
    end = place + torn
    left = tmp_path / "after"
    left.mkdir()
    (left / "cell.x.synced").write_bytes(before[:place] + after[place:end] + before[end:])
    assert found(left, 9, 9) in {(2, 3), (4, 5)}


def test_nothing_is_synced_twice(kept: KeptNumbers, power: Power) -> None:
    kept.write([2, 3])
    kept.sync()
    syncs = power.syncs
    kept.sync()
    assert power.syncs == syncs


def test_numbers_that_cannot_be_read_any_more_are_unknown_over_every_later_start(
    tmp_path: Path, power: Power
) -> None:
    """Also where the power goes right after: nothing may look as if it had never been written."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "cell.x").write_bytes(bytes(FILE_BYTES))
    kept = KeptNumbers.open(state / "cell.x", MAGIC, 2, unknown=[9, 8])
    assert kept.numbers == (9, 8)
    assert found(power.lost(state, tmp_path / "after")) == (9, 8)
    kept.close()
    assert found(state) == (9, 8)
    assert (state / "cell.x.corrupt-1").read_bytes() == bytes(FILE_BYTES)


def test_a_sync_that_failed_is_said_once_and_tried_again(
    tmp_path: Path, kept: KeptNumbers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: int) -> None:
        raise OSError("no disk")

    kept.write([2, 3])
    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
        patch.setattr(os, "fdatasync", broken)
        kept.sync()
        kept.sync()
    assert not kept.synced
    assert kept.failing
    assert [record.message for record in caplog.records] == ["state_file_sync_failed"]
    kept.sync()
    assert kept.synced
    assert not kept.failing


def test_closing_waits_for_no_disk_that_was_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = KeptNumbers.open(tmp_path / "cell.x", MAGIC, 2)
    asked: list[int] = []
    monkeypatch.setattr(os, "fdatasync", asked.append)
    kept.write([2, 3])
    kept.abandon()
    kept.close()
    assert asked == []
