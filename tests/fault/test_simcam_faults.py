"""simcam makes the faults of cameras, cables and buses on demand, and says so in its counters."""

from __future__ import annotations

import socket
from pathlib import Path

import genicam.genapi
import genicam.gentl
import pytest

from tests.contract.simcam_rig import Camera, flat_images, opened
from tests.support.waiting import wait_for


def _pulses(camera: Camera, count: int) -> None:
    for _ in range(count):
        camera.pulse()


def test_lost_frames_leave_a_gap_in_the_ids(tmp_path: Path) -> None:
    flat_images(tmp_path)
    with opened(tmp_path) as camera:
        camera.triggered()
        assert camera.send("lose 2") == "ok"
        _pulses(camera, 4)
        assert [shot.frame_id for shot in camera.fetch_many(2)] == [3, 4]
        status = camera.status()
        assert (status["exposures"], status["sent"], status["withheld"]) == ("4", "2", "2")
        assert camera.stream.module.num_underrun == 0


def test_an_incomplete_frame_is_marked(tmp_path: Path) -> None:
    flat_images(tmp_path)
    with opened(tmp_path) as camera:
        camera.triggered()
        assert camera.send("incomplete") == "ok"
        _pulses(camera, 2)
        assert camera.fetch().frame_id == 2
        assert camera.incomplete == 1
        assert camera.status()["sent"] == "2"


def test_a_late_frame_holds_up_those_behind_it(tmp_path: Path) -> None:
    flat_images(tmp_path)
    with opened(tmp_path) as camera:
        camera.triggered(exposure_us=100)
        # So late that a machine that stalls does not look too late.
        assert camera.send("late 600") == "ok"
        _pulses(camera, 2)
        assert camera.is_quiet(0.05)
        first, second = camera.fetch_many(2)
        assert (first.frame_id, second.frame_id) == (1, 2)
        camera.nodes.TimestampLatch.execute()
        assert camera.nodes.TimestampLatchValue.value - first.timestamp_ns >= 600_000_000
        assert second.timestamp_ns - first.timestamp_ns < 600_000_000  # the sensor did not wait


def test_a_frame_comes_twice(tmp_path: Path) -> None:
    flat_images(tmp_path)
    with opened(tmp_path) as camera:
        camera.triggered()
        assert camera.send("twice") == "ok"
        _pulses(camera, 2)
        assert [(shot.frame_id, shot.grey) for shot in camera.fetch_many(3)] == [(1, 1), (1, 1), (2, 2)]


def test_two_frames_come_in_reverse_order(tmp_path: Path) -> None:
    flat_images(tmp_path, count=6)
    with opened(tmp_path) as camera:
        camera.triggered()
        assert camera.send("swap 2") == "ok"
        camera.pulse()
        assert camera.is_quiet(0.03)  # it waits to be overtaken
        _pulses(camera, 5)
        shots = camera.fetch_many(6)
    assert [shot.frame_id for shot in shots] == [2, 1, 4, 3, 5, 6]
    assert [shot.grey for shot in shots] == [2, 1, 4, 3, 5, 6]


def test_a_silent_camera_counts_on(tmp_path: Path) -> None:
    flat_images(tmp_path)
    with opened(tmp_path) as camera:
        camera.triggered()
        assert camera.send("silent on") == "ok"
        _pulses(camera, 3)
        wait_for(lambda: camera.status()["withheld"] == "3", "three frames that are not sent")
        assert camera.is_quiet(0.03)
        assert camera.send("silent off") == "ok"
        camera.pulse()
        assert camera.fetch().frame_id == 4
        assert camera.status()["triggers"] == "4"


def test_a_lost_device_fails_until_it_is_back(tmp_path: Path) -> None:
    flat_images(tmp_path)
    with opened(tmp_path) as camera:
        camera.triggered()
        assert camera.send("device lost") == "ok"
        with pytest.raises(genicam.gentl.IoException, match="cam0 is lost"):
            _ = camera.nodes.Width.value
        with pytest.raises(genicam.gentl.IoException, match="cam0 is lost"):
            camera.nodes.TriggerSoftware.execute()
        camera.pulse()
        assert camera.is_quiet(0.03)
        assert camera.status()["missed"] == "1"
        assert camera.send("device back") == "ok"
        assert camera.nodes.Width.value == 32
        assert camera.status()["acquiring"] == "0"  # it has to be started again
        camera.acquirer.stop()
        camera.acquirer.start()
        camera.pulse()
        assert camera.fetch().frame_id == 1


def test_a_width_that_changes_while_streaming(tmp_path: Path) -> None:
    flat_images(tmp_path)
    with opened(tmp_path) as camera:
        camera.triggered()
        assert camera.send("width 20") == "ok"
        camera.pulse()
        assert camera.fetch().pixels.shape == (16, 20)
        # Too large for the buffers: delivered as far as it goes, and marked incomplete.
        assert camera.send("width 64") == "ok"
        camera.pulse()
        assert camera.nodes.Width.value == 64
        wait_for(lambda: camera.status()["sent"] == "2", "the frame that is too large")
        assert camera.send("width 20") == "ok"
        camera.pulse()
        assert camera.fetch().frame_id == 3
        assert camera.incomplete == 1


def test_faults_can_be_called_off(tmp_path: Path) -> None:
    flat_images(tmp_path)
    with opened(tmp_path) as camera:
        camera.triggered()
        for fault in ("lose", "incomplete", "twice", "swap", "late 10000"):
            assert camera.send(fault) == "ok"
            assert camera.send(f"{fault} 0") == "ok"
        camera.pulse()
        assert camera.fetch().frame_id == 1
        assert camera.is_quiet(0.03)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("", "there is no command ''"),
        ("explode", "there is no command 'explode'"),
        ("lose many", "expected a number, came 'many'"),
        ("lose -1", "expected a number, came '-1'"),
        ("late", "expected 'late MS [N]'"),
        ("late 0", "expected a number, came '0'"),
        ("width 0", "expected a number, came '0'"),
        ("width 40000", "out of range"),
        ("silent", "expected 'silent on' or 'silent off', came ''"),
        ("device gone", "expected 'device lost' or 'device back', came 'gone'"),
        ("image 999", "no image of this name (path under the folder, without extension): '999'"),
        (
            "pulse image=000.pgm",
            "no image of this name (path under the folder, without extension): '000.pgm'",
        ),
        ("pulse now", "expected 'pulse' or 'pulse image=NAME', came 'now'"),
        ("x" * 5000, "there is no command 'xxx"),
    ],
)
def test_a_wrong_command_is_answered_and_does_nothing(tmp_path: Path, line: str, answer: str) -> None:
    flat_images(tmp_path)
    with opened(tmp_path) as camera:
        camera.triggered()
        before = camera.status()
        reply = camera.send(line)
        assert reply.startswith("error ")
        assert answer in reply
        assert camera.status() == before
        camera.pulse()
        assert camera.fetch().frame_id == 1


def test_a_sender_without_address_gets_no_answer_and_is_obeyed(tmp_path: Path) -> None:
    flat_images(tmp_path)
    with opened(tmp_path) as camera, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        camera.triggered()
        sender.sendto(b"pulse\n", str(tmp_path / "cam0.sock"))
        assert camera.fetch().frame_id == 1
