"""Numbers of things are written as people write them."""

from inspector.model.wording import counted


def test_one_thing_and_several() -> None:
    assert [counted(number, "image") for number in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
    assert [counted(number, "batch", "batches") for number in (1, 3)] == ["1 batch", "3 batches"]
