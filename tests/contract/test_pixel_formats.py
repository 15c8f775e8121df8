"""From the sensor to the graph's input in every format that a camera here can send: the camera process, the ring, the decoding."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.camera.encoding import encode
from inspector.config.schema import CameraConfig, DeviceConfig, FeatureValue
from inspector.engine.preprocess import Geometry, to_input
from inspector.pixels import PIXEL_FORMATS
from tests.contract.camera_rig import Rig, config
from tests.support.producers import simcam_cti

WIDTH, HEIGHT = 32, 20
OF_SIMCAM = ["Mono8", "Mono12", "Mono12p", "BayerRG8", "BayerGR8", "BayerGB8", "BayerBG8", "RGB8"]
OF_REPLAY = ["Mono10p", "Mono16", "BayerRG12p", "BayerGR10p", "BayerGB12Packed", "BayerBG12"]


def scene() -> NDArray[np.uint8]:
    """Return colours that differ from place to place, in patches that demosaicing leaves alone inside."""
    patches = np.random.default_rng(2).integers(20, 236, (HEIGHT // 10, WIDTH // 8, 3), np.uint8)
    return np.kron(patches, np.ones((10, 8, 1), np.uint8))


def simcam(folder: Path, name: str, patch: pytest.MonkeyPatch) -> CameraConfig:
    patch.setenv("SIMCAM_ROOT", str(folder))
    (folder / "top").mkdir()
    (folder / "top" / "a.ppm").write_bytes(f"P6\n{WIDTH} {HEIGHT}\n255\n".encode() + scene().tobytes())
    features: dict[str, FeatureValue] = {"PixelFormat": name, "AcquisitionFrameRate": 100.0}
    return config(simcam_cti(), DeviceConfig(user_defined_name="top"), features)


def replay(folder: Path, name: str, patch: pytest.MonkeyPatch) -> CameraConfig:
    (folder / "top").mkdir()
    grey = name.startswith("Mono")  # of a colour file OpenCV makes another grey than of an array
    image = cv2.cvtColor(scene(), cv2.COLOR_RGB2GRAY if grey else cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(folder / "top" / "a.png"), image)
    features: dict[str, FeatureValue] = {"PixelFormat": name, "AcquisitionFrameRate": 100.0}
    return config(folder, DeviceConfig(serial_number="top"), features, backend="replay")


@pytest.mark.parametrize(
    ("camera", "name"),
    [(simcam, name) for name in OF_SIMCAM] + [(replay, name) for name in OF_REPLAY],
)
def test_the_graph_sees_the_scene(
    camera: Callable[[Path, str, pytest.MonkeyPatch], CameraConfig],
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    form = PIXEL_FORMATS[name]
    with Rig(camera(tmp_path, name, monkeypatch)) as rig:
        (seen,) = rig.frames(1)
    assert (seen.frame.width, seen.frame.height, seen.frame.pixel_format) == (WIDTH, HEIGHT, name)
    assert seen.pixels is not None
    coloured = form.channels == 3 or bool(form.bayer)
    expected = scene() if coloured else cv2.cvtColor(scene(), cv2.COLOR_RGB2GRAY)
    if form.channels == 1:
        np.testing.assert_array_equal(seen.pixels.reshape(-1), encode(expected, form))
    geometry = Geometry(3 if coloured else 1, HEIGHT, WIDTH)
    got = to_input(seen.pixels, geometry, seen.frame.pixel_format)[0].squeeze().astype(int)
    inside = np.zeros((HEIGHT, WIDTH), np.bool_)
    for top in range(0, HEIGHT, 10):
        for left in range(0, WIDTH, 8):
            inside[top + 2 : top + 8, left + 2 : left + 6] = True
    assert np.abs(got - expected)[inside].max() <= 1
