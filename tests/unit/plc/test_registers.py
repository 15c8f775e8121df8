"""The register map: words of a verdict, status and control, and the release rule."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.part import (
    PART_ID_MAX,
    Deciding,
    Expected,
    Finding,
    Outcome,
    Reason,
    Verdict,
    next_part_id,
)
from inspector.plc import registers
from inspector.plc.register_table import markdown
from inspector.plc.registers import Control, Flag, RegisterMap, State, Status, WordOrder

TABLE = Path(__file__).parents[3] / "config" / "registers.md"
ORDERS: list[WordOrder] = ["high_first", "low_first"]
words16 = st.integers(0, 0xFFFF)
words32 = st.integers(0, 0xFFFF_FFFF)


def verdict(
    part_id: int = 7, *, outcome: Outcome = Outcome.PASS, relative: float = 0.5, ms: float = 12.34
) -> Verdict:
    reason = Reason.NONE if outcome is Outcome.PASS else Reason.SCORE
    return Verdict(
        part_id,
        outcome,
        reason,
        0,
        100_000_000,
        round(ms * 1e6),
        finding=Finding(relative_score=relative),
        deciding=Deciding(recipe=3),
    )


def test_the_table_for_people_is_the_map() -> None:
    """Else: python -m inspector.plc.register_table > config/registers.md."""
    assert TABLE.read_text() == markdown(RegisterMap())


def test_a_verdict_is_eight_words() -> None:
    words = registers.encode_result(verdict(), Flag.SIMULATED)
    assert words == [7, 0x5A5A, 0, 500, 123, 3, 1, 7]
    assert list(registers.decode_result(words)) == [field.name for field in registers.RESULT_SLOT]


@pytest.mark.parametrize(
    ("relative", "word"),
    [
        (0.0, 0),
        (-1.0, 0),
        (65.534, 65534),
        (1e9, 65534),
        (math.nan, 65535),
        (math.inf, 65535),
        (-math.inf, 65535),
    ],
)
def test_a_score_saturates_and_no_score_is_never_a_small_one(relative: float, word: int) -> None:
    assert registers.encode_result(verdict(relative=relative), Flag(0))[3] == word


def test_a_latency_saturates() -> None:
    assert registers.encode_result(verdict(ms=1e6), Flag(0))[4] == 65535


@given(st.integers(1, PART_ID_MAX), st.integers(1, PART_ID_MAX))
def test_only_a_pass_of_that_very_part_releases(shown: int, asked: int) -> None:
    words = registers.encode_result(verdict(shown), Flag(0))
    assert registers.releases(words, asked) == (shown == asked)
    rejected = registers.encode_result(verdict(shown, outcome=Outcome.REJECT), Flag(0))
    assert not registers.releases(rejected, asked)


@given(st.lists(words16, min_size=8, max_size=8), st.integers(0, PART_ID_MAX))
def test_what_nobody_wrote_releases_nothing(words: list[int], part_id: int) -> None:
    whole = words[0] == words[7] == part_id != 0 and words[1] == 0x5A5A
    assert registers.releases(words, part_id) == whole


def test_zeros_release_nothing() -> None:
    assert not registers.releases([0] * 8, 0)
    assert not registers.releases([0, 0x5A5A, 0, 0, 0, 0, 0, 0], 0)


@pytest.mark.parametrize("torn_at", range(1, 8))
def test_a_torn_slot_releases_neither_part(torn_at: int) -> None:
    old = registers.encode_result(verdict(7), Flag(0))
    new = registers.encode_result(verdict(23), Flag(0))
    torn = new[:torn_at] + old[torn_at:]
    assert not registers.releases(torn, 7)
    assert not registers.releases(torn, 23)


@pytest.mark.parametrize("order", ORDERS)
@given(
    st.builds(
        Status,
        words16,
        st.just(State.READY | State.BUSY),
        words16,
        words16,
        words32,
        words32,
        words32,
        words32,
        words32,
    )
)
def test_status_comes_back_as_written(order: WordOrder, status: Status) -> None:
    words = registers.encode_status(status, order)
    assert len(words) == registers.STATUS_WORDS
    assert registers.decode_status(words, order) == status


def test_the_word_order_is_the_counters_only() -> None:
    status = Status(1, State(0), 2, 3, 0x0001_0002, 0, 0, 0)
    assert registers.encode_status(status)[:6] == [1, 0, 2, 3, 1, 2]
    assert registers.encode_status(status, "low_first")[:6] == [1, 0, 2, 3, 2, 1]


def test_control_comes_back_as_written() -> None:
    control = Control(
        enable=True, clear_fault=False, challenge_mode=True, recipe_request=4, part_count=5, plc_heartbeat=6
    )
    assert registers.decode_control(registers.encode_control(control)) == control


def test_any_word_but_zero_is_a_full_bin() -> None:
    assert registers.decode_control([1, 0, 0, 0, 0, 0, 2, 0]).bin_full
    assert not registers.decode_control([1, 0, 0, 0, 0, 0, 0, 2]).bin_full


def test_a_challenge_part_is_marked_beside_the_other_flags() -> None:
    words = registers.encode_result(replace(verdict(), expected=Expected.GOOD), Flag.SIMULATED)
    assert Flag(words[6]) == Flag.SIMULATED | Flag.CHALLENGE
    assert words[:6] == registers.encode_result(verdict(), Flag.SIMULATED)[:6]


def test_only_exactly_one_enables() -> None:
    assert not registers.decode_control([0xFFFF, 0, 0, 0, 0, 0, 0, 0]).enable


def test_blocks_must_stand_apart_and_fit() -> None:
    assert RegisterMap().problems() == []
    assert RegisterMap(results_address=0, status_address=128, control_address=142).problems() == []
    (overlap,) = RegisterMap(status_address=127).problems()
    assert overlap == "results block 0..127 overlaps the status block 127..140"
    (outside,) = RegisterMap(control_address=65531).problems()
    assert outside == "control block: addresses 65531..65538 leave 0..65535"


@given(st.integers(1, PART_ID_MAX), st.integers(2, 1024))
def test_a_slot_lies_in_its_block(part_id: int, slots: int) -> None:
    where = RegisterMap(slots=slots)
    first = where.slot_address(part_id)
    assert {first, first + registers.SLOT_WORDS - 1} <= set(where.blocks()["results"])


@pytest.mark.parametrize("slots", [2, 14, 15, 16, 128])
def test_where_ids_go_round_no_stale_verdict_releases_though_a_slot_comes_round_sooner(slots: int) -> None:
    """A PLC that clears nothing, and verdicts that all are PASS and all stay where they were written."""
    where, memory = RegisterMap(slots=slots), dict[int, list[int]]()
    parts = [next_part_id(PART_ID_MAX, step) for step in range(-2 * slots, 2 * slots)]
    for part_id in parts:
        slot = where.slot_address(part_id)
        stale = memory.get(slot, [0] * registers.SLOT_WORDS)
        assert not registers.releases(stale, part_id)
        memory[slot] = registers.encode_result(verdict(part_id), Flag(0))
        assert [p for p in parts if registers.releases(memory[slot], p)] == [part_id]
    apart = min(b - a for a, b in _same_slot([where.slot_address(part_id) for part_id in parts]))
    assert apart == (PART_ID_MAX % slots or slots)


def _same_slot(slots: list[int]) -> list[tuple[int, int]]:
    """Return the places of each slot and of its next use."""
    return [(i, slots.index(slot, i + 1)) for i, slot in enumerate(slots) if slot in slots[i + 1 :]]
