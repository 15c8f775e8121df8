"""What every camera keeps, whichever backend: played files, a producer that nobody here wrote, and our simulated camera.

Each test talks to the camera process as the station does.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest

from inspector.camera.commands import list_devices
from inspector.config.schema import CameraConfig, DeviceConfig, FeatureValue, RealtimeConfig
from inspector.errors import ProducerError
from inspector.part import FrameStatus
from tests.contract.camera_rig import VIKY, Rig, Simcam, config
from tests.support.producers import simcam_cti

WIDTH, HEIGHT = 160, 120
AWAKE = RealtimeConfig(stay_awake=True, lock_memory=True)
IMAGES = {f"{n}": np.full((HEIGHT, WIDTH), 20 * n, np.uint8) for n in range(1, 6)}


class CameraContract:
    """Free running, Mono8, WIDTH x HEIGHT. A subclass says what stands where."""

    backend = "genicam"
    device: DeviceConfig
    other_device: DeviceConfig  # such as there is none
    present = ""  # what the error about it lists
    refused: tuple[str, FeatureValue, str]  # feature, value, what the error says is allowed
    misspelt = ("AcquisitionFrameRat", "AcquisitionFrameRate")
    features: ClassVar[dict[str, FeatureValue]]
    producer: Path

    @pytest.fixture(scope="class")
    @classmethod
    def camera(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CameraConfig]:
        """The configuration of the camera under test, with all it needs in place."""
        with pytest.MonkeyPatch.context() as patch:
            cls.prepare(tmp_path_factory.mktemp("cam"), patch)
            yield cls.config()

    @classmethod
    def prepare(cls, folder: Path, patch: pytest.MonkeyPatch) -> None:
        """Put in place what the camera needs, and set `producer`."""
        raise NotImplementedError

    @classmethod
    def config(cls, features: dict[str, FeatureValue] | None = None) -> CameraConfig:
        return config(cls.producer, cls.device, features or cls.features, backend=cls.backend)

    @pytest.fixture(params=[RealtimeConfig(), AWAKE], ids=["", "awake"])
    def running(self, camera: CameraConfig, request: pytest.FixtureRequest) -> Iterator[Rig]:
        with Rig(camera, realtime=request.param) as rig:
            yield rig

    def test_it_says_what_it_will_send_and_which_features_it_took(self, running: Rig) -> None:
        running.wait_up()
        info = running.infos[0]
        assert (info.width, info.height, info.pixel_format) == (WIDTH, HEIGHT, "Mono8")
        assert info.features == self.features
        assert all(
            getattr(info.device, key) == value for key, value in self.device.model_dump().items() if value
        )

    def test_frames_are_whole_and_in_order_with_increasing_ids_and_times(self, running: Rig) -> None:
        seen = running.frames(20)
        frames = [s.frame for s in seen]
        assert {f.status for f in frames} == {FrameStatus.OK}
        assert {(f.generation, f.width, f.height, f.pixel_format) for f in frames} == {
            (1, WIDTH, HEIGHT, "Mono8")
        }
        ids = [f.frame_id for f in frames]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        times = [f.t_arrival_ns for f in frames]
        assert times == sorted(set(times))
        assert all(s.pixels is not None and s.pixels.shape == (HEIGHT, WIDTH) for s in seen)
        self.check_pixels(running)

    def check_pixels(self, running: Rig) -> None:
        """The images come round in the order of their names, each as it is in its file."""
        values = []
        for seen in running.frames(2 * len(IMAGES)):
            assert seen.pixels is not None
            assert seen.pixels.min() == seen.pixels.max()
            values.append(int(seen.pixels[0, 0]))
        order = [20 * n for n in range(1, 6)]
        start = order.index(values[0])
        assert values == (order * 3)[start : start + len(values)]

    def test_frames_are_counted(self, running: Rig) -> None:
        running.frames(1)
        before = running.process.counters.frames
        running.wait(
            "counting on", lambda: bool(running.frames(1)) and running.process.counters.frames > before
        )
        assert running.process.counters.incomplete == running.process.counters.wrong_format == 0

    def test_killed_it_comes_back_as_a_new_generation(self, camera: CameraConfig) -> None:
        with Rig(camera) as rig:
            (first,) = rig.frames(1)
            os.kill(rig.process.pid, signal.SIGKILL)
            assert "killed by SIGKILL" in rig.wait_down()
            (again,) = rig.frames(1, generation=2)
            assert (first.frame.generation, again.frame.generation) == (1, 2)
            assert rig.readers[0].new_frames() is not None, "the old ring can still be read"

    def test_it_stops_in_order(self, camera: CameraConfig) -> None:
        with Rig(camera) as rig:
            rig.frames(1)
            pid = rig.process.pid
        assert rig.process.pid == 0
        assert not rig.downs, "a stop is no fault"
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    def test_it_runs_before_others_or_says_that_it_may_not(self, camera: CameraConfig) -> None:
        with Rig(camera, realtime=RealtimeConfig(fifo_priority=5)) as rig:
            rig.wait_up()
            tasks = Path(f"/proc/{rig.process.pid}/task").iterdir()
            policies = {os.sched_getscheduler(int(task.name)) & ~os.SCHED_RESET_ON_FORK for task in tasks}
            refused = [e for e in rig.events if e.name == "camera_priority_refused"]
        assert policies == ({os.SCHED_OTHER} if refused else {os.SCHED_FIFO})

    def test_an_unknown_feature_is_refused_with_the_one_that_may_be_meant(self, camera: CameraConfig) -> None:
        wrong, right = self.misspelt
        with Rig(self.config({wrong: 1})) as rig:
            assert rig.wait_down().startswith(
                f"CAM-004: {wrong}: this camera has no such feature; did you mean {right}"
            )

    def test_a_refused_value_is_told_with_what_is_allowed(self, camera: CameraConfig) -> None:
        name, wanted, allowed = self.refused
        with Rig(self.config({**self.features, name: wanted})) as rig:
            assert rig.wait_down().startswith(
                f"CAM-004: {name}: expected {allowed}, got {wanted!r}; correct camera.features"
            )

    def test_where_there_is_no_such_device_those_present_are_listed(self, camera: CameraConfig) -> None:
        with Rig(config(self.producer, self.other_device, {}, backend=self.backend)) as rig:
            why = rig.wait_down()
        assert why.startswith("CAM-003: no camera has")
        assert self.present in why

    def test_devices_are_listed(self, camera: CameraConfig) -> None:
        devices = list_devices(self.producer, self.backend)
        assert self.present in "; ".join(map(str, devices))

    def test_a_missing_producer_is_told_in_one_line(self, tmp_path: Path) -> None:
        with Rig(config(tmp_path / "none.cti", DeviceConfig(model="x"), {}, backend=self.backend)) as rig:
            why = rig.wait_down()
        assert why.startswith("CAM-002: no ")
        assert "none.cti: correct camera.producer" in why
        assert "\n" not in why


class TestReplay(CameraContract):
    backend = "replay"
    device = DeviceConfig(user_defined_name="top")
    other_device = DeviceConfig(serial_number="side")
    present = "Inspector ReplayCamera (serial top, name top)"
    refused = ("AcquisitionFrameRate", 5000.0, "a number from 0.1 to 1000 Hz")
    features: ClassVar[dict[str, FeatureValue]] = {"PixelFormat": "Mono8", "AcquisitionFrameRate": 100.0}

    @classmethod
    def prepare(cls, folder: Path, _patch: pytest.MonkeyPatch) -> None:
        (folder / "top").mkdir()
        for name, image in IMAGES.items():
            cv2.imwrite(str(folder / "top" / f"{name}.png"), image)
        cls.producer = folder

    def test_a_folder_without_images_offers_no_devices(self, tmp_path: Path) -> None:
        with pytest.raises(ProducerError, match="holds no images"):
            list_devices(tmp_path, self.backend)


class TestViky(CameraContract):
    device = DeviceConfig(serial_number="1")
    other_device = DeviceConfig(user_defined_name="side")
    present = "Machine Vision Games Ltd. Viky (serial 2)"
    refused = ("PixelFormat", "Mono9", "one of RGBa8, Mono8")
    producer = VIKY
    features: ClassVar[dict[str, FeatureValue]] = {
        "PixelFormat": "Mono8",
        "Width": WIDTH,
        "Height": HEIGHT,
        "AcquisitionFrameRate": 100.0,
    }

    @classmethod
    def prepare(cls, folder: Path, patch: pytest.MonkeyPatch) -> None:
        """Nothing: the wheel ships it."""

    def check_pixels(self, running: Rig) -> None:
        """It draws a ball: bright and dark in one frame."""
        (seen,) = running.frames(1)
        assert seen.pixels is not None
        assert seen.pixels.min() < seen.pixels.max()

    def test_a_pixel_format_that_the_engine_does_not_take_is_refused(self) -> None:
        with Rig(self.config({"PixelFormat": "RGBa8"})) as rig:
            why = rig.wait_down()
        assert why.startswith("CAM-004: PixelFormat is RGBa8, expected Mono, BayerRG")

    def test_a_name_that_fits_several_devices_is_refused(self) -> None:
        with Rig(config(self.producer, DeviceConfig(model="Viky"), {})) as rig:
            assert rig.wait_down().startswith(
                "CAM-003: 3 cameras have model 'Viky': Machine Vision Games Ltd. Viky"
            )

    def test_a_number_out_of_range_is_told_with_the_range(self) -> None:
        with Rig(self.config({"Width": 5000})) as rig:
            assert "Width: expected a whole number from 100 to 800, got 5000" in rig.wait_down()

    @pytest.mark.parametrize(
        ("content", "told"),
        [(b"not a library", "does not load"), (None, "no GenTL producer")],
        ids=["text", "library"],
    )
    def test_a_file_that_is_no_producer_is_told(
        self, content: bytes | None, told: str, tmp_path: Path
    ) -> None:
        producer = tmp_path / "broken.cti"
        producer.write_bytes(content or next(VIKY.parent.glob("libGCBase*.so")).read_bytes())
        with pytest.raises(ProducerError, match=told):
            list_devices(producer)


class TestSimcam(CameraContract):
    device = DeviceConfig(user_defined_name="top")
    other_device = DeviceConfig(serial_number="side")
    present = "(serial SIM-top, name top)"
    refused = ("TriggerSource", "Line9", "one of Software, Line0")
    features: ClassVar[dict[str, FeatureValue]] = {
        "PixelFormat": "Mono8",
        "AcquisitionFrameRate": 100.0,
        "TriggerMode": "Off",
    }

    @classmethod
    def prepare(cls, folder: Path, patch: pytest.MonkeyPatch) -> None:
        cls.producer = simcam_cti()
        patch.setenv("SIMCAM_ROOT", str(folder))
        Simcam(cls.producer, folder).write_images(IMAGES)

    def test_yaml_on_and_off_set_an_enumeration(self, camera: CameraConfig) -> None:
        with Rig(self.config({"TriggerMode": True, "TriggerSource": "Line0"})) as rig:
            rig.wait_up()
            assert rig.infos[0].features["TriggerMode"] == "On"

    def test_a_command_is_run_by_true_and_by_nothing_else(self, camera: CameraConfig) -> None:
        with Rig(self.config({"TimestampLatch": True})) as rig:
            rig.wait_up()
            assert rig.infos[0].features == {}, "a command has no value to read back"
        with Rig(self.config({"TimestampLatch": 1})) as rig:
            assert "TimestampLatch: expected true, to run the command, got 1" in rig.wait_down()

    @pytest.mark.parametrize(
        ("name", "wanted", "told"),
        [
            ("ExposureTime", "long", "expected a number from 1 to 1e+07 us, got 'long'"),
            ("ChunkModeActive", 1, "expected true or false, got 1"),
            ("DeviceUserID", 5, "expected text, got 5"),
            ("Width", 12.5, "expected a whole number from 1 to"),
            ("SensorWidth", 5, f"wanted 5, but the feature is read-only, its value is {WIDTH}"),
        ],
    )
    def test_a_value_of_the_wrong_kind_is_told(
        self, camera: CameraConfig, name: str, wanted: FeatureValue, told: str
    ) -> None:
        with Rig(self.config({name: wanted})) as rig:
            assert f"{name}: {told}" in rig.wait_down()

    def test_a_producer_without_devices_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SIMCAM_ROOT", str(tmp_path))
        with pytest.raises(ProducerError, match="offers no devices: check cable"):
            list_devices(self.producer)
