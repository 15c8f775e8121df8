"""The preparation step turns folders of pictures into devices that simcam plays, to the pixel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.contract.simcam_rig import opened
from tests.support.producers import SIMCAM
from tools.simcam.prepare import PrepareError, main, prepare_device

RANDOM = np.random.default_rng(3)


def _picture(path: Path, shape: tuple[int, ...] = (12, 18, 3)) -> Path:
    pixels = RANDOM.integers(0, 256, shape, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return path


@pytest.mark.parametrize("colour", [False, True])
def test_pictures_arrive_as_they_are(tmp_path: Path, colour: bool) -> None:
    first = _picture(tmp_path / "photos" / "b.png")
    second = _picture(tmp_path / "photos" / "day 2" / "a.jpg")
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    root = tmp_path / "root"
    assert prepare_device(root, "cam0", [tmp_path / "photos"], colour=colour) == ["b", "day 2/a"]
    with opened(root) as camera:
        camera.nodes.PixelFormat.value = "RGB8" if colour else "Mono8"
        camera.triggered()
        for name, picture in (("day 2/a", second), ("b", first)):
            camera.pulse(name)
            wanted = cv2.imread(str(picture), cv2.IMREAD_COLOR_RGB if colour else cv2.IMREAD_GRAYSCALE)
            np.testing.assert_array_equal(camera.fetch().pixels, wanted)


def test_single_files_keep_their_order_and_can_be_scaled(tmp_path: Path) -> None:
    _picture(tmp_path / "z.png")
    _picture(tmp_path / "a.jpg", (30, 30))
    names = prepare_device(tmp_path / "root", "cam0", [tmp_path / "z.png", tmp_path / "a.jpg"], size=(9, 6))
    assert names == ["z", "a"]
    for name in names:
        assert (tmp_path / "root" / "cam0" / f"{name}.pgm").read_bytes().startswith(b"P5\n9 6\n255\n")


def test_the_command_makes_several_devices(tmp_path: Path) -> None:
    _picture(tmp_path / "good" / "1.png")
    _picture(tmp_path / "bad" / "1.png")
    command = [sys.executable, str(SIMCAM / "prepare.py"), str(tmp_path / "root")]
    command += [f"left={tmp_path / 'good'}", f"right={tmp_path / 'bad'}", "--colour"]
    result = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert result.stdout.count("1 images in") == 2
    assert (tmp_path / "root" / "right" / "1.ppm").exists()


@pytest.mark.parametrize("case", ["empty", "unreadable", "cut off", "twice", "name", "missing"])
def test_what_cannot_be_prepared_is_said_in_one_line(
    tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    name, expected = "cam0", "found none"
    if case == "unreadable":
        (photos / "a.png").write_bytes(b"not a picture")
        expected = "a.png: expected an image that OpenCV can decode"
    elif case == "cut off":
        whole = _picture(photos / "a.jpg", (200, 200)).read_bytes()
        (photos / "a.jpg").write_bytes(whole[: len(whole) // 2])
        expected = "a.jpg: expected an image that OpenCV can decode"
    elif case == "twice":
        _picture(photos / "a.png")
        _picture(photos / "a.jpg")
        expected = "has the same name as"
    elif case == "name":
        _picture(photos / "a.png")
        name, expected = "../cam0", "a device name has"
    source = photos if case != "missing" else tmp_path / "nowhere"
    expected = expected if case != "missing" else "nowhere"
    assert main([str(tmp_path / "root"), f"{name}={source}"]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert len(error.splitlines()) == 1


def test_a_device_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match="came nothing"):
        prepare_device(tmp_path, "cam0", [])
