"""Page-locking by the driver's own call: what is locked, once, and let go in time."""

import logging
import mmap

import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.engine.gpu import PageLock
from inspector.ring import RingReader, RingWriter
from tests.unit.engine.gpu_standin import StandInDriver


def shared(pages: int = 4) -> NDArray[np.uint8]:
    return np.frombuffer(mmap.mmap(-1, pages * mmap.PAGESIZE), np.uint8)


def test_the_slots_of_a_real_ring_are_locked_as_a_whole() -> None:
    writer = RingWriter.create(64, 48, "Mono8", slots=3, generation=1)
    reader = RingReader(writer.fd)
    driver = StandInDriver()
    lock = PageLock(driver)
    for slot in reader.slot_memory:
        assert lock.lock(slot[: 64 * 48].reshape(48, 64))
    [(address, size)] = driver.locked.items()
    assert address == reader.slot_memory.ctypes.data
    assert address % mmap.PAGESIZE == 0
    assert size == reader.slot_memory.nbytes
    lock.release()
    assert not driver.locked


def test_another_ring_takes_the_place_of_the_one_before() -> None:
    driver = StandInDriver()
    lock = PageLock(driver)
    first, second = shared(), shared(2)
    lock.lock(first)
    lock.lock(second[:100])
    assert driver.locked == {second.ctypes.data: second.nbytes}
    lock.release()
    lock.release()
    assert not driver.locked


def test_memory_of_this_process_alone_stays_as_it_is() -> None:
    driver = StandInDriver()
    lock = PageLock(driver)
    assert not lock.lock(np.zeros((8, 8), np.uint8))
    assert not lock.lock(np.frombuffer(bytes(64), np.uint8))
    assert not driver.locked


def test_an_image_of_a_file_between_two_frames_does_not_unlock_the_ring() -> None:
    driver = StandInDriver()
    lock = PageLock(driver)
    ring = shared()
    lock.lock(ring)
    lock.lock(np.zeros((8, 8), np.uint8))
    assert driver.locked == {ring.ctypes.data: ring.nbytes}
    lock.release()


def test_what_the_driver_refuses_is_told_once_and_copied(caplog: pytest.LogCaptureFixture) -> None:
    driver = StandInDriver(status=1)
    lock = PageLock(driver)
    ring = shared()
    with caplog.at_level(logging.WARNING):
        assert [lock.lock(ring[:10]) for _ in range(3)] == [False] * 3
    assert [record.getMessage() for record in caplog.records] == ["ring_not_page_locked"]
    lock.release()


def test_what_the_engine_of_another_recipe_locked_is_used_and_left_to_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    driver = StandInDriver(status=712)
    lock = PageLock(driver)
    ring = shared()
    driver.locked[ring.ctypes.data + 1] = ring.nbytes  # by another
    with caplog.at_level(logging.WARNING):
        assert lock.lock(ring)
    lock.release()
    assert len(driver.locked) == 1
    assert caplog.records == []
