"""The frame that is measured with: of the size and format that the camera would send, with a good part in it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inspector.bench.frames import camera_frame
from inspector.config.schema import CameraConfig, DeviceConfig, FeatureValue
from inspector.engine.preprocess import to_input
from inspector.errors import EngineInputError, FeatureError
from inspector.model.images import read_image
from inspector.model.pack import Pack, load_pack


@pytest.fixture(scope="module")
def loaded(pack: Path) -> Pack:
    return load_pack(pack)


def camera(**features: FeatureValue) -> CameraConfig:
    return CameraConfig(producer="none.cti", device=DeviceConfig(model="x"), features=features)


def test_what_is_asked_comes_before_what_the_camera_is_set_to(loaded: Pack) -> None:
    set_to = camera(Width=480, Height=480)
    asked = camera_frame(set_to, loaded, (240, 240))
    told = camera_frame(set_to, loaded, None)
    unknown = camera_frame(camera(), loaded, None)
    assert [(f.width, f.height) for f in (asked, told, unknown)] == [(240, 240), (480, 480), (1200, 1200)]
    assert [bool(f.assumed) for f in (asked, told, unknown)] == [False, False, True]


@pytest.mark.parametrize("name", ["Mono8", "Mono12Packed", "Mono10p", "BayerRG8", "BayerGB12", "RGB8"])
def test_the_engine_finds_the_good_part_in_it(loaded: Pack, name: str) -> None:
    frame = camera_frame(camera(PixelFormat=name), loaded, (480, 480))
    assert frame.data.size == 480 * frame.form.line_bytes(480)
    lines = frame.data.reshape(480, *((480, 3) if name == "RGB8" else (-1,)))
    seen = to_input(lines, loaded.geometry, name)[0, ..., 0].astype(float)
    part = read_image(loaded.path / loaded.manifest.references[0].file, 1).astype(float)
    assert np.corrcoef(seen.ravel(), part.ravel())[0, 1] > 0.98


def test_each_view_of_the_part_lies_where_it_is_looked_for(
    loaded: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = loaded.geometry
    regions = (0, 0, 200, 200), (260, 240, 200, 200)
    views = tuple(replace(own, roi=roi, frame=None) for roi in regions)
    parts = np.stack([next(loaded.references())[1][0]] * 2)
    parts[1] = parts[1, ::-1]
    monkeypatch.setattr(Pack, "references", lambda _pack: iter([(None, parts)]))
    frame = camera_frame(camera(PixelFormat="Mono8"), replace(loaded, geometries=views), (480, 480))
    seen = to_input(frame.data.reshape(480, 480), views, "Mono8")
    for part, view in zip(parts, seen, strict=True):
        assert np.corrcoef(view.ravel(), part.ravel())[0, 1] > 0.98


def test_frames_that_the_model_does_not_take_are_refused(loaded: Pack) -> None:
    with pytest.raises(EngineInputError, match="expected frames of width"):
        camera_frame(camera(), loaded, (640, 100))
    with pytest.raises(FeatureError, match="cuts the last group"):
        camera_frame(camera(PixelFormat="Mono12p"), loaded, (481, 481))
