"""A camera whose frames no model can take is a warning as soon as it is up."""

import logging
from typing import Any, cast

import pytest

from inspector.camera.base import CameraInfo, DeviceInfo
from inspector.camera.life import CameraEvent
from inspector.camera_check import CameraCheck
from inspector.engine.preprocess import Geometry
from inspector.ring import RingReader


class Heard:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def on_up(self, generation: int, reader: RingReader, info: CameraInfo) -> None:
        self.calls.append(("up", generation, reader, info))

    def on_down(self, why: str) -> None:
        self.calls.append(("down", why))

    def on_event(self, event: CameraEvent) -> None:
        self.calls.append(("event", event))


def camera(width: int, height: int) -> CameraInfo:
    device = DeviceInfo(serial_number="1", model="b", user_defined_name="", vendor="a", device_id="")
    return CameraInfo(device, width, height, "Mono8", {})


@pytest.mark.parametrize(("size", "warned"), [((640, 480), True), ((300, 300), False)])
def test_frames_of_another_size_than_the_models_are_a_warning(
    size: tuple[int, int], warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    heard, info, reader = Heard(), camera(*size), cast("RingReader", None)
    check = CameraCheck(heard, lambda: Geometry(channels=1, width=256, height=256, frame=(300, 300)))
    with caplog.at_level(logging.WARNING):
        check.on_up(3, reader, info)
    assert heard.calls == [("up", 3, reader, info)]
    assert bool(caplog.records) is warned
    for record in caplog.records:
        why = vars(record)["why"]
        assert why.startswith("every part will be rejected as FRAME_BAD: expected frames of 300 x 300 pixels")
        assert "640 x 480" in why


def test_all_else_is_passed_on() -> None:
    heard, event = Heard(), CameraEvent("info", "camera_log")
    check = CameraCheck(heard, lambda: Geometry(channels=1, width=256, height=256))
    check.on_down("gone")
    check.on_event(event)
    assert heard.calls == [("down", "gone"), ("event", event)]
