"""The conveyor: order and spacing of the parts."""

import json
import random
from itertools import islice
from pathlib import Path

import pytest

from tools.linesim.conveyor import InputError, Item, deal, read_items, spacings_ns

ITEMS = [Item(f"image-{n}", good=n % 2 == 0) for n in range(10)]


def test_every_image_comes_once_before_any_comes_again() -> None:
    dealt = list(islice(deal(ITEMS, random.Random(3)), 20))
    assert set(dealt[:10]) == set(dealt[10:]) == set(ITEMS)
    assert dealt[:10] != dealt[10:]


def test_a_seed_fixes_order_and_spacing() -> None:
    def run(seed: int) -> tuple[list[Item], list[int]]:
        rng = random.Random(seed)
        return list(islice(deal(ITEMS, rng), 15)), list(islice(spacings_ns(10, 60, rng), 15))

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_spacing_keeps_the_minimum_and_the_mean() -> None:
    gaps = list(islice(spacings_ns(10, 60, random.Random(5)), 20_000))
    assert min(gaps) >= 60_000_000
    assert sum(gaps) / len(gaps) == pytest.approx(100_000_000, rel=0.02)


def test_the_least_spacing_may_be_all_of_it() -> None:
    assert set(islice(spacings_ns(10, 100, random.Random(5)), 10)) == {100_000_000}


def test_images_are_read_with_their_truth(tmp_path: Path) -> None:
    file = tmp_path / "images.json"
    file.write_text(json.dumps({"good": ["a"], "bad": ["b", "c"]}))
    assert read_items(file) == [Item("a", good=True), Item("b", good=False), Item("c", good=False)]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"good": 3}', '{"good": []}'])
def test_a_file_without_images_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "images.json").write_text(text)
    with pytest.raises(InputError, match=r"images\.json: expected"):
        read_items(tmp_path / "images.json")
