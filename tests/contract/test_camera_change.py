"""A camera whose features change while it runs, and one that we trigger: through the camera process, as the station does it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.camera.base import FeatureValue
from inspector.config.schema import CameraConfig, DeviceConfig, RealtimeConfig
from inspector.part import FrameStatus
from tests.contract.camera_rig import VIKY, Rig, Simcam, config
from tests.support.producers import simcam_cti

WIDTH, HEIGHT = 160, 120
IMAGES = {f"{n}": np.full((HEIGHT, WIDTH), 20 * n, np.uint8) for n in range(1, 6)}
SIMCAM: dict[str, FeatureValue] = {
    "PixelFormat": "Mono8",
    "AcquisitionFrameRate": 100.0,
    "TriggerMode": "Off",
}


def replay(folder: Path, **more: object) -> CameraConfig:
    (folder / "top").mkdir()
    for name, image in IMAGES.items():
        cv2.imwrite(str(folder / "top" / f"{name}.png"), image)
    features: dict[str, FeatureValue] = {"PixelFormat": "Mono8", "AcquisitionFrameRate": 100.0}
    return config(folder, DeviceConfig(user_defined_name="top"), features, backend="replay", **more)


@pytest.fixture
def simcam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Simcam:
    monkeypatch.setenv("SIMCAM_ROOT", str(tmp_path))
    simcam = Simcam(simcam_cti(), tmp_path)
    simcam.write_images(IMAGES)
    return simcam


@pytest.fixture(params=["replay", "viky", "simcam", "simcam, awake"])
def running(request: pytest.FixtureRequest, tmp_path: Path, simcam: Simcam) -> Iterator[Rig]:
    """A camera that runs freely at 100 frames a second."""
    if request.param == "replay":
        (tmp_path / "replay").mkdir()
        camera = replay(tmp_path / "replay")
    elif request.param == "viky":
        features: dict[str, FeatureValue] = {"PixelFormat": "Mono8", "AcquisitionFrameRate": 100.0}
        camera = config(VIKY, DeviceConfig(serial_number="1"), features)
    else:
        camera = simcam.config(SIMCAM)
    with Rig(camera, realtime=RealtimeConfig(stay_awake="awake" in request.param)) as rig:
        rig.frames(2)
        yield rig


def features_of(rig: Rig) -> dict[str, FeatureValue]:
    return dict(rig.config.features)


def test_a_feature_changes_in_the_running_process_as_a_new_generation(running: Rig) -> None:
    pid = running.process.pid
    changed = features_of(running) | {"AcquisitionFrameRate": 50.0}
    assert running.process.change(changed) == 2
    seen = running.frames(3, generation=2)
    assert running.infos[1].features["AcquisitionFrameRate"] == 50.0
    assert {s.frame.status for s in seen} == {FrameStatus.OK}
    assert running.process.pid == pid
    assert not running.downs


def test_the_features_hold_for_the_next_process_too(running: Rig) -> None:
    running.process.change(features_of(running) | {"AcquisitionFrameRate": 50.0})
    running.wait_up(2)
    os.kill(running.process.pid, signal.SIGKILL)
    running.wait_up(3)
    assert running.infos[2].features["AcquisitionFrameRate"] == 50.0
    assert running.generations == [1, 2, 3]


def test_several_changes_end_at_the_last_one(running: Rig) -> None:
    for rate in (50.0, 25.0, 200.0):
        last = running.process.change(features_of(running) | {"AcquisitionFrameRate": rate})
    running.wait("the last change", lambda: running.generations[-1] == last)
    assert running.infos[-1].features["AcquisitionFrameRate"] == 200.0
    reader = running.readers[-1]
    running.wait_rung(lambda: {frame.generation for frame in reader.new_frames()} == {last})


def test_a_geometry_changes_with_the_acquisition_stopped_for_it(simcam: Simcam) -> None:
    with Rig(simcam.config({**SIMCAM, "Width": WIDTH, "Height": HEIGHT})) as rig:
        rig.frames(2)
        pid = rig.process.pid
        rig.process.change({**SIMCAM, "Width": 80, "Height": HEIGHT})
        seen = rig.frames(3, generation=2)
        assert {(s.frame.width, s.frame.status) for s in seen} == {(80, FrameStatus.OK)}
        assert all(s.pixels is not None and s.pixels.shape == (HEIGHT, 80) for s in seen)
        assert rig.process.pid == pid


def test_a_refused_feature_ends_the_process_and_the_former_ones_bring_it_back(simcam: Simcam) -> None:
    with Rig(simcam.config(SIMCAM)) as rig:
        rig.frames(1)
        rig.process.change({**SIMCAM, "TriggerSource": "Line9"})
        assert rig.wait_down().startswith("CAM-004: TriggerSource: expected one of Software, Line0")
        last = rig.process.change(SIMCAM)
        rig.wait("the former features", lambda: bool(rig.generations) and rig.generations[-1] >= last)
        reader = rig.readers[-1]
        rig.wait_rung(lambda: any(reader.new_frames()))


def test_no_frame_from_before_the_change_comes_after_it(simcam: Simcam) -> None:
    """Frames that the producer holds already are of the old features."""
    with Rig(simcam.config()) as rig:
        rig.wait_up()
        rig.process.change({**simcam.config().features, "ExposureTime": 200.0})
        simcam.send(*["pulse"] * 5)
        reader = rig.wait_up(2)
        simcam.send("pulse image=5")
        seen = rig.frames(1, generation=2)
        while seen[-1].pixels is None or seen[-1].pixels[0, 0] != 100:
            seen += rig.frames(1, generation=2)
        assert reader.generation == 2
        assert {s.frame.generation for s in seen} == {2}


# -- triggered by us ----------------------------------------------------------------------------------


@pytest.fixture(params=["replay", "simcam", "simcam, awake"])
def triggered(request: pytest.FixtureRequest, tmp_path: Path, simcam: Simcam) -> Iterator[Rig]:
    if request.param == "replay":
        (tmp_path / "replay").mkdir()
        camera = replay(tmp_path / "replay", trigger="software")
    else:
        features: dict[str, FeatureValue] = {
            "TriggerMode": "On",
            "TriggerSource": "Software",
            "ExposureTime": 100,
        }
        camera = simcam.config(features, trigger="software")
    with Rig(camera, realtime=RealtimeConfig(stay_awake="awake" in request.param)) as rig:
        rig.wait_up()
        yield rig


def test_each_trigger_is_one_frame(triggered: Rig) -> None:
    ids = []
    for _ in range(5):
        triggered.process.trigger()
        (seen,) = triggered.frames(1)
        ids.append(seen.frame.frame_id)
    assert ids == list(range(ids[0], ids[0] + 5))
    assert triggered.process.counters.missing == 0


def test_triggers_in_a_row_are_as_many_frames(triggered: Rig) -> None:
    for _ in range(3):
        triggered.process.trigger()
    assert len(triggered.frames(3)) == 3


def test_a_triggered_camera_can_be_changed_too(triggered: Rig) -> None:
    name, value = (
        ("AcquisitionFrameRate", 50.0) if triggered.config.backend == "replay" else ("ExposureTime", 300.0)
    )
    triggered.process.change({**triggered.config.features, name: value})
    triggered.wait_up(2)
    triggered.process.trigger()
    assert len(triggered.frames(1, generation=2)) == 1
    assert triggered.infos[1].features[name] == value


def test_without_a_process_a_trigger_is_lost(simcam: Simcam) -> None:
    rig = Rig(simcam.config())
    rig.process.trigger()  # not started: nothing to wait for
    with rig:
        rig.wait_up()


def test_settings_tell_who_triggers(tmp_path: Path) -> None:
    line = replay(tmp_path)
    assert not Rig(line).process.settings.software_trigger
    assert Rig(line.model_copy(update={"trigger": "software"})).process.settings.software_trigger
