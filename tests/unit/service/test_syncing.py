"""The thread that waits for the disk, so that nobody else does."""

import threading
from typing import Final

import pytest

from inspector.errors import HungError
from inspector.service import syncing
from inspector.service.syncing import DiskThread

LONG_S: Final = 30.0


class Disk:
    """Something to keep, on a disk that answers when the test says so."""

    def __init__(self, *, quick: bool = True) -> None:
        self.asked, self.answers = threading.Event(), threading.Event()
        self.failure: Exception | None = None
        if quick:
            self.answers.set()

    def sync(self) -> None:
        self.asked.set()
        assert self.answers.wait(LONG_S)
        if self.failure is not None:
            raise self.failure


def test_whoever_wakes_it_waits_for_nothing_and_hears_when_the_disk_has_all() -> None:
    first, slow, done = Disk(), Disk(quick=False), threading.Event()
    thread = DiskThread([first, slow], on_synced=done.set)
    thread.start()
    thread.wake()
    assert slow.asked.wait(LONG_S)
    assert first.asked.is_set()
    assert not done.is_set()
    slow.answers.set()
    assert done.wait(LONG_S)
    thread.stop(LONG_S)


def test_it_syncs_from_time_to_time_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syncing, "EVERY_S", 0.001)
    disk = Disk()
    thread = DiskThread([disk], on_synced=lambda: None)
    thread.start()
    assert disk.asked.wait(LONG_S)
    thread.stop(LONG_S)


def test_a_disk_that_does_not_answer_does_not_hold_up_the_end() -> None:
    disk = Disk(quick=False)
    thread = DiskThread([disk], on_synced=lambda: None)
    thread.start()
    thread.wake()
    assert disk.asked.wait(LONG_S)
    with pytest.raises(HungError, match="the disk did not answer"):
        thread.stop(0.01)
    disk.answers.set()
    thread.stop(LONG_S)


def test_what_ends_it_is_kept_for_the_owner() -> None:
    disk = Disk()
    disk.failure = ValueError("a defect")
    thread = DiskThread([disk], on_synced=lambda: None)
    thread.start()
    thread.wake()
    with pytest.raises(ValueError, match="a defect"):
        thread.stop(LONG_S)
