"""Synthetic defects: each changes what it should, and nothing else."""

import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.model.synthetic import KINDS, Image, lay
from tests.support.plates import part

EDGELESS = {"uneven"}  # fades out without end


def plate(seed: int, colours: int = 0) -> Image:
    rng = np.random.default_rng(seed)
    planes = [np.clip(part(rng), 0, 255).astype(np.uint8) for _ in range(max(1, colours))]
    return np.stack(planes, axis=2) if colours else planes[0]


def changed(kind: str, seed: int) -> NDArray[np.bool_]:
    image = plate(seed)
    laid = lay(kind, image, plate(seed + 1), np.random.default_rng(seed))
    return np.not_equal(laid, image)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("colours", [0, 3])
def test_a_copy_is_changed_and_the_images_are_not(kind: str, colours: int) -> None:
    image, donor = plate(0, colours), plate(1, colours)
    before = image.copy(), donor.copy()
    laid = lay(kind, image, donor, np.random.default_rng(0))
    assert laid.shape == image.shape
    assert laid.dtype == np.uint8
    assert (laid != image).any()
    assert np.array_equal(image, before[0])
    assert np.array_equal(donor, before[1])


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_generator_lays_the_same_defect(kind: str) -> None:
    image, donor = plate(0), plate(1)
    first, second, other = (lay(kind, image, donor, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in EDGELESS])
def test_most_of_the_image_stays_as_it_was(kind: str) -> None:
    assert np.median([changed(kind, seed).mean() for seed in range(20)]) < 0.25


def test_sizes_and_contrasts_are_spread_over_orders_of_magnitude() -> None:
    areas, contrasts = [], []
    flat = np.full((200, 200), 128, np.uint8)
    flat[::2] += 20  # some contrast of its own
    for seed in range(60):
        difference = lay("spot", flat, flat, np.random.default_rng(seed)).astype(int) - flat
        areas.append((difference != 0).sum())
        contrasts.append(np.abs(difference).max())
    assert np.quantile(areas, 0.9) > 8 * np.quantile(areas, 0.1)
    assert np.quantile(contrasts, 0.9) > 3 * np.quantile(contrasts, 0.1)


def test_a_blur_takes_contrast_and_a_missing_piece_takes_it_all() -> None:
    stripes = np.tile(np.array([60, 200], np.uint8), (160, 80))
    for kind in ("blur", "missing"):
        laid = lay(kind, stripes, stripes, np.random.default_rng(3)).astype(int)
        assert laid.std() < stripes.std()
        assert abs(laid.mean() - stripes.mean()) < 5


@pytest.mark.parametrize("kind", ["doubled", "texture", "bent"])
def test_moved_pieces_bring_no_new_grey_levels(kind: str) -> None:
    """A share of the textures is brought to the place's brightness; on an image of one brightness that changes nothing."""
    stripes = np.tile(np.array([60, 60, 200, 200], np.uint8), (160, 40))
    laid = lay(kind, stripes, stripes, np.random.default_rng(1))
    assert laid.min() >= 55
    assert laid.max() <= 205


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(16, 40), (64, 16), (33, 47)])
def test_images_of_any_shape_and_a_donor_of_another(kind: str, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    for seed in range(10):
        assert lay(kind, image, plate(0), np.random.default_rng(seed)).shape == shape


@pytest.mark.parametrize("kind", ["scratch", "spot", "uneven"])
def test_an_image_without_contrast_gets_a_defect_too(kind: str) -> None:
    flat = np.full((80, 80), 100, np.uint8)
    assert (lay(kind, flat, flat, np.random.default_rng(0)) != flat).any()
