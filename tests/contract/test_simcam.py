"""simcam behaves as a GenICam camera: built, found and configured through harvesters."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
from pathlib import Path

import genicam.genapi
import genicam.gentl
import pytest

from tests.contract.simcam_rig import flat_images, opened, producer
from tests.support.producers import SIMCAM, simcam_cti

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
