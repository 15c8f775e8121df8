"""What the table of a fit says of the threshold's worth."""

from typing import Literal

import pytest

from inspector.model.fit_command import _backbone, _curve, _learnt, _others, _view
from inspector.model.manifest import HeldOut, LearningPoint, PrecisionEntry, ViewEntry

By = Literal["folders", "times", "likeness", "none"]
POINT = LearningPoint(images=120, batches=6, threshold=(1.25, 1.5), highest_rate=0.08, foreseen=True)


def held_out(by: By, *learning: LearningPoint) -> HeldOut:
    return HeldOut(
        by=by,
        batches=3,
        families=60,
        folds=5,
        images=60,
        false_reject_rate=0.0,
        interval=None,
        next_images=100,
        promised=False,
        confidence=0.95,
        learning=learning,
    )


@pytest.mark.parametrize(
    ("by", "label"),
    [
        ("folders", "with 120 images in 6 batches"),
        ("likeness", "with 120 images"),
        ("none", "with 120 images"),
    ],
)
def test_batches_are_counted_only_where_there_are_some(by: By, label: str) -> None:
    said = "threshold 1.250 to 1.500, up to 8.0% of a next batch rejected (foreseen)"
    assert _learnt(POINT, held_out(by)) == (label, said)


def test_a_view_is_shown_with_its_region_its_limit_and_what_it_rejects() -> None:
    entry = ViewEntry(
        name="pins", roi=(5, 6, 30, 40), picture=None, limit=3.25, grey=(1.0, 2.0), false_reject_rate=0.005
    )
    assert _view(entry) == (
        "30 x 40 pixels at 5, 6; a limit of its own, 3.2500, 0.50% of the held-out images above it"
    )


def test_one_batch_is_written_as_one() -> None:
    point = POINT.model_copy(update={"batches": 1, "foreseen": False, "highest_rate": None})
    assert _learnt(point, held_out("folders")) == (
        "with only 120 images in 1 batch",
        "threshold 1.250 to 1.500",
    )


def test_only_points_that_say_something_are_shown_each_under_a_label_of_its_own() -> None:
    fewer, all_of_them = (
        POINT.model_copy(update={"images": images, "foreseen": False, "highest_rate": None})
        for images in (15, 60)
    )
    more = POINT.model_copy(update={"images": 240})
    nothing = POINT.model_copy(update={"images": 480, "highest_rate": None})
    seen = held_out("folders", fewer, all_of_them, POINT, more, nothing)
    assert _others(seen) == [fewer, POINT, more]
    assert _others(held_out("likeness", fewer, POINT, more)) == [fewer]
    again = fewer.model_copy(update={"threshold": (1.1, 1.2)})
    assert list(_curve(held_out("folders", fewer, again, POINT))) == [
        "with only 15 images in 6 batches",
        "with 120 images in 6 batches",
    ]


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        ("float32", "float32, because the two decide differently"),
        (
            "int8",
            "int8, because the two decide differently; the pack stays on the CPU, a GPU wants --precision float32",
        ),
    ],
)
def test_the_precision_taken_is_told_with_its_reason(taken: Literal["float32", "int8"], said: str) -> None:
    entry = PrecisionEntry(
        taken=taken, why="the two decide differently", deviation_bound=0.03, flip_bound=0.06, found=None
    )
    assert list(_backbone(entry)) == [("backbone", said)]


def test_a_pack_that_says_nothing_of_its_precision_has_no_such_row() -> None:
    assert list(_backbone(None)) == []
