"""What people see of the log: sentences where the station has one, warnings and errors whatever they are, nothing else."""

import pytest

from inspector.recorder.people import shown


@pytest.mark.parametrize(
    ("event", "fields", "text"),
    [
        ("link_up", {"level": "INFO"}, "<6>PLC up"),
        (
            "link_down",
            {"level": "ERROR", "why": "gone"},
            "<3>PLC down, it is tried again until it answers: gone",
        ),
        ("engine_ready", {"level": "INFO", "engine": "openvino"}, "<6>engine ready: openvino"),
        ("engine_ready", {"level": "WARNING"}, "<4>WARNING engine_ready"),
        ("camera_hot", {"level": "WARNING", "degrees": 71}, "<4>WARNING camera_hot degrees=71"),
        ("camera_down", {"level": "ERROR", "excerpt": "x"}, "<3>ERROR camera_down excerpt=x"),
        ("camera_down", {"level": "INFO", "why": "still"}, None),
        ("verdict", {"part_id": 1}, None),
        ("station_failed", {"level": "CRITICAL", "why": "said by the command itself"}, None),
    ],
)
def test_an_entry_is_shown_as(event: str, fields: dict[str, object], text: str | None) -> None:
    assert shown(event, fields) == text


def test_the_camera_is_named() -> None:
    device = {"vendor": "Inspector", "model": "simcam", "serial_number": "7"}
    fields = {"level": "INFO", "device": device, "width": 640, "height": 480, "pixel_format": "Mono8"}
    assert shown("camera_up", fields) == "<6>camera up: Inspector simcam, serial 7, 640 x 480 Mono8"
