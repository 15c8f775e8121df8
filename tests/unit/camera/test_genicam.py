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


def geometry(pixel_format: str, features: dict[str, FeatureValue], width: int = 8) -> tuple[int, int, str]:
    """Return what a camera that sends `pixel_format` says of itself."""
    camera = GenicamCamera(CameraSettings("genicam", "/x.cti", "model", "colour", features))
    camera._nodes = cast("NodeMap", Nodes(Width=width, Height=4, PixelFormat=pixel_format))
    info = camera._geometry(DEVICE, {})
    return info.width, info.height, info.pixel_format


@pytest.mark.parametrize("pixel_format", ["Mono8", "RGB8", "BayerGB8", "Mono12p", "BayerRG10"])
def test_a_format_that_the_engine_takes_need_not_be_stated(pixel_format: str) -> None:
    assert geometry(pixel_format, {}) == (8, 4, pixel_format)


def test_a_format_that_the_engine_does_not_take_is_refused() -> None:
    with pytest.raises(FeatureError, match="PixelFormat is YUV422_8, expected Mono, BayerRG"):
        geometry("YUV422_8", {})


def test_a_width_that_cuts_a_packed_group_is_refused() -> None:
    with pytest.raises(FeatureError, match="Mono10p packs 4 pixels into 5 bytes, and a Width of 10"):
        geometry("Mono10p", {}, width=10)
