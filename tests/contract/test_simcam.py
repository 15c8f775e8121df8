"""simcam behaves as a GenICam camera: found, configured, triggered and fetched through harvesters."""

from __future__ import annotations

import gc
import itertools
import os
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import genicam.genapi
import genicam.gentl
import numpy as np
import pytest

from tests.contract.simcam_rig import flat_images, opened, producer, write_pnm
from tests.support.producers import SIMCAM, simcam_cti
from tests.support.waiting import wait_for

COLOUR = np.random.default_rng(7).integers(0, 256, (10, 14, 3), dtype=np.uint8)


# ---- finding and opening ----


def test_every_folder_is_a_device(tmp_path: Path) -> None:
    flat_images(tmp_path, "left")
    flat_images(tmp_path, "right")
    (tmp_path / "right" / "device.conf").write_text("serial = 4711\nmodel=acA640\n")
    (tmp_path / "notes.txt").write_text("not a folder")
    with producer(tmp_path) as harvester:
        found = [
            (info.id_, info.user_defined_name, info.serial_number, info.model, info.vendor, info.display_name)
            for info in harvester.device_info_list
        ]
    assert found == [
        ("left", "left", "SIM-left", "simcam", "Inspector", "simcam (SIM-left)"),
        ("right", "right", "4711", "acA640", "Inspector", "acA640 (4711)"),
    ]


def test_without_a_root_there_are_three_devices_with_a_moving_pattern() -> None:
    with producer(None) as harvester:
        assert [info.id_ for info in harvester.device_info_list] == ["simcam_a", "simcam_b", "simcam_c"]
        acquirer = harvester.create(1)
        with pytest.raises(genicam.gentl.ResourceInUseException):
            harvester.create(1)
        acquirer.start()
        rows = []
        for _ in range(2):
            with acquirer.fetch(timeout=5) as buffer:
                rows.append(buffer.payload.components[0].data[:640].copy())
        acquirer.destroy()
    assert (rows[0] != rows[1]).any()


def test_a_root_without_folders_has_no_devices(tmp_path: Path) -> None:
    with producer(tmp_path) as harvester:
        assert harvester.device_info_list == []


def test_the_size_follows_the_first_image_and_device_conf(tmp_path: Path) -> None:
    flat_images(tmp_path, shape=(16, 32))
    with opened(tmp_path) as camera:
        assert (camera.nodes.Width.value, camera.nodes.Height.value) == (32, 16)
        assert (camera.nodes.SensorWidth.value, camera.nodes.SensorHeight.value) == (32, 16)
    (tmp_path / "cam0" / "device.conf").write_text(
        "# defaults\nheight=8\npixel_format=RGB8\nExposureTime=250\n"
    )
    with opened(tmp_path) as camera:
        assert (camera.nodes.Width.value, camera.nodes.Height.value) == (32, 8)
        assert (camera.nodes.PixelFormat.value, camera.nodes.ExposureTime.value) == ("RGB8", 250)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("sreial=1", "sreial"),
        ("width=0", "Width"),
        ("width=a", "Width"),
        ("ExposureTime=nan", "ExposureTime"),
        ("pixel_format=Mono7", "Mono7"),
        ("x", "key=value"),
    ],
)
def test_a_wrong_device_conf_is_refused_with_the_key(tmp_path: Path, line: str, complaint: str) -> None:
    flat_images(tmp_path)
    (tmp_path / "cam0" / "device.conf").write_text(line)
    with producer(tmp_path) as harvester, pytest.raises(genicam.gentl.GenericException, match=complaint):
        harvester.create(0)


def test_a_first_image_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cam0").mkdir()
    (tmp_path / "cam0" / "a.pgm").write_bytes(b"P5 100 100 255\ntoo short")
    with producer(tmp_path) as harvester, pytest.raises(genicam.gentl.IoException, match="first image"):
        harvester.create(0)


def test_a_device_that_another_process_has_is_busy(tmp_path: Path) -> None:
    flat_images(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, producer(tmp_path) as harvester:
        other.bind(str(tmp_path / "cam0.sock"))
        with pytest.raises(genicam.gentl.ResourceInUseException):
            harvester.create(0)


def test_a_socket_left_by_a_killed_process_does_not_matter(tmp_path: Path) -> None:
    flat_images(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(tmp_path / "cam0.sock"))
    with opened(tmp_path) as camera:
        assert camera.status()["device"] == "present"
    assert not (tmp_path / "cam0.sock").exists()


def test_a_socket_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    root = tmp_path / ("x" * 100)
    flat_images(root)
    with producer(root) as harvester, pytest.raises(genicam.gentl.IoException, match="longer than 107"):
        harvester.create(0)


def test_sockets_can_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMCAM_SOCKET_DIR", str(tmp_path))
    with producer(None) as harvester:
        acquirer = harvester.create({"id_": "simcam_b"})
        assert (tmp_path / "simcam_b.sock").is_socket()
        acquirer.destroy()
        assert not (tmp_path / "simcam_b.sock").exists()


def test_opening_and_closing_leaves_no_descriptor_and_no_thread(tmp_path: Path) -> None:
    flat_images(tmp_path)

    def count() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))  # noqa: PTH208

    with producer(tmp_path) as harvester:
        gc.collect()  # what earlier tests left must not go while we count
        before = count()
        for _ in range(5):
            acquirer = harvester.create(0)
            acquirer.start()
            acquirer.fetch(timeout=5).queue()
            assert count() > before
            acquirer.destroy()
        assert count() == before


# ---- features ----


def test_every_feature_of_the_description_can_be_used(tmp_path: Path) -> None:
    flat_images(tmp_path)
    chunks = {"ChunkFrameID", "ChunkTimestamp", "ChunkExposureTime"}  # there with a frame only
    with opened(tmp_path) as camera:
        maps = [
            camera.nodes,
            camera.stream.node_map,
            *(
                module.node_map
                for module in (camera.acquirer.device, camera.acquirer.interface, camera.acquirer.system)
            ),
        ]
        names = [name for nodes in maps for category in nodes.Root.features for name in _usable(category)]
    assert len(names) > 60
    assert chunks <= set(names)


def _usable(category: genicam.genapi.ICategory) -> list[str]:
    for node in category.features:
        mode = node.get_access_mode()
        if node.node.name.startswith("Chunk") and node.node.name[5:] in {
            "FrameID",
            "Timestamp",
            "ExposureTime",
        }:
            continue
        assert mode in {
            genicam.genapi.EAccessMode.RO,
            genicam.genapi.EAccessMode.RW,
            genicam.genapi.EAccessMode.WO,
        }
        if mode != genicam.genapi.EAccessMode.WO:
            assert node.to_string() is not None
    return [node.node.name for node in category.features]


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        ("Width", 0),
        ("Width", 99999),
        ("ExposureTime", 0.5),
        ("AcquisitionFrameRate", 20000),
        ("PixelFormat", "Mono7"),
    ],
)
def test_a_value_out_of_range_is_refused(tmp_path: Path, feature: str, value: object) -> None:
    flat_images(tmp_path)
    with opened(tmp_path) as camera, pytest.raises(genicam.genapi.GenericException):
        getattr(camera.nodes, feature).value = value


def test_the_size_is_locked_while_streaming(tmp_path: Path) -> None:
    flat_images(tmp_path)
    with opened(tmp_path) as camera:
        camera.acquirer.start()
        with pytest.raises(genicam.genapi.GenericException):
            camera.nodes.Width.value = 8
        camera.acquirer.stop()
        camera.nodes.Width.value = 8
        assert camera.nodes.Width.value == 8


def test_the_temperature_and_the_clock_can_be_read(tmp_path: Path) -> None:
    flat_images(tmp_path)
    with opened(tmp_path) as camera:
        assert 29 < camera.nodes.DeviceTemperature.value < 43
        camera.nodes.TimestampLatch.execute()
        first = camera.nodes.TimestampLatchValue.value
        camera.nodes.TimestampLatch.execute()
        assert 0 < first <= camera.nodes.TimestampLatchValue.value


def test_the_camera_itself_refuses_what_an_application_should_not_write(tmp_path: Path) -> None:
    """Behind the back of the node map, which would have refused it before."""
    flat_images(tmp_path)
    with opened(tmp_path) as camera:
        for value in (0, 99999):
            with pytest.raises(genicam.gentl.InvalidValueException, match="Width must be 1 to 32768"):
                camera.nodes.WidthReg.value = value
        with pytest.raises(genicam.gentl.InvalidValueException, match="PixelFormat has no entry"):
            camera.nodes.PixelFormatReg.value = 1
        with pytest.raises(genicam.gentl.AccessDeniedException, match="PayloadSize is read-only"):
            camera.acquirer.remote_device.port.write(camera.nodes.PayloadSizeReg.address, bytes(8))
        with pytest.raises(genicam.gentl.InvalidAddressException, match="no register of 2 bytes"):
            camera.acquirer.remote_device.port.write(camera.nodes.WidthReg.address, bytes(2))
        camera.acquirer.start()
        with pytest.raises(genicam.gentl.AccessDeniedException, match="Width is locked"):
            camera.nodes.WidthReg.value = 8


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


# ---- building ----


def test_a_second_build_does_nothing() -> None:
    before = simcam_cti().stat().st_mtime_ns
    subprocess.run([str(SIMCAM / "build")], check=True, capture_output=True, timeout=60)
    assert simcam_cti().stat().st_mtime_ns == before


def test_a_build_without_a_compiler_says_what_to_install(tmp_path: Path) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    for tool in ("sh", "find", "dirname", "mkdir", "sort"):
        (bare / tool).symlink_to(Path("/usr/bin") / tool)
    copy = tmp_path / "tools" / "simcam"
    copy.mkdir(parents=True)
    (copy / "build").write_bytes((SIMCAM / "build").read_bytes())
    result = subprocess.run(
        ["/bin/sh", str(copy / "build")],
        env={"PATH": str(bare)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "simcam needs a C compiler: install gcc, or pip install ziglang into .venv"
    ]


@pytest.mark.slow
@pytest.mark.timeout(300)  # its first run on a machine builds the C library too
def test_the_compiler_of_the_wheel_builds_it_too(tmp_path: Path) -> None:
    pytest.importorskip("ziglang", reason="the wheel ziglang is not installed")
    folder = tmp_path / "a path with spaces"
    folder.mkdir()
    for path in (*SIMCAM.glob("*.[ch]"), SIMCAM / "build"):
        (folder / path.name).write_bytes(path.read_bytes())
    subprocess.run(
        ["/bin/sh", str(folder / "build")],
        env={**os.environ, "CC": f"{sys.executable} -m ziglang cc"},
        check=True,
        capture_output=True,
        timeout=280,
    )
    assert (folder / "build-out" / "simcam.cti").stat().st_size > 10_000
