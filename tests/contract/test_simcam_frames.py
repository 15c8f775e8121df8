"""simcam delivers frames as a GenICam camera does: acquisition, pixels, chunks and buffers."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import genicam.genapi
import genicam.gentl
import numpy as np
import pytest

from tests.contract.simcam_rig import flat_images, opened, producer, write_pnm
from tests.support.waiting import wait_for

COLOUR = np.random.default_rng(7).integers(0, 256, (10, 14, 3), dtype=np.uint8)

# ---- acquisition ----


def test_images_are_played_in_name_order_again_and_again(tmp_path: Path) -> None:
    flat_images(tmp_path, count=3)
    with opened(tmp_path) as camera:
        camera.nodes.AcquisitionFrameRate.value = 200
        camera.acquirer.start()
        shots = camera.fetch_many(7)
    assert [shot.frame_id for shot in shots] == [1, 2, 3, 4, 5, 6, 7]
    assert [shot.grey for shot in shots] == [1, 2, 3, 1, 2, 3, 1]
    times = [shot.timestamp_ns for shot in shots]
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert min(gaps) == 5_000_000  # exact by the sensor's clock; longer where the machine stood still


def test_frame_ids_begin_at_one_with_every_start(tmp_path: Path) -> None:
    flat_images(tmp_path)
    with opened(tmp_path) as camera:
        for _ in range(3):
            camera.acquirer.start()
            assert [shot.frame_id for shot in camera.fetch_many(2)] == [1, 2]
            camera.acquirer.stop()


@pytest.mark.parametrize(("mode", "count"), [("SingleFrame", 1), ("MultiFrame", 3)])
def test_an_acquisition_of_limited_length_ends_by_itself(tmp_path: Path, mode: str, count: int) -> None:
    flat_images(tmp_path)
    with opened(tmp_path) as camera:
        camera.nodes.AcquisitionMode.value = mode
        camera.nodes.AcquisitionFrameCount.value = count
        camera.nodes.AcquisitionFrameRate.value = 500
        camera.acquirer.start()
        camera.fetch_many(count)
        assert camera.is_quiet()
        assert camera.status()["exposures"] == str(count)


def test_a_software_trigger_takes_one_frame(tmp_path: Path) -> None:
    flat_images(tmp_path)
    with opened(tmp_path) as camera:
        camera.triggered("Software")
        assert camera.is_quiet()
        for expected in (1, 2):
            camera.nodes.TriggerSoftware.execute()
            assert camera.fetch().frame_id == expected
        assert camera.is_quiet()


def test_a_pulse_names_the_image_it_takes(tmp_path: Path) -> None:
    flat_images(tmp_path)
    write_pnm(tmp_path / "cam0" / "bad" / "scratch 07.pgm", np.full((16, 32), 77, np.uint8))
    with opened(tmp_path) as camera:
        camera.triggered()
        for image, grey in (("002", 3), ("bad/scratch 07", 77), ("000", 1), (None, 1), (None, 2)):
            camera.pulse(image)
            assert camera.fetch().grey == grey
        assert camera.send("image 003") == "ok"
        camera.pulse()
        assert camera.fetch().grey == 4


def test_folders_may_be_nested_deeply_and_be_named_like_an_image(tmp_path: Path) -> None:
    name = "lot.pgm/" + "/".join("abcdefghijkl") + "/x"
    write_pnm(tmp_path / "cam0" / f"{name}.pgm", np.full((16, 32), 9, np.uint8))
    with opened(tmp_path) as camera:
        camera.triggered()
        camera.pulse(name)
        assert camera.fetch().grey == 9


def test_a_burst_of_pulses_loses_none(tmp_path: Path) -> None:
    flat_images(tmp_path, count=8)
    with opened(tmp_path) as camera:
        camera.triggered(exposure_us=3000)
        for n in range(8):
            camera.pulse(f"{n:03d}")
        shots = camera.fetch_many(8)
    assert [shot.grey for shot in shots] == [1, 2, 3, 4, 5, 6, 7, 8]
    starts = [shot.timestamp_ns for shot in shots]
    assert min(b - a for a, b in itertools.pairwise(starts)) >= 3_000_000


def test_pulses_beyond_the_queue_are_counted(tmp_path: Path) -> None:
    flat_images(tmp_path)
    with opened(tmp_path) as camera:
        camera.triggered(exposure_us=10_000_000)
        camera.pulse()
        wait_for(lambda: camera.status()["exposures"] == "1", "the sensor to take it from the queue")
        for _ in range(19):
            camera.pulse()
        status = camera.status()
    assert (status["exposures"], status["pending"], status["overlapped"]) == ("1", "16", "3")


@pytest.mark.parametrize("why", ["idle", "free run", "other source"])
def test_a_pulse_that_nothing_waits_for_is_missed(tmp_path: Path, why: str) -> None:
    flat_images(tmp_path)
    with opened(tmp_path) as camera:
        if why == "free run":
            camera.acquirer.start()
        elif why == "other source":
            camera.triggered("Software")
        camera.pulse()
        status = camera.status()
    assert (status["triggers"], status["missed"], status["pending"]) == ("1", "1", "0")


def test_two_devices_stream_side_by_side(tmp_path: Path) -> None:
    flat_images(tmp_path, "left", count=1)
    flat_images(tmp_path, "right", count=1)
    write_pnm(tmp_path / "right" / "000.pgm", np.full((8, 8), 200, np.uint8))
    with producer(tmp_path) as harvester:
        acquirers = [harvester.create({"id_": name}) for name in ("left", "right")]
        for acquirer in acquirers:
            acquirer.start()
        seen = []
        for acquirer in (*acquirers, *acquirers):
            with acquirer.fetch(timeout=5) as buffer:
                part = buffer.payload.components[0]
                seen.append((part.width, int(part.data[0])))
        with pytest.raises(genicam.gentl.ResourceInUseException):
            harvester.create(0)
        for acquirer in acquirers:
            acquirer.destroy()
    assert seen == [(32, 1), (8, 200)] * 2


# ---- pixels ----


def _mosaic(rgb: np.ndarray) -> np.ndarray:
    mosaic = rgb[:, :, 1].copy()
    mosaic[0::2, 0::2] = rgb[0::2, 0::2, 0]
    mosaic[1::2, 1::2] = rgb[1::2, 1::2, 2]
    return mosaic


@pytest.mark.parametrize(
    ("source", "pixel_format", "expected"),
    [
        (COLOUR, "RGB8", COLOUR),
        (COLOUR, "Mono8", cv2.cvtColor(COLOUR, cv2.COLOR_RGB2GRAY)),
        (COLOUR, "BayerRG8", _mosaic(COLOUR)),
        (COLOUR[:, :, 0], "Mono8", COLOUR[:, :, 0]),
        (COLOUR[:, :, 0], "BayerRG8", COLOUR[:, :, 0]),
        (COLOUR[:, :, 0], "RGB8", np.repeat(COLOUR[:, :, :1], 3, axis=2)),
    ],
    ids=["rgb-rgb", "rgb-mono", "rgb-bayer", "mono-mono", "mono-bayer", "mono-rgb"],
)
def test_images_are_converted_to_the_pixel_format(
    tmp_path: Path, source: np.ndarray, pixel_format: str, expected: np.ndarray
) -> None:
    write_pnm(tmp_path / "cam0" / ("a.pgm" if source.ndim == 2 else "a.ppm"), source)
    with opened(tmp_path) as camera:
        camera.nodes.PixelFormat.value = pixel_format
        assert camera.nodes.PayloadSize.value == expected.size
        camera.acquirer.start()
        shot = camera.fetch()
    assert shot.pixel_format == pixel_format
    np.testing.assert_array_equal(shot.pixels, expected)


@pytest.mark.parametrize(
    ("width", "height", "left", "top"),
    [(5, 4, 0, 0), (5, 4, 3, 2), (20, 12, 0, 0), (9, 9, 8, 6), (4, 4, 100, 100)],
)
def test_an_image_is_cut_or_filled_up_to_the_size(
    tmp_path: Path, width: int, height: int, left: int, top: int
) -> None:
    write_pnm(tmp_path / "cam0" / "a.ppm", COLOUR)
    wanted = np.zeros((200, 200, 3), np.uint8)
    wanted[:10, :14] = COLOUR
    with opened(tmp_path) as camera:
        camera.nodes.PixelFormat.value = "RGB8"
        camera.nodes.Width.value, camera.nodes.Height.value = width, height
        camera.nodes.OffsetX.value, camera.nodes.OffsetY.value = left, top
        camera.acquirer.start()
        pixels = camera.fetch().pixels
    np.testing.assert_array_equal(pixels, wanted[top : top + height, left : left + width])


def test_a_mosaic_begins_with_red_wherever_the_frame_begins(tmp_path: Path) -> None:
    write_pnm(tmp_path / "cam0" / "a.ppm", COLOUR)
    with opened(tmp_path) as camera:
        camera.nodes.PixelFormat.value = "BayerRG8"
        camera.nodes.Width.value, camera.nodes.Height.value = 6, 4
        camera.nodes.OffsetX.value, camera.nodes.OffsetY.value = 3, 5
        camera.acquirer.start()
        np.testing.assert_array_equal(camera.fetch().pixels, _mosaic(COLOUR[5:9, 3:9]))


def test_an_unreadable_image_shows_black(tmp_path: Path) -> None:
    flat_images(tmp_path, count=1)
    (tmp_path / "cam0" / "broken.pgm").write_bytes(b"P5 32 16 255\n")
    with opened(tmp_path) as camera:
        camera.triggered()
        camera.pulse("broken")
        assert not camera.fetch().pixels.any()


# ---- chunks ----


def test_chunks_tell_id_time_and_exposure(tmp_path: Path) -> None:
    flat_images(tmp_path)
    with opened(tmp_path) as camera:
        camera.nodes.ChunkModeActive.value = True
        assert camera.nodes.PayloadSize.value == 16 * 32 + 3 * 8
        camera.triggered(exposure_us=123)
        for expected in (1, 2):
            camera.pulse()
            with camera.acquirer.fetch(timeout=5) as buffer:
                assert camera.nodes.ChunkFrameID.value == buffer.module.frame_id == expected
                assert camera.nodes.ChunkTimestamp.value == buffer.module.timestamp_ns
                assert camera.nodes.ChunkExposureTime.value == 123


def test_a_chunk_can_be_left_out(tmp_path: Path) -> None:
    flat_images(tmp_path)
    with opened(tmp_path) as camera:
        camera.nodes.ChunkModeActive.value = True
        camera.nodes.ChunkSelector.value = "Timestamp"
        camera.nodes.ChunkEnable.value = False
        camera.nodes.ChunkSelector.value = "FrameID"
        assert camera.nodes.ChunkEnable.value
        assert camera.nodes.PayloadSize.value == 16 * 32 + 2 * 8
        camera.triggered(exposure_us=55)
        camera.pulse()
        with camera.acquirer.fetch(timeout=5):
            assert camera.nodes.ChunkFrameID.value == 1
            assert camera.nodes.ChunkExposureTime.value == 55
            with pytest.raises(genicam.genapi.GenericException):
                _ = camera.nodes.ChunkTimestamp.value


# ---- buffers ----


@pytest.mark.parametrize(
    ("mode", "kept"),
    [("OldestFirst", [1, 2, 3, 4]), ("OldestFirstOverwrite", [7, 8, 9, 10]), ("NewestOnly", [10])],
)
def test_the_handling_mode_decides_which_frames_are_lost(tmp_path: Path, mode: str, kept: list[int]) -> None:
    flat_images(tmp_path)
    with opened(tmp_path) as camera:
        camera.acquirer.num_buffers = 4
        camera.stream.node_map.StreamBufferHandlingMode.value = mode
        camera.triggered(exposure_us=10)
        for _ in range(10):
            camera.pulse()
        # The last frame has been sent, and its buffer is filled.
        wait_for(
            lambda: (now := camera.status())["sent"] == "10" and int(now["queued"]) + int(now["ready"]) == 4,
            "ten frames on the wire",
        )
        assert camera.stream.node_map.StreamLostFrameCount.value == 10 - len(kept)
        assert camera.stream.module.num_underrun == 10 - len(kept)
        assert [camera.fetch().frame_id for _ in kept] == kept
        assert camera.stream.module.num_delivered == len(kept)
        # The buffers are free again, all of them: nothing more is lost.
        assert camera.status()["queued"] == "4"
        camera.pulse()
        assert camera.fetch().frame_id == 11
        assert camera.stream.module.num_underrun == 10 - len(kept)


@pytest.mark.parametrize("mode", ["OldestFirst", "OldestFirstOverwrite", "NewestOnly"])
def test_a_flush_hands_all_empty_buffers_over(tmp_path: Path, mode: str) -> None:
    flat_images(tmp_path)
    with opened(tmp_path) as camera:
        camera.acquirer.num_buffers = 4
        camera.stream.node_map.StreamBufferHandlingMode.value = mode
        camera.triggered()
        camera.stream.module.flush_buffer_queue(genicam.gentl.ACQ_QUEUE_TYPE_LIST.ACQ_QUEUE_INPUT_TO_OUTPUT)
        status = camera.status()
        assert (status["queued"], status["ready"], status["underrun"]) == ("0", "4", "0")
