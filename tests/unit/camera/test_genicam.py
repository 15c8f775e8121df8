"""What a GenICam camera is asked before it starts, and of each buffer, on a node map and buffers of the test's."""

from typing import cast

import pytest
from genicam import gentl

from inspector.camera.base import CameraSettings, DeviceInfo, FeatureValue
from inspector.camera.features import NodeMap
from inspector.camera.genicam import GenicamCamera
from inspector.errors import FeatureError

MONO8, BAYER_RG8 = 0x01080001, 0x01080009  # PFNC
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


class Buffer:
    """A delivered buffer. What is named in `lacks` is not there now; what is in `never`, the producer does not know."""

    def __init__(
        self,
        other: dict[str, object] | None = None,
        *,
        lacks: str = "",
        never: str = "",
        complete: bool = True,
    ) -> None:
        self._complete = complete
        self._lacks, self._never = lacks.split(), never.split()
        self._fields = {
            "frame_id": 1,
            "width": 8,
            "height": 4,
            "pixel_format": MONO8,
            "size_filled": 32,
            "padding_x": 0,
            "image_offset": 0,
            "raw_buffer": bytes(32),
            "timestamp_ns": 7,
        } | (other or {})

    def is_complete(self) -> bool:
        return self._complete

    def __getattr__(self, name: str) -> object:
        if name in self._never:
            raise gentl.NotImplementedException(name)
        if name in self._lacks:
            raise gentl.NotAvailableException(name)
        return self._fields[name]


@pytest.fixture
def camera() -> GenicamCamera:
    camera = GenicamCamera(CameraSettings("genicam", "/x.cti", "model", "colour", {}))
    camera._nodes = cast("NodeMap", Nodes(Width=8, Height=4, PixelFormat="Mono8"))
    camera._info = camera._geometry(DEVICE, {})
    return camera


TURNED, BAYER = {"width": 4, "height": 8}, {"pixel_format": BAYER_RG8}


@pytest.mark.parametrize("other", [TURNED, BAYER])
@pytest.mark.parametrize("complete", [True, False])
def test_one_buffer_without_an_image_does_not_make_us_believe_the_next(
    camera: GenicamCamera, other: dict[str, object], complete: bool
) -> None:
    """Its width is not there at that moment, which says nothing of what the producer tells of others."""
    assert camera._describe(Buffer(), 1).pixels is not None
    bare = camera._describe(Buffer(lacks="width height pixel_format", complete=complete), 2)
    assert (bare.complete, bare.pixels) == (False, None)
    assert camera._describe(Buffer(other), 3).pixels is None
    assert camera._describe(Buffer(), 4).pixels is not None


@pytest.mark.parametrize("other", [TURNED, BAYER])
def test_a_stream_that_begins_with_an_incomplete_buffer_is_looked_at_as_closely(
    camera: GenicamCamera, other: dict[str, object]
) -> None:
    camera._describe(Buffer(lacks="width height pixel_format", complete=False), 1)
    assert camera._describe(Buffer(other), 2).pixels is None


@pytest.mark.parametrize("how", ["lacks", "never"])
def test_what_a_producer_never_tells_is_taken_as_agreed(camera: GenicamCamera, how: str) -> None:
    lacking = {how: "pixel_format padding_x image_offset timestamp_ns"}
    for t_arrival_ns in (1, 2):
        raw = camera._describe(Buffer(**lacking), t_arrival_ns)  # type: ignore[arg-type]
        assert (raw.complete, raw.pixel_format, raw.t_device_ns) == (True, "Mono8", 0)
        assert raw.pixels is not None
