"""Playing image files: what the contract of all cameras does not cover."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.camera.base import CameraSettings, FeatureValue, RawFrame
from inspector.camera.replay import ReplayCamera
from inspector.clock import NS_PER_MS, ManualClock
from inspector.errors import CameraError, FeatureError

GREEN = np.zeros((6, 10, 3), np.uint8)
GREEN[..., 1] = 200  # the same in BGR and RGB
RED_BGR = np.zeros((6, 10, 3), np.uint8)
RED_BGR[..., 2] = 150


def camera(
    folder: Path, features: dict[str, FeatureValue] | None = None, clock: ManualClock | None = None
) -> ReplayCamera:
    return ReplayCamera(
        CameraSettings("replay", str(folder), "serial_number", folder.name, features or {}), clock
    )


def write(folder: Path, **images: NDArray[np.uint8]) -> None:
    for name, image in images.items():
        cv2.imwrite(str(folder / f"{name}.png"), image)


def play(replay: ReplayCamera, clock: ManualClock, count: int) -> list[RawFrame]:
    """Let time pass until so many frames came; pixels are copied."""
    frames: list[RawFrame] = []
    while len(frames) < count:
        clock.advance_ms(1000)
        replay.fetch(10, frames.append)
    return frames


def test_colour_comes_as_rgb(tmp_path: Path) -> None:
    write(tmp_path, a=RED_BGR)
    clock = ManualClock()
    replay = camera(tmp_path, {"PixelFormat": "RGB8"}, clock)
    info = replay.open()
    replay.start()
    assert (info.width, info.height, info.pixel_format, info.channels) == (10, 6, "RGB8", 3)
    (raw,) = play(replay, clock, 1)
    assert raw.pixels is not None
    assert raw.pixels.tolist() == [150, 0, 0] * 60


def test_an_unreadable_image_is_incomplete_and_another_size_is_told(tmp_path: Path) -> None:
    write(tmp_path, a=GREEN, c=GREEN[:, :4])
    (tmp_path / "b.png").write_bytes(b"no image")
    clock = ManualClock()
    replay = camera(tmp_path, clock=clock)
    replay.open()
    replay.start()
    frames = play(replay, clock, 4)
    assert [(f.frame_id, f.complete, f.width) for f in frames] == [
        (1, True, 10),
        (2, False, 0),
        (3, True, 4),
        (4, True, 10),
    ]


def test_it_keeps_its_rate(tmp_path: Path) -> None:
    write(tmp_path, a=GREEN)
    clock = ManualClock()
    replay = camera(tmp_path, {"AcquisitionFrameRate": 100}, clock)
    replay.open()
    replay.start()
    frames: list[RawFrame] = []
    for _ in range(100):
        replay.fetch(0, frames.append)
        clock.advance_ms(1)
    assert [f.t_arrival_ns for f in frames] == [n * 10 * NS_PER_MS for n in range(10)]


def test_a_first_image_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(CameraError, match=r"a\.png cannot be read"):
        camera(tmp_path).open()


@pytest.mark.parametrize(
    ("features", "told"),
    [
        ({"PixelFormat": "Mono12"}, "PixelFormat: expected one of Mono8, RGB8, got 'Mono12'"),
        ({"AcquisitionFrameRate": True}, "expected a number from 0.1 to 1000 Hz, got True"),
        ({"TriggerMode": "On"}, "TriggerMode: this camera has no such feature"),
    ],
)
def test_a_feature_that_it_cannot_play_is_refused(
    tmp_path: Path, features: dict[str, FeatureValue], told: str
) -> None:
    write(tmp_path, a=GREEN)
    with pytest.raises(FeatureError, match=told):
        camera(tmp_path, features).open()
