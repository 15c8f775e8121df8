"""The thread that waits for the disk, so that nobody else does."""

import logging
import threading
from typing import Final

import pytest

from inspector.clock import ManualClock, SystemClock
from inspector.errors import HungError
from inspector.service import syncing
from inspector.service.syncing import STANDS_MS, DiskThread

LONG_S: Final = 30.0


class Disk:
    """Something to keep, on a disk that answers when the test says so."""

    def __init__(self, *, quick: bool = True) -> None:
        self.asked, self.answers = threading.Event(), threading.Event()
        self.failure: Exception | None = None
        self.failing = self.abandoned = False
        if quick:
            self.answers.set()

    def abandon(self) -> None:
        self.abandoned = True

    def sync(self) -> None:
        self.asked.set()
        assert self.answers.wait(LONG_S)
        if self.failure is not None:
            raise self.failure


def test_whoever_wakes_it_waits_for_nothing_and_hears_when_the_disk_has_all() -> None:
    first, slow, done = Disk(), Disk(quick=False), threading.Event()
    thread = DiskThread([first, slow], SystemClock(), on_synced=done.set)
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
    thread = DiskThread([disk], SystemClock(), on_synced=lambda: None)
    thread.start()
    assert disk.asked.wait(LONG_S)
    thread.stop(LONG_S)


def test_a_disk_that_does_not_answer_does_not_hold_up_the_end() -> None:
    disk = Disk(quick=False)
    thread = DiskThread([disk], SystemClock(), on_synced=lambda: None)
    thread.start()
    thread.wake()
    assert disk.asked.wait(LONG_S)
    with pytest.raises(HungError, match="the disk did not answer"):
        thread.stop(0.01)
    assert disk.abandoned
    disk.answers.set()
    thread.stop(LONG_S)


def test_what_ends_it_is_kept_for_the_owner() -> None:
    disk = Disk()
    disk.failure = ValueError("a defect")
    thread = DiskThread([disk], SystemClock(), on_synced=lambda: None)
    thread.start()
    thread.wake()
    with pytest.raises(ValueError, match="a defect"):
        thread.stop(LONG_S)


def test_a_disk_that_does_not_answer_for_seconds_is_told_once_until_it_does(
    caplog: pytest.LogCaptureFixture,
) -> None:
    disk, clock, done = Disk(quick=False), ManualClock(), threading.Event()
    thread = DiskThread([disk], clock, on_synced=done.set)
    thread.start()
    thread.wake()
    assert disk.asked.wait(LONG_S)
    clock.advance_ms(STANDS_MS)
    thread.look()
    assert not thread.stands
    with caplog.at_level(logging.INFO):
        clock.advance_ms(1)
        thread.look()
        thread.look()
        assert thread.stands
        disk.answers.set()
        assert done.wait(LONG_S)
        thread.look()
    assert not thread.stands
    assert [record.getMessage() for record in caplog.records] == ["disk_stands", "disk_answers"]
    thread.stop(LONG_S)


def test_a_disk_that_refuses_stands_as_well(caplog: pytest.LogCaptureFixture) -> None:
    disk = Disk()
    thread = DiskThread([disk], ManualClock(), on_synced=lambda: None)
    disk.failing = True
    thread.look()
    assert thread.stands
    assert "came an error" in vars(caplog.records[0])["why"]
    disk.failing = False
    thread.look()
    assert not thread.stands
