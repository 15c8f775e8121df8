"""Log files hold whole lines only, in files of bounded size and number, whatever the disk does."""

import errno
import os
from pathlib import Path

import pytest

from inspector.recorder.files import LogFiles
from tests.support.power import Power

STEM = "cell-1-20261122T120000.000Z"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "logs"


def log_files(folder: Path, stem: str = STEM, *, file_bytes: int = 1000, files: int = 3) -> LogFiles:
    return LogFiles(folder, stem, "cell-1", file_bytes=file_bytes, files=files)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_full_file_is_followed_by_a_new_one_and_the_oldest_goes(folder: Path) -> None:
    log = log_files(folder, file_bytes=10, files=3)
    for n in range(5):
        log.append(b"0123456789 line %d\n" % n)
    log.close()
    assert names(folder) == [f"{STEM}-{n:06}.jsonl" for n in (3, 4, 5)]
    assert (folder / f"{STEM}-000005.jsonl").read_bytes() == b"0123456789 line 4\n"


def test_files_of_earlier_starts_count_and_foreign_files_stay(folder: Path) -> None:
    folder.mkdir()
    earlier = [f"cell-1-20261121T12000{n}.000Z-000001.jsonl" for n in range(3)]
    foreign = ["cell-10-20261121T120000.000Z-000001.jsonl", "cell-1-notes.jsonl", "cell-1.yaml"]
    for name in earlier + foreign:
        (folder / name).write_bytes(bytes(1000))
    log = log_files(folder, files=3)
    log.append(b"line\n")
    log.close()
    assert set(names(folder)) == {*earlier[1:], *foreign, f"{STEM}-000001.jsonl"}


@pytest.mark.parametrize(("earlier", "short", "kept"), [(1000, 60, 60), (1500, 60, 60), (1000, 200, 2 * 64)])
def test_the_short_files_of_many_starts_push_out_no_long_one(
    folder: Path, earlier: int, short: int, kept: int
) -> None:
    folder.mkdir()
    long = folder / "cell-1-20261120T120000.000Z-000001.jsonl"
    long.write_bytes(bytes(earlier))
    for n in range(short):
        (folder / f"cell-1-20261121T120000.{n:03}Z-000001.jsonl").touch()
    log = log_files(folder, file_bytes=1000, files=3)
    log.append(b"line\n")
    log.close()
    assert long.exists() == (kept == short)
    assert len(names(folder)) - 1 - long.exists() == pytest.approx(
        kept, abs=6
    )  # each counts for a 64th, rounded


def test_the_present_file_stays_even_if_the_wall_clock_went_back(folder: Path) -> None:
    folder.mkdir()
    for n in range(3):
        (folder / f"cell-1-20271121T12000{n}.000Z-000001.jsonl").touch()
    log = log_files(folder, files=2)
    log.append(b"line\n")
    log.close()
    assert f"{STEM}-000001.jsonl" in names(folder)


def test_a_file_that_somebody_removed_is_made_again(folder: Path) -> None:
    log = log_files(folder)
    log.append(b"one\n")
    (folder / f"{STEM}-000001.jsonl").unlink()
    folder.rmdir()
    log.append(b"two\n")
    log.close()
    assert (folder / f"{STEM}-000001.jsonl").read_bytes() == b"two\n"


def test_an_append_stands_whole_or_not_at_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_files(folder)
    log.append(b"before\n")
    real_write = os.write
    room = 5

    def full_disk(fd: int, data: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = real_write(fd, data[:room])
        room -= done
        return done

    monkeypatch.setattr(os, "write", full_disk)
    with pytest.raises(OSError, match="No space left"):
        log.append(b"never whole\n")
    monkeypatch.undo()
    log.append(b"after\n")
    log.close()
    assert (folder / f"{STEM}-000001.jsonl").read_bytes() == b"before\nafter\n"


def test_nothing_follows_a_torn_line_that_cannot_be_cut(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_files(folder)
    log.append(b"before\n")

    def broken(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "write", broken)
    monkeypatch.setattr(os, "ftruncate", broken)
    with pytest.raises(OSError, match="Input/output"):
        log.append(b"never\n")
    monkeypatch.undo()
    log.append(b"after\n")
    log.close()
    assert (folder / f"{STEM}-000002.jsonl").read_bytes() == b"after\n"


def test_the_last_whole_line_is_found_and_a_torn_one_cut_off(folder: Path) -> None:
    folder.mkdir()
    assert log_files(folder).last_whole_line() == b""
    (folder / f"{STEM}-000001.jsonl").write_bytes(b"one\ntwo\ntor")
    (folder / f"{STEM}-000002.jsonl").write_bytes(b"torn")
    assert log_files(folder).last_whole_line() == b"two"
    assert (folder / f"{STEM}-000001.jsonl").read_bytes() == b"one\ntwo\n"
    assert (folder / f"{STEM}-000002.jsonl").read_bytes() == b""


def test_the_last_line_of_a_long_file_is_found(folder: Path) -> None:
    folder.mkdir()
    (folder / f"{STEM}-000001.jsonl").write_bytes(b"0123456789\n" * 20_000 + b"last\ntorn")
    assert log_files(folder).last_whole_line() == b"last"
    assert (folder / f"{STEM}-000001.jsonl").stat().st_size == 11 * 20_000 + 5


def test_what_was_synced_and_every_file_that_is_full_outlive_a_loss_of_power(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    power = Power(monkeypatch)
    log = log_files(folder, file_bytes=10, files=5)
    log.append(b"0123456789 full\n")
    log.append(b"synced\n")
    log.sync()
    log.append(b"not synced\n")
    left = power.lost(folder, tmp_path / "after")
    log.close()
    assert [(left / name).read_bytes() for name in names(left)] == [b"0123456789 full\n", b"synced\n"]
