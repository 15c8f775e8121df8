from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.part import PART_ID_MAX, Outcome, Reason, fell_back, next_part_id, part_distance

part_ids = st.integers(1, PART_ID_MAX)


@given(part_ids, st.integers(0, PART_ID_MAX - 1))
def test_distance_undoes_the_steps(part_id: int, steps: int) -> None:
    assert part_distance(part_id, next_part_id(part_id, steps)) == steps


@given(part_ids, st.integers(-PART_ID_MAX, PART_ID_MAX))
def test_no_part_is_ever_number_zero(part_id: int, steps: int) -> None:
    assert 1 <= next_part_id(part_id, steps) <= PART_ID_MAX


def test_ids_wrap_from_the_last_to_one() -> None:
    assert next_part_id(PART_ID_MAX) == 1
    assert next_part_id(1, -1) == PART_ID_MAX


def test_the_first_part_after_none_is_one() -> None:
    assert next_part_id(0) == 1
    assert part_distance(0, 3) == 3


@pytest.mark.parametrize(
    ("before", "count", "back"),
    [
        (0, 0, False), (0, 5, False), (5, 5, False), (5, 6, False), (65_535, 1, False), (40_000, 7_232, False),
        (5, 0, True), (40_000, 0, True), (5, 4, True), (5, 2, True), (1, 65_535, True), (40_000, 7_233, True),
    ],
)  # fmt: skip
def test_a_count_that_went_back_began_anew(before: int, count: int, back: bool) -> None:
    assert fell_back(before, count) is back


def test_no_word_of_a_stale_memory_is_a_verdict() -> None:
    assert not {0, 1, 0xFFFF} & set(Outcome)
    assert Outcome.PASS ^ Outcome.REJECT == 0xFFFF  # every bit differs


@pytest.mark.parametrize("reason", list(Reason))
def test_reason_codes_are_stable(reason: Reason) -> None:
    names = [
        "NONE",
        "SCORE",
        "LATE",
        "FRAME_LOST",
        "FRAME_BAD",
        "OVERRUN",
        "ENGINE",
        "CAMERA",
        "HANDSHAKE",
        "NOT_READY",
        "CHALLENGE",
        "LINK",
    ]
    assert names[reason] == reason.name
    assert all(b - a == 1 for a, b in pairwise(Reason))
