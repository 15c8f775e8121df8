"""The frame ring: what the writer announces is what the reader sees, and no slot is written while it is held."""

import dataclasses
import fcntl
import mmap
import os
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.errors import CameraError, RingError
from inspector.part import Frame, FrameStatus
from inspector.ring import PAGE, QUEUE, RingReader, RingWriter

WIDTH, HEIGHT, SLOTS = 40, 30, 4


def image(value: int, channels: int = 1) -> NDArray[np.uint8]:
    return np.full(WIDTH * HEIGHT * channels, value % 251, np.uint8)


@pytest.fixture
def writer() -> Iterator[RingWriter]:
    ring = RingWriter.create(WIDTH, HEIGHT, "Mono8", slots=SLOTS, generation=7)
    yield ring
    os.close(ring.fd)


@pytest.fixture
def reader(writer: RingWriter) -> RingReader:
    return RingReader.attach(writer.fd)


def test_a_frame_arrives_as_it_was_put(writer: RingWriter, reader: RingReader) -> None:
    writer.put(12, 1_000_000_007, image(9), t_device_ns=2**63 + 5)
    (frame,) = reader.new_frames()
    assert frame == Frame(
        generation=7,
        sequence=1,
        frame_id=12,
        t_arrival_ns=1_000_000_007,
        status=FrameStatus.OK,
        slot=0,
        width=WIDTH,
        height=HEIGHT,
        pixel_format="Mono8",
        t_device_ns=2**63 + 5,
    )
    pixels = reader.pixels(frame)
    assert pixels.shape == (HEIGHT, WIDTH)
    assert pixels.dtype == np.uint8
    assert (pixels == 9).all()
    assert not pixels.flags.writeable
    assert reader.new_frames() == []


def test_colour_has_three_channels() -> None:
    writer = RingWriter.create(WIDTH, HEIGHT, "RGB8", slots=2, generation=1)
    reader = RingReader.attach(writer.fd)
    os.close(writer.fd)
    flat = np.arange(WIDTH * HEIGHT * 3, dtype=np.uint32).astype(np.uint8)
    writer.put(1, 1, flat)
    (frame,) = reader.new_frames()
    assert np.array_equal(reader.pixels(frame), flat.reshape(HEIGHT, WIDTH, 3))


def test_frames_without_pixels_are_announced_in_order(writer: RingWriter, reader: RingReader) -> None:
    writer.put(1, 10, image(1))
    writer.put(2, 20, None, status=FrameStatus.INCOMPLETE)
    writer.put(
        3, 30, None, status=FrameStatus.WRONG_FORMAT, size=(20, 10), pixel_format="Coord3D_ABC32f_Planar"
    )
    writer.put(4, 40, image(4))
    frames = reader.new_frames()
    assert [(f.sequence, f.frame_id, f.status, f.slot >= 0) for f in frames] == [
        (1, 1, FrameStatus.OK, True),
        (2, 2, FrameStatus.INCOMPLETE, False),
        (3, 3, FrameStatus.WRONG_FORMAT, False),
        (4, 4, FrameStatus.OK, True),
    ]
    assert (frames[2].width, frames[2].height, frames[2].pixel_format) == (20, 10, "Coord3D_ABC32f_Planar")


def test_a_held_slot_is_never_overwritten_and_the_overrun_is_counted(
    writer: RingWriter, reader: RingReader
) -> None:
    statuses = [writer.put(i, i, image(i)) for i in range(1, SLOTS + 3)]
    assert statuses == [FrameStatus.OK] * SLOTS + [FrameStatus.OVERRUN] * 2
    frames = reader.new_frames()
    assert [f.status for f in frames] == statuses
    assert reader.overruns == 2
    for frame in frames[:SLOTS]:
        assert (reader.pixels(frame) == frame.frame_id).all()


def test_a_released_slot_is_used_again(writer: RingWriter, reader: RingReader) -> None:
    for i in range(10 * SLOTS):
        assert writer.put(i, i, image(i)) is FrameStatus.OK
        (frame,) = reader.new_frames()
        assert (reader.pixels(frame) == i % 251).all()
        reader.release(frame)
    assert reader.held == 0


def test_slots_may_be_released_in_any_order(writer: RingWriter, reader: RingReader) -> None:
    for i in range(SLOTS):
        writer.put(i, i, image(i))
    frames = reader.new_frames()
    reader.release(frames[2])
    assert writer.put(99, 99, image(99)) is FrameStatus.OK
    assert writer.put(100, 100, image(100)) is FrameStatus.OVERRUN
    (newest, _) = reader.new_frames()
    assert newest.slot == frames[2].slot
    assert (reader.pixels(frames[0]) == 0).all()


def test_a_released_frame_cannot_be_read_or_released_again(writer: RingWriter, reader: RingReader) -> None:
    writer.put(1, 1, image(1))
    (frame,) = reader.new_frames()
    reader.release(frame)
    with pytest.raises(RingError, match="not held"):
        reader.pixels(frame)
    with pytest.raises(RingError, match="not held"):
        reader.release(frame)


def test_a_frame_of_another_generation_is_refused(writer: RingWriter, reader: RingReader) -> None:
    writer.put(1, 1, image(1))
    (frame,) = reader.new_frames()
    with pytest.raises(RingError, match="generation 6, this ring is 7"):
        reader.pixels(dataclasses.replace(frame, generation=6))


def test_a_frame_without_pixels_needs_no_release_and_has_none(writer: RingWriter, reader: RingReader) -> None:
    writer.put(1, 1, None, status=FrameStatus.INCOMPLETE)
    (frame,) = reader.new_frames()
    reader.release(frame)
    with pytest.raises(RingError, match="without pixels"):
        reader.pixels(frame)


def test_a_stalled_reader_sees_a_gap_counts_it_and_leaks_no_slot(
    writer: RingWriter, reader: RingReader
) -> None:
    writer.put(0, 0, image(5))
    (held,) = reader.new_frames()
    for i in range(1, QUEUE + 50):
        writer.put(i, i, image(i))
    frames = reader.new_frames()
    assert [f.sequence for f in frames] == list(range(51, QUEUE + 51))
    assert reader.lost == 49
    assert (reader.pixels(held) == 5).all(), "a frame that is being scored survives the stall"
    for frame in (held, *frames):
        reader.release(frame)
    assert [writer.put(i, i, image(i)) for i in range(SLOTS)] == [FrameStatus.OK] * SLOTS


def test_the_reader_survives_the_writer(writer: RingWriter, reader: RingReader) -> None:
    writer.put(1, 1, image(77))
    (frame,) = reader.new_frames()
    del writer
    assert (reader.pixels(frame) == 77).all()


def test_slots_can_be_page_locked(writer: RingWriter) -> None:
    assert writer.slot_memory.ctypes.data % PAGE == 0
    assert writer.slot_memory.strides[0] % PAGE == 0


def test_the_ring_cannot_be_shortened_under_the_station(writer: RingWriter) -> None:
    with pytest.raises(PermissionError):
        os.ftruncate(writer.fd, PAGE)
    assert fcntl.fcntl(writer.fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_GROW


def test_what_is_no_ring_is_refused() -> None:
    fd = os.memfd_create("other")
    os.ftruncate(fd, 64 * mmap.PAGESIZE)
    with pytest.raises(RingError, match="no frame ring"):
        RingReader.attach(fd)
    os.ftruncate(fd, 0)
    with pytest.raises(RingError, match="cannot be mapped"):
        RingReader.attach(fd)
    os.close(fd)


@pytest.mark.parametrize("fields", [{"slots": 0}, {"slots": 1000}, {"width": 0}])
def test_a_ring_that_cannot_be_is_refused(fields: dict[str, int]) -> None:
    wanted = {"width": 8, "height": 8, "slots": 2, "generation": 1, **fields}
    with pytest.raises(RingError, match="a frame ring has"):
        RingWriter.create(wanted.pop("width"), wanted.pop("height"), "Mono8", **wanted)


@pytest.mark.parametrize(
    ("pixel_format", "line_bytes"), [("Mono12", 40), ("BayerGB10p", 25), ("Mono12p", 30), ("BayerRG8", 20)]
)
def test_more_than_eight_bits_come_as_the_bytes_they_are(pixel_format: str, line_bytes: int) -> None:
    writer = RingWriter.create(20, 3, pixel_format, slots=2, generation=1)
    reader = RingReader.attach(writer.fd)
    sent = np.arange(3 * line_bytes, dtype=np.uint8)
    writer.put(1, 10, sent)
    (frame,) = reader.new_frames()
    assert (frame.width, frame.height, frame.pixel_format) == (20, 3, pixel_format)
    np.testing.assert_array_equal(reader.pixels(frame), sent.reshape(3, line_bytes))
    os.close(writer.fd)


def test_a_format_or_width_that_fills_no_whole_bytes_is_refused() -> None:
    with pytest.raises(CameraError, match="RGBa8 is not one that the engine takes"):
        RingWriter.create(8, 8, "RGBa8", slots=2, generation=1)
    with pytest.raises(CameraError, match="a Width of 9 cuts the last group; set a Width in steps of 2"):
        RingWriter.create(9, 8, "Mono12p", slots=2, generation=1)


def test_other_machines_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(RingError, match="x86-64"):
        RingWriter.create(8, 8, "Mono8", slots=2, generation=1)
