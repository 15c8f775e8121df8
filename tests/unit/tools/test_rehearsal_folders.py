"""Which images are fitted on, which are shown, and what the camera makes of them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.errors import ImagesError
from tools.rehearsal.folders import (
    Sensor,
    Shown,
    choose,
    choose_sensor,
    link_images,
    name_images,
    split,
    write_camera_files,
)


def image(path: Path, *, height: int = 4, width: int = 6, value: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((height, width), value, np.uint8))
    return path


def test_no_image_is_both_fitted_and_shown(tmp_path: Path) -> None:
    images = {image(tmp_path / f"{n}.png") for n in range(20)}
    fitted, shown = split(tmp_path, 0.7, seed=1)
    assert set(fitted) | set(shown) == images
    assert (len(fitted), len(shown)) == (14, 6)
    assert split(tmp_path, 0.7, seed=1) == (fitted, shown) != split(tmp_path, 0.7, seed=2)


def test_batches_are_kept_whole_where_there_are_enough(tmp_path: Path) -> None:
    for batch in ("monday", "tuesday", "wednesday", "thursday"):
        for n in range(5):
            image(tmp_path / batch / f"{n}.png")
    fitted, shown = split(tmp_path, 0.7, seed=1)
    assert {path.parent for path in fitted}.isdisjoint({path.parent for path in shown})
    assert (len(fitted), len(shown)) == (15, 5)


def test_one_image_is_too_few(tmp_path: Path) -> None:
    image(tmp_path / "only.png")
    with pytest.raises(ImagesError, match="enough good images"):
        split(tmp_path, 0.7, seed=1)


def test_links_keep_the_folders(tmp_path: Path) -> None:
    source = image(tmp_path / "in" / "lot" / "1.png")
    link_images([source], tmp_path / "in", tmp_path / "out")
    assert (tmp_path / "out" / "lot" / "1.png").read_bytes() == source.read_bytes()


def test_names_say_truth_and_file_and_are_unique(tmp_path: Path) -> None:
    good, bad = tmp_path / "g", tmp_path / "b"
    named = name_images([good / "lot/1.png", good / "lot/1.jpg"], good, [bad / "1.v2.png"], bad)
    assert [each.name for each in named] == ["good/lot/1", "good/lot/1~2", "bad/1.v2"]
    assert [each.good for each in named] == [True, True, False]


def test_no_name_is_given_twice_whatever_the_files_are_called() -> None:
    files = [Path("g/a.bmp"), Path("g/a.png"), Path("g/a~2.png"), Path("g/a~2~2.png")]
    names = [each.name for each in name_images(files, Path("g"), [], Path("b"))]
    assert names == ["good/a", "good/a~2", "good/a~2~2", "good/a~2~2~2"]


def test_only_as_many_images_as_parts_are_chosen() -> None:
    shown = [Shown(f"{n}", Path(f"{n}"), good=True) for n in range(10)]
    assert choose(shown, None, 1) == choose(shown, 10, 1) == shown
    assert len(set(choose(shown, 4, 1))) == 4


def test_the_sensor_has_the_most_frequent_size_and_stretches_the_rest(tmp_path: Path) -> None:
    paths = [image(tmp_path / f"{n}.png", height=h) for n, h in enumerate((4, 4, 9))]
    shown = [Shown(f"good/{path.stem}", path, good=True) for path in paths]
    sensor, odd = choose_sensor(shown, 1)
    assert (sensor, odd) == (Sensor(6, 4, 1), 1)
    assert sensor.image(paths[2]).shape == (4, 6)


@pytest.mark.parametrize(("channels", "magic", "suffix"), [(1, b"P5", "pgm"), (3, b"P6", "ppm")])
def test_camera_files_hold_the_pixels_in_rgb(
    tmp_path: Path, channels: int, magic: bytes, suffix: str
) -> None:
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[..., 2] = 250  # red, in OpenCV's order
    cv2.imwrite(str(tmp_path / "red.png"), pixels)
    shown = [Shown("bad/red", tmp_path / "red.png", good=False)]
    write_camera_files(shown, Sensor(3, 2, channels), tmp_path / "cam")
    written = (tmp_path / "cam" / "bad" / f"red.{suffix}").read_bytes()
    assert written.startswith(magic + b"\n3 2\n255\n")
    grey = round(0.299 * 250)  # ITU-R BT.601; OpenCV rounds in fixed point
    assert list(written[-3:]) == ([250, 0, 0] if channels == 3 else pytest.approx([grey] * 3, abs=1))
