"""Numbers of things are written as people write them."""

from inspector.model.wording import banks, counted


def test_one_thing_and_several() -> None:
    assert [counted(number, "image") for number in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
    assert [counted(number, "batch", "batches") for number in (1, 3)] == ["1 batch", "3 batches"]


def test_banks_of_several_views_are_counted() -> None:
    assert [banks(6000, views) for views in (0, 1, 2)] == ["6000", "6000", "2 x 3000"]
    assert banks(6001, 2) == "6001 in 2 views"
