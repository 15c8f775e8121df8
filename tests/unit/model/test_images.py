from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.errors import EngineInputError, ImagesError, PoseError
from inspector.model.images import (
    batch_of,
    find_mask,
    input_size,
    list_images,
    read_frame,
    read_image,
    refused,
    survey,
)


def write(path: Path, shape: tuple[int, ...] = (40, 60), value: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(path.name.encode()))
    image = rng.integers(0, 256, shape) if value is None else np.full(shape, value)
    assert cv2.imwrite(str(path), image.astype(np.uint8))
    return path


def test_images_are_found_in_nested_folders(tmp_path: Path) -> None:
    wanted = [write(tmp_path / name) for name in ("a/1.png", "a/b/2.JPG", "c.bmp", "d.tiff")]
    (tmp_path / "notes.txt").write_text("no image")
    write(tmp_path / ".trash" / "3.png")
    assert list_images(tmp_path) == wanted


def test_linked_folders_are_followed_and_a_circle_of_links_ends(tmp_path: Path) -> None:
    lot = tmp_path / "elsewhere"
    lot.mkdir()
    cv2.imwrite(str(lot / "1.png"), np.zeros((8, 8), np.uint8))
    good = tmp_path / "good"
    good.mkdir()
    (good / "monday").symlink_to(lot)
    (lot / "up").symlink_to(good)
    (good / ".hidden").symlink_to(lot)
    assert list_images(good) == [good / "monday" / "1.png"]


def test_no_folder_and_no_images_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ImagesError, match="expected a folder of images, there is none"):
        list_images(tmp_path / "missing")
    with pytest.raises(ImagesError, match="found none"):
        list_images(tmp_path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.98])
def test_an_image_that_was_cut_off_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str, keep: float
) -> None:
    path = write(tmp_path / f"part.{suffix}")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(ImagesError, match=rf"part\.{suffix}: expected an image, OpenCV cannot decode it"):
        read_image(path, 1)
    assert capfd.readouterr() == ("", ""), "OpenCV adds no lines of its own"


def test_an_unreadable_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImagesError, match=r"gone\.png: cannot be read, No such file"):
        read_image(tmp_path / "gone.png", 1)


def test_colours_are_read_as_rgb(tmp_path: Path) -> None:
    red_in_bgr = np.zeros((8, 8, 3), np.uint8)
    red_in_bgr[..., 2] = 250
    cv2.imwrite(str(tmp_path / "red.png"), red_in_bgr)
    assert read_image(tmp_path / "red.png", 3)[0, 0].tolist() == [250, 0, 0]
    assert read_image(tmp_path / "red.png", 1).shape == (8, 8)


def test_grey_images_stored_with_three_channels_are_grey(tmp_path: Path) -> None:
    grey = cv2.cvtColor(
        np.random.default_rng(0).integers(0, 256, (40, 60)).astype(np.uint8), cv2.COLOR_GRAY2BGR
    )
    cv2.imwrite(str(tmp_path / "1.png"), grey)
    write(tmp_path / "2.png")
    found = survey(list_images(tmp_path))
    assert (found.channels, found.aspect, found.different, found.warnings) == (1, 1.5, 2, ())


def test_mixed_aspects_and_colours_are_said(tmp_path: Path) -> None:
    for index in range(3):
        write(tmp_path / f"{index}.png")
    write(tmp_path / "high.png", (60, 40))
    write(tmp_path / "colour.png", (40, 60, 3))
    found = survey(list_images(tmp_path))
    assert (found.channels, found.aspect) == (3, 1.5)
    assert [warning.split(";")[0] for warning in found.warnings] == [
        (
            "1 of 5 images have another shape than width = 1.50 x height and are stretched to it: "
            f"60 x 40 (4 images, e.g. {tmp_path / '0.png'}), 40 x 60 (1 image, e.g. {tmp_path / 'high.png'})"
        ),
        "4 of 5 images are grey among coloured ones",
    ]


def test_sizes_of_one_shape_are_known_though_nothing_is_wrong_with_them(tmp_path: Path) -> None:
    for index in range(5):
        write(tmp_path / f"{index}.png", (40 + 4 * index, 60 + 6 * index))
    found = survey(list_images(tmp_path))
    assert (found.size, found.uniform, found.warnings) == (None, True, ())
    assert found.sizes.startswith(f"60 x 40 (1 image, e.g. {tmp_path / '0.png'}), 66 x 44 (")
    assert found.sizes.endswith(") and 2 more sizes")
    (tmp_path / "same").mkdir()
    write(tmp_path / "same" / "0.png")
    assert survey(list_images(tmp_path / "same")).sizes == ""


def test_all_unreadable_images_are_told_in_one_line(tmp_path: Path) -> None:
    for index in range(14):
        (tmp_path / f"{index:02}.png").write_bytes(b"no image")
    with pytest.raises(ImagesError) as caught:
        survey(list_images(tmp_path))
    text = str(caught.value)
    assert text.startswith("expected 14 images, OpenCV cannot decode 14:")
    assert "09.png and 4 more; remove" in text
    assert "10.png" not in text
    assert "\n" not in text


def test_copies_are_said(tmp_path: Path) -> None:
    for index in range(4):
        write(tmp_path / f"{index}.png", value=min(index, 1))
    found = survey(list_images(tmp_path))
    assert found.different == 2
    assert "2 of 4 images are copies of others" in found.warnings[0]


@pytest.mark.parametrize(
    ("aspect", "pixels", "size"),
    [
        (1.0, 256, (256, 256)),
        (1.6, 256, (192, 320)),
        (0.5, 256, (352, 192)),
        (1.0, 100, (96, 96)),
        (8.0, 64, (32, 192)),
    ],
)
def test_the_input_keeps_area_and_aspect(aspect: float, pixels: int, size: tuple[int, int]) -> None:
    assert input_size(aspect, pixels) == size


def test_the_first_folder_names_the_batch(tmp_path: Path) -> None:
    assert batch_of(tmp_path / "monday" / "x" / "1.png", tmp_path) == "monday"
    assert batch_of(tmp_path / "1.png", tmp_path) == tmp_path.name


def test_masks_lie_in_the_same_place(tmp_path: Path) -> None:
    images, masks = tmp_path / "bad", tmp_path / "masks"
    first, second, third = (write(images / "crack" / f"{name}.jpg") for name in "abc")
    mask_a, mask_b = write(masks / "crack" / "a_mask.png"), write(masks / "crack" / "b.png")
    assert find_mask(first, images, masks) == mask_a
    assert find_mask(second, images, masks) == mask_b
    with pytest.raises(ImagesError, match=r"c_mask\.png, there is none"):
        find_mask(third, images, masks)


@pytest.mark.parametrize(("greatest", "bits"), [(200, 8), (1000, 10), (4000, 12), (9000, 14), (65535, 16)])
def test_sixteen_bits_are_read_as_they_are_and_their_depth_is_found(
    tmp_path: Path, greatest: int, bits: int
) -> None:
    ramp = np.linspace(0, greatest, 30 * 40).reshape(30, 40).astype(np.uint16)
    paths = [tmp_path / f"{index}.png" for index in range(2)]
    for path in paths:
        cv2.imwrite(str(path), ramp)
    frame = read_frame(paths[0], 1)
    assert frame.dtype == np.uint16
    np.testing.assert_array_equal(frame, ramp)
    found = survey(paths)
    assert (found.bits, found.size, found.uniform) == (bits, (40, 30), True)
    seen = read_image(paths[0], 1)
    assert seen.dtype == np.uint8
    assert seen.max() == greatest >> (greatest.bit_length() - 8)


def test_images_of_several_sizes_have_none_in_common(tmp_path: Path) -> None:
    paths = [tmp_path / "0.png", tmp_path / "1.png"]
    cv2.imwrite(str(paths[0]), np.zeros((30, 40), np.uint8))
    cv2.imwrite(str(paths[1]), np.zeros((60, 80), np.uint8))
    found = survey(paths)
    assert (found.size, found.uniform, found.bits) == (None, True, 8)


def test_numbers_that_are_no_grey_levels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "0.tiff"
    cv2.imwrite(str(path), np.zeros((30, 40), np.float32))
    with pytest.raises(ImagesError, match="expected grey levels of 8 to 16 bits, got float32"):
        read_frame(path, 1)


def test_a_file_that_lies_too_far_off_is_told_what_helps_with_a_file() -> None:
    far = PoseError("no part like the reference is in the frame; check trigger and camera")
    assert str(refused(Path("a.png"), far)) == (
        "a.png: no part like the reference is in the frame; fit with more pixels or degrees in --align, or leave the image out"
    )
    other = EngineInputError("expected 8 bits")
    assert str(refused(Path("a.png"), other)) == "a.png: expected 8 bits; or leave the image out"
