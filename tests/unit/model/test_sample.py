"""The sample that tuning judges by."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from inspector.errors import ImagesError
from inspector.model import sample
from inspector.model.batches import Batches
from inspector.model.folds import Folds, choose_folds
from inspector.model.framing import Framing, plan
from inspector.model.images import survey
from inspector.model.options import FrameOptions
from inspector.model.progress import uncounted
from inspector.model.sample import Image, Sample, draw
from inspector.model.synthetic import KINDS
from tests.support.plates import SIDE, write

EACH = 2


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "EACH", EACH)
    monkeypatch.setattr(sample, "BROAD", {"uneven": 3})


def folds(family_of: list[int] | None = None) -> Folds:
    families = np.array(family_of or range(30))
    batches = Batches(np.repeat(np.arange(3), 10), ("a", "b", "c"), families, "folders")
    return choose_folds(batches, np.random.default_rng(0))


def framing(paths: list[Path], options: FrameOptions | None = None) -> Framing:
    return plan(options or FrameOptions(), survey(paths), paths, (96,))


def drawn(paths: list[Path], seed: int = 0, options: FrameOptions | None = None) -> Sample:
    return draw(paths, folds(), framing(paths, options), seed, uncounted)


def like(goods: Sequence[Image], image: Image) -> int:
    """Return the good image under a defect: noise of neighbouring pixels is the same nearly everywhere, also under a shade."""
    grain = np.diff(image.astype(int))
    return int(np.argmin([np.median(np.abs(np.diff(good.astype(int)) - grain)) for good in goods]))


def test_every_kind_of_defect_lies_on_images_of_the_same_shape(paths: list[Path]) -> None:
    some = drawn(paths)
    assert some.good == 30
    assert np.bincount(some.kind_of + 1).tolist() == [30] + [6 if kind == "uneven" else 2 for kind in KINDS]
    assert {image.shape for image in some.images} == {(96, 96)}
    assert len(some.images) == len(some.kind_of) == len(some.fold_of)


def test_the_seed_says_all(paths: list[Path]) -> None:
    first, second, other = drawn(paths), drawn(paths), drawn(paths, seed=1)
    assert all(np.array_equal(one, two) for one, two in zip(first.images, second.images, strict=True))
    assert not all(np.array_equal(one, two) for one, two in zip(first.images, other.images, strict=True))


def test_no_model_sees_what_it_judges_nor_what_a_defect_was_laid_on(paths: list[Path]) -> None:
    some = drawn(paths)
    goods = some.images[: some.good]
    for index in range(len(some.images)):
        assert some.fold_of[index] >= 0
        under = like(goods, some.images[index])
        assert some.barred[some.fold_of[index], some.group_of[under]]
        assert some.fold_of[index] == some.fold_of[under]


def test_more_folds_than_are_judged_leave_images_to_fit_on_only(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "JUDGED", 2)
    some = drawn(paths)
    assert len(some.barred) == 2
    assert (some.fold_of[:30] == -1).sum() == 10
    assert (some.fold_of[30:] >= 0).all()


def test_a_large_folder_is_not_read_whole(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "GOOD", 12)
    some = drawn(paths)
    assert some.good == 12
    assert some.barred.shape[1] == some.group_of.max() + 1


def test_defects_lie_where_something_is_watched(paths: list[Path], tmp_path: Path) -> None:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:, : SIDE // 2] = 255
    write(tmp_path / "mask.png", mask)
    some = drawn(paths, options=FrameOptions(mask=tmp_path / "mask.png"))
    left = 0
    for image in some.images[some.good :]:
        under = some.images[like(some.images[: some.good], image)]
        difference = np.abs(under.astype(int) - image)
        left += difference[:, :48].sum() >= difference[:, 48:].sum()
    assert left >= 0.9 * (len(some.images) - some.good)


def test_an_image_that_does_not_fit_is_named(paths: list[Path], tmp_path: Path) -> None:
    odd = tmp_path / "odd.png"
    write(odd, np.zeros((40, 200)))
    with pytest.raises(ImagesError, match=r"odd\.png: expected frames of"):
        draw([*paths[:29], odd], folds(), framing(paths), 0, uncounted)
