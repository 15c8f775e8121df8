"""Parts that all look alike at a glance must be told from copies of one another."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.errors import PackError
from inspector.model.likeness import SIDE, copies, families, from_sheet, thumbnail, to_sheet

Image = NDArray[np.uint8]


def castings(count: int, seed: int = 0) -> Image:
    """Return parts with one common shape and each a grain of its own, uint8 (n, 96, 96)."""
    rng = np.random.default_rng(seed)
    shape = np.zeros((96, 96))
    cv2.circle(shape, (48, 48), 36, 120, -1)
    grain = np.stack([cv2.GaussianBlur(rng.normal(0, 200, (96, 96)), (0, 0), 4) for _ in range(count)])
    parts: Image = np.clip(shape + 60 + grain, 0, 255).astype(np.uint8)
    return parts


def again(image: Image, seed: int = 0) -> Image:
    """Return the part photographed once more: another exposure, other noise."""
    noise = np.random.default_rng(seed).normal(0, 4, image.shape)
    return np.clip(0.8 * image.astype(np.float64) + 12 + noise, 0, 255).astype(np.uint8)


def small(images: Image) -> Image:
    return np.stack([thumbnail(image) for image in images])


def test_parts_of_one_shape_are_strangers() -> None:
    parts = small(castings(40))
    flat = parts.reshape(40, -1).astype(np.float64)
    assert np.corrcoef(flat).min() > 0.8  # to a plain correlation they are all the same
    assert len(np.unique(families(parts))) == 40


def test_a_part_under_several_exposures_is_one_family() -> None:
    parts = castings(30)
    shots = np.concatenate([parts, again(parts, 1), again(parts, 2)])
    found = families(small(shots))
    assert found.tolist() == [*range(30), *range(30), *range(30)]


def test_likeness_reaches_through_others() -> None:
    """A drifting part: each picture is like the next, the first and the last are strangers."""
    start, end = castings(2).astype(np.float64)
    steps = [np.cos(t) * start + np.sin(t) * end for t in np.linspace(0, np.pi / 2, 6)]
    drift = np.clip(np.stack(steps), 0, 255).astype(np.uint8)
    found = families(small(np.concatenate([castings(60, seed=5), drift])))
    assert len(set(found[60:].tolist())) == 1
    assert len(np.unique(found)) == 61


def test_copies_of_fitted_images_are_found_and_others_not() -> None:
    fitted, others = castings(40), castings(20, seed=9)
    new = np.concatenate([again(fitted[:10]), others])
    assert copies(small(new), small(fitted)).tolist() == [True] * 10 + [False] * 20


def test_flat_images_are_like_none() -> None:
    flat = np.full((2, SIDE, SIDE), 90, np.uint8)
    assert not copies(flat, small(castings(20))).any()


def test_colour_is_looked_at_in_grey() -> None:
    grey = castings(1)[0]
    assert np.array_equal(thumbnail(np.stack([grey] * 3, axis=-1)), thumbnail(grey))


def test_a_sheet_gives_back_its_thumbnails() -> None:
    parts = small(castings(5))
    assert np.array_equal(from_sheet(to_sheet(parts)), parts)


@pytest.mark.parametrize("size", [(SIDE, SIDE + 1), (SIDE + 1, SIDE)])
def test_another_image_is_no_sheet(size: tuple[int, int]) -> None:
    png = cv2.imencode(".png", np.zeros(size, np.uint8))[1].tobytes()
    with pytest.raises(PackError, match="sheet of thumbnails"):
        from_sheet(png)


def test_a_damaged_sheet_is_refused() -> None:
    with pytest.raises(PackError, match="sheet of thumbnails"):
        from_sheet(b"no picture")


def test_a_lot_in_which_each_part_is_like_the_next_is_no_part_photographed_often() -> None:
    """Linked one by one they would all be one family, and a model without them knows nothing of their kind."""
    usual = castings(200, seed=55).astype(np.float64).mean(axis=0)
    own = castings(40, seed=100) - usual
    for before, part in pairwise(own):
        part[:] = 0.9 * before + np.sqrt(1 - 0.9**2) * part
    lot = np.clip(own + usual, 0, 255).astype(np.uint8)
    plain = castings(60)
    found = families(small(np.concatenate([plain, lot, again(plain[:3])])))
    assert np.bincount(found).max() <= 12, "of 40"
    assert found[100:].tolist() == found[:3].tolist(), "and true copies are still found"
