"""Folders of known defects: what is taken, and what is refused in one line."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.errors import ImagesError
from inspector.model.defects import LEAST_EXAMPLES, Example, list_defects, read_mask, require_no_copies


def write(path: Path, image: NDArray[np.uint8] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((40, 60), np.uint8) if image is None else image)
    return path


def texture(seed: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(128, 60, (40, 60))
    return np.asarray(np.clip(cv2.GaussianBlur(noise, (0, 0), 2) * 3 - 256, 0, 255), np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("scratch", "dent"):
        for index in range(3):
            write(tmp_path / "defects" / name / f"{index}.png")
    return tmp_path / "defects"


def test_sub_folders_are_the_names(folder: Path) -> None:
    write(folder / "dent" / "deeper" / "3.png")
    found = list_defects(folder)
    assert found.names == ("dent", "scratch")
    assert found.counts == (4, 3)
    assert {example.path.parent.name for example in found.examples if example.kind == 1} == {"scratch"}
    assert all(example.mask is None for example in found.examples)


def test_masks_lie_in_the_places_of_their_images(folder: Path, tmp_path: Path) -> None:
    white = np.full((40, 60), 255, np.uint8)
    for name in ("scratch", "dent"):
        for index in range(3):
            write(tmp_path / "masks" / name / f"{index}_mask.png", white)
    found = list_defects(folder, tmp_path / "masks")
    assert found.examples[0].mask == tmp_path / "masks" / "dent" / "0_mask.png"
    assert found.warnings == ()
    (tmp_path / "masks" / "dent" / "1_mask.png").unlink()
    with pytest.raises(ImagesError, match=r"1\.png: expected its mask at .*1_mask\.png"):
        list_defects(folder, tmp_path / "masks")


def test_a_black_mask_is_none_and_is_told(folder: Path, tmp_path: Path) -> None:
    for name in ("scratch", "dent"):
        for index in range(3):
            write(tmp_path / "masks" / name / f"{index}.png", np.full((40, 60), 255 * (index > 0), np.uint8))
    found = list_defects(folder, tmp_path / "masks")
    assert [example.mask is None for example in found.examples] == [True, False, False] * 2
    (warning,) = found.warnings
    assert warning.startswith("2 of 6 masks are all black, ")


def test_too_few_examples_are_refused_with_the_reason(folder: Path) -> None:
    (folder / "dent" / "2.png").unlink()
    with pytest.raises(
        ImagesError, match=f"dent: expected at least {LEAST_EXAMPLES} examples .*, found 2, and from fewer"
    ):
        list_defects(folder)


@pytest.mark.parametrize("name", ["1st", "rost fleck", "ä", "x" * 33, "none?"])
def test_a_name_that_is_none_is_refused(name: str, folder: Path) -> None:
    for index in range(3):
        write(folder / name / f"{index}.png")
    with pytest.raises(ImagesError, match="expected the name of a defect of letters"):
        list_defects(folder)


def test_images_without_sub_folders_are_one_kind(tmp_path: Path) -> None:
    for index in range(3):
        write(tmp_path / "bad ones" / f"{index}.png")
    found = list_defects(tmp_path / "bad ones")
    assert (found.names, found.counts) == (("defect",), (3,))
    (tmp_path / "bad ones" / "0.png").unlink()
    with pytest.raises(ImagesError, match="bad ones: expected at least 3 examples of a defect, found 2"):
        list_defects(tmp_path / "bad ones")


def test_an_image_beside_folders_of_kinds_is_refused(folder: Path) -> None:
    write(folder / "loose.png")
    with pytest.raises(ImagesError, match=r"loose\.png: expected images of known defects in sub-folders"):
        list_defects(folder)


def test_a_copy_of_a_good_image_is_refused_even_if_it_was_stored_again(tmp_path: Path) -> None:
    good = [write(tmp_path / "good" / f"{seed}.png", texture(seed)) for seed in range(3)]
    copy = write(tmp_path / "defects" / "dent" / "0.jpg", texture(1))
    with pytest.raises(
        ImagesError, match=r"0\.jpg: expected an image with a defect, it is a copy of .*1\.png"
    ):
        require_no_copies([Example(copy, 0, None)], good)


def test_the_same_part_before_and_after_it_was_scratched_is_no_copy(tmp_path: Path) -> None:
    good = [write(tmp_path / "good" / "0.png", texture(0))]
    scratched = texture(0)
    cv2.line(scratched, (10, 10), (25, 20), 255, 1)
    require_no_copies([Example(write(tmp_path / "0.png", scratched), 0, None)], good)


def test_a_mask_of_another_size_than_its_image_is_refused(tmp_path: Path) -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[3, 4] = 255
    path = write(tmp_path / "mask.png", mask)
    assert np.argwhere(read_mask(path, (40, 60))).tolist() == [[3, 4]]
    with pytest.raises(ImagesError, match="expected a mask of 30 x 40 pixels like its image, found 60 x 40"):
        read_mask(path, (40, 30))
