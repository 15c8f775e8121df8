"""Figures of merit against the definitions, counted out."""

import itertools

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.model.metrics import PixelScores, auroc, percentiles

Floats = NDArray[np.float64]


def by_pairs(good: Floats, bad: Floats) -> float:
    return float(np.mean([(b > g) + (b == g) / 2 for g, b in itertools.product(good, bad)]))


def scene(seed: int = 1) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return pixel scores of six images and where their defects are: several regions, some of one pixel, two images without."""
    rng = np.random.default_rng(seed)
    scores = rng.gamma(2, size=(6, 40, 30)).astype(np.float32)
    defect = np.zeros((6, 40, 30), np.bool_)
    for image, boxes in enumerate(
        [[(2, 3, 9, 9)], [(0, 0, 1, 1), (10, 5, 30, 12)], [(20, 20, 23, 28), (30, 2, 38, 4)], [(5, 5, 7, 7)]]
    ):
        for top, left, bottom, right in boxes:
            defect[image, top:bottom, left:right] = True
    scores[defect] += rng.uniform(0, 3, defect.sum()).astype(np.float32)
    return scores, defect


def counted(scores: NDArray[np.float32], defect: NDArray[np.bool_]) -> PixelScores:
    pixels = PixelScores(len(scores), scores)
    for one, truth in zip(scores, defect, strict=True):
        pixels.add(one, truth)
    return pixels


def aupro_by_limits(scores: NDArray[np.float32], defect: NDArray[np.bool_], most: float = 0.3) -> float:
    """Return the area under the per-region overlap by its definition: every limit, region by region."""
    regions = []
    for image, truth in enumerate(defect):
        count, labels = cv2.connectedComponents(truth.astype(np.uint8), connectivity=8)
        regions += [scores[image][labels == number] for number in range(1, count)]
    points = [(0.0, 0.0)]
    for limit in np.sort(np.unique(scores))[::-1]:
        falsely = float((scores[~defect] >= limit).mean())
        points.append((falsely, float(np.mean([(region >= limit).mean() for region in regions]))))
    area = 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if x0 < most and x1 > x0:
            end = min(x1, most)
            y_end = y0 + (y1 - y0) * (end - x0) / (x1 - x0)
            area += (end - x0) * (y0 + y_end) / 2
    return area / most


def test_auroc_is_the_share_of_ordered_pairs_with_ties_counted_half() -> None:
    rng = np.random.default_rng(0)
    good, bad = rng.integers(0, 8, 40) / 2, rng.integers(2, 10, 30) / 2
    assert auroc(good, bad) == pytest.approx(by_pairs(good, bad))


def test_auroc_of_perfect_blind_and_reversed() -> None:
    low, high = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    assert (auroc(low, high), auroc(low, low), auroc(high, low)) == (1.0, 0.5, 0.0)


def test_a_part_beyond_its_pose_is_above_all() -> None:
    assert auroc(np.array([1.0, 2.0]), np.array([np.inf, 1.5])) == 0.75


def test_pixels_counted_in_bins_give_the_same_auroc() -> None:
    scores, defect = scene()
    exact = auroc(scores[~defect].astype(np.float64), scores[defect].astype(np.float64))
    assert counted(scores, defect).auroc() == pytest.approx(exact, abs=2e-4)


@pytest.mark.parametrize("seed", range(3))
def test_aupro_is_the_area_under_the_mean_overlap_of_regions(seed: int) -> None:
    scores, defect = scene(seed)
    pixels = counted(scores, defect)
    assert pixels.regions == 6
    assert pixels.aupro() == pytest.approx(aupro_by_limits(scores, defect), abs=1e-3)


def test_aupro_of_perfect_and_blind() -> None:
    _, defect = scene()
    assert counted(defect.astype(np.float32), defect).aupro() == pytest.approx(1.0)
    chance = np.random.default_rng(2).random((40, 60, 60)).astype(np.float32)
    where = np.zeros(chance.shape, np.bool_)
    where[:, 10:40, 10:40] = True
    assert counted(chance, where).aupro() == pytest.approx(0.15, abs=0.01)  # the triangle below 30 %


def test_small_regions_count_as_much_as_large_ones() -> None:
    """What sets AUPRO apart from the AUROC of pixels."""
    scores, defect = np.zeros((1, 20, 20), np.float32), np.zeros((1, 20, 20), np.bool_)
    defect[0, :10, :10] = defect[0, 15, 15] = True
    scores[0, :10, :10] = 1  # the large one is found, the lone pixel is not
    pixels = counted(scores, defect)
    assert pixels.auroc() > 0.99
    assert pixels.aupro() == pytest.approx(0.5 + 0.5 * 0.15, abs=1e-6)


def test_weights_count_images_as_often_as_they_say() -> None:
    scores, defect = scene()
    weights = np.array([2.0, 0, 1, 3, 0, 1])
    drawn = np.repeat(np.arange(6), weights.astype(int))
    pixels, again = counted(scores, defect), PixelScores(len(drawn), scores)
    for image in drawn:
        again.add(scores[image], defect[image])
    assert pixels.auroc(weights) == pytest.approx(again.auroc(), abs=1e-5)
    assert pixels.aupro(weights) == pytest.approx(again.aupro(), abs=1e-5)


def test_percentiles_are_named() -> None:
    assert percentiles(list(range(101))) == {"p50": 50.0, "p99": 99.0}
