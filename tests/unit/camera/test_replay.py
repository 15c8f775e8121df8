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
from inspector.pixels import PIXEL_FORMATS

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
    assert (info.width, info.height, info.pixel_format) == (10, 6, "RGB8")
    (raw,) = play(replay, clock, 1)
    assert raw.pixels is not None
    assert raw.pixels.tolist() == [150, 0, 0] * 60


@pytest.mark.parametrize(
    ("pixel_format", "first"),
    [
        ("BayerRG8", [150, 0, 150, 0]),  # red, green, red, green
        ("BayerGB8", [0, 0, 0, 0]),  # green, blue
        ("Mono12", [0xC0, 0x02, 0xC0, 0x02]),  # 44 of 256 is 704 of 4096
        ("Mono12p", [0xC0, 0x02, 0x2C, 0xC0]),
    ],
)
def test_it_plays_what_a_camera_of_that_format_would_send(
    tmp_path: Path, pixel_format: str, first: list[int]
) -> None:
    write(tmp_path, a=RED_BGR)
    clock = ManualClock()
    replay = camera(tmp_path, {"PixelFormat": pixel_format}, clock)
    replay.open()
    replay.start()
    (raw,) = play(replay, clock, 1)
    assert raw.pixels is not None
    assert raw.pixels[:4].tolist() == first
    assert len(raw.pixels) == 6 * PIXEL_FORMATS[pixel_format].line_bytes(10)


def test_a_file_of_sixteen_bits_holds_what_the_sensor_gave(tmp_path: Path) -> None:
    write(tmp_path, a=np.full((6, 10), 4000, np.uint16), b=np.full((6, 10), 5000, np.uint16))
    clock = ManualClock()
    replay = camera(tmp_path, {"PixelFormat": "Mono12"}, clock)
    replay.open()
    replay.start()
    shown = [raw.pixels.view("<u2")[0] for raw in play(replay, clock, 2) if raw.pixels is not None]
    assert shown == [4000, 4095]


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
        ({"PixelFormat": "Mono9"}, "PixelFormat: expected Mono, BayerRG.*got 'Mono9'"),
        ({"PixelFormat": "Mono10p"}, "Mono10p packs 4 pixels into 5 bytes, and a Width of 10"),
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
