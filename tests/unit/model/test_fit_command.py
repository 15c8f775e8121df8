"""What the table of a fit says of the threshold's worth."""

from typing import Literal

import pytest

from inspector.model.fit_command import _learnt
from inspector.model.pack import HeldOut, LearningPoint

POINT = LearningPoint(images=120, batches=6, threshold=(1.25, 1.5), highest_rate=0.08, foreseen=True)


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ("folders", "120 images, 6 batches: threshold 1.250 to 1.500, up to 8.0% rejected"),
        ("likeness", "120 images: threshold 1.250 to 1.500, up to 8.0% rejected"),
        ("none", "120 images: threshold 1.250 to 1.500, up to 8.0% rejected"),
    ],
)
def test_batches_are_counted_only_where_there_are_some(
    by: Literal["folders", "times", "likeness", "none"], said: str
) -> None:
    held_out = HeldOut(
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
        learning=(POINT,),
    )
    assert _learnt(POINT, held_out) == said
