"""The values around a camera, and how one is found among several."""

import dataclasses
import json
from pathlib import Path

import pytest

from inspector.camera.base import (
    CameraInfo,
    CameraSettings,
    DeviceInfo,
    find_device,
    make_camera,
    unknown_feature,
)
from inspector.camera.supervisor import settings_of
from inspector.config.schema import CameraConfig, DeviceConfig, RealtimeConfig
from inspector.errors import CameraError, DeviceError

DEVICES = [
    DeviceInfo("11", "acA1920", "top", "Basler", "a"),
    DeviceInfo("12", "acA1920", "", "Basler", "b"),
]


def test_a_device_is_found_by_each_of_its_names() -> None:
    assert find_device(DEVICES, "serial_number", "12") == 1
    assert find_device(DEVICES, "user_defined_name", "top") == 0


def test_a_name_of_several_devices_asks_for_the_serial_number() -> None:
    with pytest.raises(
        DeviceError, match=r"^2 cameras have model 'acA1920': .*serial 11, name top.*; name one of them"
    ):
        find_device(DEVICES, "model", "acA1920")


def test_a_name_of_none_lists_those_present() -> None:
    with pytest.raises(
        DeviceError, match=r"present: Basler acA1920 \(serial 11, name top\); Basler acA1920 \(serial 12\)"
    ):
        find_device(DEVICES, "serial_number", "13")


def test_settings_and_info_survive_json() -> None:
    config = CameraConfig(
        producer="lib/x.cti",
        device=DeviceConfig(model="acA1920"),
        features={"TriggerMode": True, "Gain": 1.5, "Width": 640, "PixelFormat": "Mono8"},
        silence_ms=500.0,
    )
    settings = settings_of(config, Path("/etc/inspector"), RealtimeConfig(fifo_priority=50, stay_awake=True))
    assert settings.producer == "/etc/inspector/lib/x.cti"
    assert (settings.device_key, settings.device_value, settings.fifo_priority) == ("model", "acA1920", 50)
    assert (settings.stay_awake, settings.lock_memory) == (True, False)
    again = CameraSettings(**json.loads(json.dumps(settings.to_json())))
    assert again == settings
    assert list(again.features) == ["TriggerMode", "Gain", "Width", "PixelFormat"], (
        "the order is the order of setting"
    )
    info = CameraInfo(DEVICES[0], 640, 480, "RGB8", {"Gain": 1.5})
    assert CameraInfo.from_json(json.loads(json.dumps(dataclasses.asdict(info)))) == info


def test_an_unknown_backend_names_those_there_are() -> None:
    with pytest.raises(CameraError, match="no camera backend 'aravis': one of genicam, replay"):
        make_camera(CameraSettings("aravis", "", "model", "x"))


def test_an_unknown_feature_far_from_all_points_to_the_manual() -> None:
    assert "see the camera's manual" in str(unknown_feature("Zzz", ["Width", "Height"]))
