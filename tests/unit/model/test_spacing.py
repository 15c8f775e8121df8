import numpy as np
import pytest

from inspector.model.bank import build_bank
from inspector.model.spacing import local_spacing


def patches(count: int, depth: int = 8) -> np.ndarray:
    return np.random.default_rng(3).standard_normal((count, depth)).astype(np.float32)


def exact(entries: np.ndarray, neighbours: int) -> np.ndarray:
    distances = np.linalg.norm(entries[:, None].astype(np.float64) - entries[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    return np.asarray(np.sort(distances, axis=1)[:, :neighbours].mean(axis=1))


@pytest.mark.parametrize(
    "count", [3, 7, 900, 1024, 1025, 2500]
)  # fewer than neighbours, one tile, and several
def test_spacing_is_the_mean_distance_to_the_nearest_others(count: int) -> None:
    entries = patches(count)
    expected = exact(entries, min(5, count - 1))
    np.testing.assert_allclose(
        local_spacing(entries, 5), np.maximum(expected, 0.1 * np.median(expected)), rtol=1e-3
    )


def test_the_order_of_the_entries_does_not_matter_also_where_the_near_ones_come_last() -> None:
    entries = patches(2100)
    entries *= np.linspace(3, 0.1, len(entries), dtype=np.float32)[:, None]  # as a greedy bank: ever closer
    np.testing.assert_allclose(local_spacing(entries)[::-1], local_spacing(entries[::-1]), rtol=1e-3)


def test_spacing_is_never_nothing() -> None:
    entries = np.concatenate([patches(100), np.zeros((10, 8), np.float32)])
    spacing = local_spacing(entries)
    assert spacing.min() == pytest.approx(0.1 * np.median(spacing), rel=1e-5)
    assert local_spacing(np.zeros((2, 4), np.float32)).min() > 0


def test_a_patch_that_is_alone_has_a_spacing_too() -> None:
    """As where all patches are equal: the bank is one of them."""
    assert build_bank(np.ones((100, 8), np.float32), 30, np.random.default_rng(0)).spacing.tolist() == [1]


@pytest.mark.parametrize("count", [1, 5, 1500, 3100])
def test_progress_counts_every_entry_once(count: int) -> None:
    steps: list[int] = []
    local_spacing(patches(count), advance=steps.append)
    assert sum(steps) == count
