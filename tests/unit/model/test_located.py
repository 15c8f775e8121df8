"""Heat maps are held against masks where the image's pixels are, whatever part of it the pack looks at."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.engine.base import Score
from inspector.engine.place import Affine, compose, shift, stretch
from inspector.errors import ImagesError
from inspector.model.compare import bootstrap
from inspector.model.judged import Judged
from inspector.model.likeness import SIDE
from inspector.model.located import pixel_scores

SIZE = 200, 120  # width and height of the images
WHOLE = stretch((10, 6), SIZE)  # 20 pixels a cell
CORNER = compose(shift(100, 60), stretch((10, 6), (100, 60)))  # looks at the last quarter only


def cells(*hot: tuple[int, int]) -> NDArray[np.float32]:
    plane = np.zeros((6, 10), np.float32)
    for row, column in hot:
        plane[row, column] = 1
    return plane


def judged(of_good: Score | None, of_bad: Score | None) -> Judged:
    nothing = np.zeros((2, SIDE, SIDE), np.uint8)
    return Judged(1, np.array([0.0, 1.0]), (of_good, of_bad), (SIZE, SIZE), nothing, {}, "none")


def mask(folder: Path, left: int, top: int, side: int = 20) -> Path:
    white = np.zeros(SIZE[::-1], np.uint8)
    white[top : top + side, left : left + side] = 255
    path = folder / "part_mask.png"
    cv2.imwrite(str(path), white)
    return path


def test_every_view_is_searched_and_not_the_one_that_decided_alone(tmp_path: Path) -> None:
    left = stretch((10, 6), (100, 120))
    right = compose(shift(100, 0), left)

    def of(*hot: tuple[int, int]) -> Score:
        views = Score(0.5, cells(), left), Score(1, cells(*hot), right)
        return replace(views[0], views=views)

    found = pixel_scores(judged(of(), of((3, 5))), [mask(tmp_path, 150, 60, 10)])
    assert found.auroc() > 0.99


@pytest.mark.parametrize(("place", "left", "top", "side"), [(WHOLE, 60, 40, 20), (CORNER, 130, 80, 10)])
def test_a_hot_cell_is_found_where_it_lies_in_the_image(
    tmp_path: Path, place: Affine, left: int, top: int, side: int
) -> None:
    found = pixel_scores(
        judged(Score(0, cells(), place), Score(1, cells((2, 3)), place)), [mask(tmp_path, left, top, side)]
    )
    assert found.regions == 1
    assert found.auroc() > 0.99
    missed = pixel_scores(
        judged(Score(0, cells(), place), Score(1, cells((4, 8)), place)), [mask(tmp_path, left, top, side)]
    )
    assert missed.auroc() < 0.52


def test_what_is_not_looked_at_is_not_found(tmp_path: Path) -> None:
    everything = Score(1, np.ones((6, 10), np.float32), CORNER)
    found = pixel_scores(judged(Score(0, cells(), CORNER), everything), [mask(tmp_path, 10, 10)])
    assert found.auroc() < 0.5


def test_a_part_beyond_its_pose_is_odd_all_over(tmp_path: Path) -> None:
    found = pixel_scores(judged(Score(0, cells((0, 0)), WHOLE), None), [mask(tmp_path, 60, 40)])
    assert 0.7 < found.auroc() < 0.8  # above the good image, level with the rest of its own


def test_masks_without_anything_white_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImagesError, match="all are black; correct the masks"):
        pixel_scores(
            judged(Score(0, cells(), WHOLE), Score(1, cells(), WHOLE)), [mask(tmp_path, 0, 0, side=0)]
        )


def test_a_mask_of_another_size_than_its_image_is_refused(tmp_path: Path) -> None:
    path = mask(tmp_path, 60, 40)
    cv2.imwrite(str(path), np.full((60, 100), 255, np.uint8))
    with pytest.raises(
        ImagesError, match="expected a mask of 200 x 120 pixels like its image, found 100 x 60"
    ):
        pixel_scores(judged(Score(0, cells(), WHOLE), Score(1, cells(), WHOLE)), [path])


def test_parts_that_are_all_beyond_their_pose_are_alike(tmp_path: Path) -> None:
    assert pixel_scores(judged(None, None), [mask(tmp_path, 60, 40)]).auroc() == 0.5


def test_a_black_mask_among_others_leaves_an_interval(tmp_path: Path) -> None:
    """Drawn twice, it is a sample without any defect."""
    (tmp_path / "black").mkdir()
    masks = [mask(tmp_path, 60, 40), mask(tmp_path / "black", 0, 0, side=0)]
    one = judged(Score(0, cells(), WHOLE), Score(1, cells((2, 3)), WHOLE))
    three = replace(
        one, values=np.array([0.0, 1.0, 1.0]), scores=(*one.scores, one.scores[1]), sizes=(SIZE,) * 3
    )
    found = pixel_scores(three, masks)
    strata = np.array([0, 1, 1])
    for low, high in (
        bootstrap(lambda drawn: found.auroc(drawn.astype(np.float64)), strata),
        bootstrap(lambda drawn: found.aupro(drawn.astype(np.float64)), strata),
    ):
        assert 0 < low <= high <= 1
