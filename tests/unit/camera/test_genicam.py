"""What a GenICam camera is asked before it starts, on a node map of the test's."""

from typing import cast

import pytest

from inspector.camera.base import CameraSettings, DeviceInfo, FeatureValue
from inspector.camera.features import NodeMap
from inspector.camera.genicam import GenicamCamera
from inspector.errors import FeatureError

DEVICE = DeviceInfo("001", "colour", "", "Vendor", "id")


class Nodes(dict[str, FeatureValue]):
    def value(self, name: str) -> FeatureValue:
        return self[name]

    def allowed(self, name: str) -> str:
        return f"one of {self[name]}"


def geometry(pixel_format: str, features: dict[str, FeatureValue]) -> tuple[int, int, str]:
    """Return what a camera that sends `pixel_format` says of itself."""
    camera = GenicamCamera(CameraSettings("genicam", "/x.cti", "model", "colour", features))
    camera._nodes = cast("NodeMap", Nodes(Width=8, Height=4, PixelFormat=pixel_format))
    info = camera._geometry(DEVICE, {})
    return info.width, info.height, info.pixel_format


@pytest.mark.parametrize("pixel_format", ["Mono8", "RGB8"])
def test_a_format_that_the_engine_sees_by_itself_need_not_be_stated(pixel_format: str) -> None:
    assert geometry(pixel_format, {}) == (8, 4, pixel_format)


def test_a_bayer_camera_must_be_stated_since_its_frames_look_like_mono() -> None:
    assert geometry("BayerRG8", {"PixelFormat": "BayerRG8"}) == (8, 4, "BayerRG8")
    others: list[dict[str, FeatureValue]] = [{}, {"PixelFormat": "Mono8"}]
    for features in others:
        with pytest.raises(
            FeatureError, match=r"PixelFormat is BayerRG8 by itself: set it in camera\.features"
        ):
            geometry("BayerRG8", features)


def test_a_format_that_the_engine_does_not_take_is_refused() -> None:
    with pytest.raises(FeatureError, match="expected one of Mono8, BayerRG8, RGB8"):
        geometry("Mono12p", {})
