"""What is decided of the frame before a model is fitted."""

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from inspector.errors import ImagesError, ModelError
from inspector.model.framing import MASK, POSE, POSE_WATCHED, plan
from inspector.model.images import Survey, survey
from inspector.model.likeness import SIDE
from inspector.model.options import FrameOptions
from inspector.model.tiling import Tile


def found(size: tuple[int, int] | None = (1920, 1200), **changed: Any) -> Survey:
    width, height = size or (3, 2)
    facts: dict[str, Any] = {
        "channels": 1,
        "aspect": width / height,
        "different": 9,
        "thumbnails": np.zeros((1, SIDE, SIDE), np.uint8),
        "warnings": (),
        "size": size,
    }
    return Survey(**(facts | changed))


def test_square_images_fill_the_input() -> None:
    framing = plan(FrameOptions(), found((300, 300)), [], [256])
    assert framing.sizes == ((256, 256),)
    assert framing.geometry.filled == (256, 256)
    assert framing.watched is None
    assert framing.geometry.frame is None
    assert framing.geometry.aspect == 1


@pytest.mark.parametrize("size", [(1920, 1200), (1280, 1024), (640, 480), (2048, 1536), (500, 90)])
def test_the_scale_is_the_same_both_ways_to_half_a_pixel(size: tuple[int, int]) -> None:
    framing = plan(FrameOptions(), found(size), [], [256])
    width, height = framing.geometry.filled
    across, down = width / size[0], height / size[1]
    assert abs(across / down - 1) <= 0.5 / min(width, height)
    assert width == framing.geometry.width or height == framing.geometry.height
    assert framing.watched is not None
    assert framing.watched[:height, :width].all()
    assert framing.watched.sum() == width * height


def test_images_of_many_shapes_are_stretched_as_nothing_else_fits_all() -> None:
    framing = plan(FrameOptions(), found(None, uniform=False), [], [256])
    assert framing.geometry.picture is None
    assert framing.geometry.aspect is None
    assert framing.watched is None


def test_a_region_fixes_the_size_of_the_frame() -> None:
    framing = plan(FrameOptions(roi=(100, 50, 400, 400)), found(), [], [128])
    assert framing.geometry.frame == (1920, 1200)
    assert framing.geometry.roi == (100, 50, 400, 400)
    assert framing.sizes == ((128, 128),)
    assert framing.geometry.aspect is None


def test_tiles_keep_every_pixel() -> None:
    framing = plan(FrameOptions(tile=(512, 64)), found((4000, 3000)), [], [256])
    assert framing.sizes == ((3008, 4000),)
    assert framing.geometry.filled == (4000, 3000)
    assert framing.tile == Tile(512, 64)
    halved = plan(FrameOptions(tile=(512, 64), scale=0.5), found((4000, 3000)), [], [256])
    assert halved.sizes == ((1504, 2000),)


def test_what_is_no_larger_than_a_tile_is_not_tiled() -> None:
    framing = plan(FrameOptions(tile=(512, 64)), found((500, 300)), [], [256])
    assert framing.tile is None
    assert framing.sizes == ((320, 512),)
    assert framing.geometry.filled == (500, 300)


def test_a_strip_narrower_than_a_tile_gets_tiles_along() -> None:
    framing = plan(FrameOptions(tile=(256, 32)), found((2000, 100)), [], [256])
    assert framing.sizes == ((256, 2000),)
    assert framing.tile == Tile(256, 32)


def test_depth_is_found_or_stated() -> None:
    assert plan(FrameOptions(), found(bits=12), [], [256]).geometry.bits == 12
    assert plan(FrameOptions(bits=16), found(bits=12), [], [256]).geometry.bits == 16


def test_the_pose_is_the_most_usual_images_unless_one_is_named(tmp_path: Path) -> None:
    """Three alike and a stranger: one of the three; the mask of the part is that of the pose."""
    paths = [tmp_path / f"{index}.png" for index in range(4)]
    for index, path in enumerate(paths):
        image = np.full((120, 160), 40, np.uint8)
        left = 30 if index else 90  # the first lies elsewhere
        cv2.rectangle(image, (left + index, 30), (left + 40, 80), 200, -1)
        cv2.imwrite(str(path), image)
    mask = np.full((120, 160), 255, np.uint8)
    mask[:20] = 0
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    options = FrameOptions(align=(20, 5), mask=tmp_path / "mask.png")
    framing = plan(options, survey(paths), paths, [64])
    assert framing.reference in paths[1:]
    assert set(framing.files()) == {MASK, POSE, POSE_WATCHED}
    (warning,) = framing.warnings()
    assert str(framing.reference) in warning
    alignment = framing.geometry.alignment
    assert alignment is not None
    assert alignment.watched is not None
    assert not alignment.watched[:18].any()
    named = plan(FrameOptions(align=(20, 5), reference=paths[0]), survey(paths), paths, [64])
    assert named.geometry.alignment is not None
    assert (named.geometry.alignment.reference != alignment.reference).any()
    assert list(named.warnings()) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (FrameOptions(roi=(0, 0, 2000, 100)), "region .* does not fit in images of 1920 x 1200 .* --roi$"),
        (FrameOptions(scale=20.0), "choose a smaller --scale"),
        (FrameOptions(scale=0.0), "choose a --scale of 0.0267 or more"),
        (FrameOptions(scale=-1.0), "expected a scale that leaves at least 32 pixels of 1920 x 1200, got -1"),
        (FrameOptions(scale=math.nan), "expected a scale that leaves at least 32 pixels"),
        (FrameOptions(reference=Path("part.png")), "expected --align beside --reference part.png"),
        (FrameOptions(tile=(100, 10)), "expected tiles of at least 64 pixels"),
    ],
)
def test_what_does_not_go_together_is_refused(options: FrameOptions, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        plan(options, found(), [], [256])


def test_images_of_several_sizes_have_no_region() -> None:
    sizes = "60 x 40 (4 images, e.g. a.png), 40 x 60 (1 images, e.g. b.png)"
    with pytest.raises(ImagesError) as refused:
        plan(FrameOptions(roi=(0, 0, 8, 8), tile=(64, 0)), found(None, sizes=sizes), [], [256])
    assert str(refused.value) == (
        f"expected images of one size with --roi, --tiles, found {sizes}; fit on the files of one size, "
        "or crop all files to one size beforehand"
    )


def test_a_reference_of_another_size_or_an_impossible_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "0.png"
    cv2.imwrite(str(path), np.zeros((90, 100), np.uint8))
    with pytest.raises(ImagesError, match="expected a reference of"):
        plan(FrameOptions(align=(20, 5)), found((100, 100)), [path], [64])
    with pytest.raises(ModelError, match="limit above 0 pixels"):
        plan(FrameOptions(align=(0, 5)), found((100, 90)), [path], [64])
