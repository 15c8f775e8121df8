"""No image is judged by a model that saw it, its batch, or a copy of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.errors import ImagesError
from inspector.model.batches import Batches, Source
from inspector.model.folds import Folds, choose_folds, hold_out_families


def batches(sizes: list[int], family_of: list[int] | None = None, source: Source = "folders") -> Batches:
    batch_of = np.repeat(np.arange(len(sizes)), sizes)
    families = np.arange(len(batch_of)) if family_of is None else np.array(family_of)
    return Batches(batch_of, tuple(f"day {number}" for number in range(len(sizes))), families, source)


def chosen(some: Batches) -> Folds:
    return choose_folds(some, np.random.default_rng(0))


def seen_together(folds: Folds, kind_of: np.ndarray) -> bool:
    """Say whether a fold's model saw an image of a kind that it judges."""
    return any(
        bool(np.isin(kind_of[folds.fitted_on(fold)], kind_of[folds.fold_of == fold]).any())
        for fold in range(folds.count)
    )


def test_whole_batches_are_held_out() -> None:
    some = batches([30, 20, 25])
    folds = chosen(some)
    assert folds.count == 3
    assert not seen_together(folds, some.batch_of)
    assert all(folds.fitted_on(fold).sum() == (folds.fold_of != fold).sum() for fold in range(3))


def test_many_batches_share_folds_of_about_equal_size() -> None:
    folds = chosen(batches([index + 2 for index in range(12)]))
    sizes = np.bincount(folds.fold_of)
    assert len(sizes) == folds.count == 5
    assert sizes.max() - sizes.min() <= 13


def test_a_copy_in_another_batch_is_seen_by_neither_side() -> None:
    family_of = list(range(60))
    family_of[45] = 3  # a part of the first batch stands in the third too
    some = batches([20, 20, 20], family_of)
    folds = chosen(some)
    assert not seen_together(folds, some.family_of)
    assert sum(folds.fitted_on(fold).sum() for fold in range(3)) == 3 * 40 - 2


def test_where_every_part_is_in_every_batch_both_are_held_out() -> None:
    some = batches([30, 30, 30], list(range(30)) * 3)
    folds = chosen(some)
    assert not seen_together(folds, some.batch_of)
    assert not seen_together(folds, some.family_of)
    assert folds.count == 9
    assert all(folds.fitted_on(fold).sum() == 40 for fold in range(9))


@pytest.mark.parametrize("source", ["likeness", "none"])
def test_without_batches_families_are_held_out(source: Source) -> None:
    some = batches([60], [index // 4 for index in range(60)], source)
    folds = chosen(some)
    assert folds.count == 5
    assert not seen_together(folds, some.family_of)
    assert np.bincount(folds.fold_of).tolist() == [12] * 5


@pytest.mark.parametrize(
    "some", [batches([40], [0] * 40, "none"), batches([38, 2], [0] * 40), batches([40], source="none")]
)
def test_with_one_batch_and_nothing_to_part_it_single_images_are_held_out(some: Batches) -> None:
    folds = chosen(some)
    assert np.bincount(folds.fold_of).tolist() == [8] * 5
    assert all(folds.fitted_on(fold).sum() == 32 for fold in range(5))


def test_too_few_images_are_refused() -> None:
    with pytest.raises(ImagesError, match="at least 20 different good images, found 19"):
        chosen(batches([10, 9]))


def test_pictures_of_one_part_are_held_out_by_batch() -> None:
    some = batches([20, 20, 20], [0] * 60)
    folds = chosen(some)
    assert folds.count == 3
    assert not seen_together(folds, some.batch_of)


@given(
    sizes=st.lists(st.integers(7, 20), min_size=3, max_size=8),
    copies=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=12),
)
def test_whatever_the_batches_no_copy_is_judged_by_who_saw_it(
    sizes: list[int], copies: list[tuple[int, int]]
) -> None:
    family_of = np.arange(sum(sizes))
    for one, other in copies:
        family_of[family_of == family_of[one]] = family_of[-1 - other]
    some = batches(sizes, np.unique(family_of, return_inverse=True)[1].tolist())
    folds = chosen(some)
    assert not seen_together(folds, some.batch_of)
    assert not seen_together(folds, some.family_of)
    for fold in range(folds.count):
        assert folds.fitted_on(fold).any()
        assert (folds.fold_of == fold).any()


def test_few_images_are_held_out_by_whole_families() -> None:
    family_of = np.array([0, 0, 1, 2, 2, 2, 3, 4, 5, 6])
    batches = Batches(np.zeros(10, np.int64), ("new",), family_of, "none")
    folds = hold_out_families(batches)
    assert folds.count == 5
    for fold in range(folds.count):
        judged = set(family_of[folds.fold_of == fold].tolist())
        assert judged.isdisjoint(family_of[folds.fitted_on(fold)].tolist())
    alone = hold_out_families(Batches(np.zeros(3, np.int64), ("new",), np.zeros(3, np.int64), "none"))
    assert not alone.fitted_on(0).any()
