"""The judge alone, told what happened: what it can only see when a gate or a PLC itself does wrong."""

from collections.abc import Sequence

import pytest

from inspector.part import Outcome, Reason
from inspector.plc.registers import Flag, State, Status
from tools.linesim.judge import HELD_NS, NO_SCORE, Judge, Part

SLOTS = 4
BUDGET = 100


def status(parts: int = 0, rejects: int = 0, late: int = 0, lost: int = 0) -> Status:
    return Status(0, State.READY, 0, 1, parts, rejects, late, lost)


def words(
    part_id: int, outcome: int = Outcome.PASS, reason: int = Reason.NONE, score: int = NO_SCORE
) -> list[int]:
    return [part_id, outcome, reason, score, 0, 1, 0, part_id]


class Bench:
    """A judge and the parts it closed, with short words for what happens."""

    def __init__(self, held_ns: int = HELD_NS, old_answers: int = 0) -> None:
        self.closed: list[Part] = []
        self.judge = Judge(slots=SLOTS, closed=self.closed.append, held_ns=held_ns, old_answers=old_answers)
        self.tally = self.judge.tally

    def count(self, index: int, *, image: str = "a", good: bool = True, part_id: int | None = None) -> Part:
        part = Part(
            index, index if part_id is None else part_id, image, good, 1000 * index, 1000 * index + BUDGET
        )
        self.judge.counted(part)
        return part

    def write(self, part: Part, slot_words: Sequence[int], t_ns: int = 10) -> None:
        self.judge.slot_written(part.part_id % SLOTS, slot_words, part.t_trigger_ns + t_ns)

    def gate(
        self, part: Part, *, released: bool, slot_words: Sequence[int] = (0,) * 8, powered: bool = True
    ) -> None:
        self.judge.gate_decided(part, released=released, words=slot_words, powered=powered)

    def broken(self) -> list[str]:
        self.judge.end()
        return [line[:2] for line in self.judge.broken_promises()]


def test_a_gate_that_releases_without_any_verdict_is_found() -> None:
    bench = Bench()
    part = bench.count(1)
    bench.gate(part, released=True)
    assert bench.tally.wrong_releases == 1
    assert bench.broken() == ["I1", "I2"]


def test_a_gate_that_releases_on_a_pass_after_the_deadline_is_found() -> None:
    bench = Bench()
    part = bench.count(1)
    bench.write(part, words(1), t_ns=BUDGET + 1)
    bench.gate(part, released=True, slot_words=words(1))
    assert bench.broken() == ["I2"]


def test_a_pass_at_the_very_deadline_is_in_time() -> None:
    bench = Bench()
    part = bench.count(1)
    bench.write(part, words(1), t_ns=BUDGET)
    bench.gate(part, released=True, slot_words=words(1))
    assert bench.broken() == []
    assert bench.tally.late == 0


def test_a_release_by_the_score_of_another_image_is_a_wrong_release() -> None:
    bench = Bench()
    for index, score in ((1, 500), (2, 900)):
        part = bench.count(index, image="a")
        bench.write(part, words(index, score=score))
        bench.gate(part, released=True, slot_words=words(index, score=score))
    assert (bench.tally.mixed_up, bench.tally.wrong_releases) == (1, 1)
    assert bench.broken() == ["I2", "I4"]


def test_rounding_is_not_another_image() -> None:
    bench = Bench()
    for index, score in ((1, 500), (2, 505), (3, NO_SCORE)):
        bench.write(bench.count(index, image="a"), words(index, score=score))
    assert bench.tally.mixed_up == 0


@pytest.mark.parametrize("held_ns", [HELD_NS, 0, 7 * HELD_NS])
def test_what_the_machine_or_the_network_held_is_no_late_pass_but_a_longer_time_is(held_ns: int) -> None:
    bench = Bench(held_ns)
    bench.write(bench.count(1), words(1), t_ns=BUDGET + held_ns)
    assert (bench.tally.late, bench.tally.late_passes) == (held_ns > 0, 0)
    bench.write(bench.count(2), words(2), t_ns=BUDGET + held_ns + 1)
    assert bench.tally.late_passes == 1
    assert bench.broken() == ["I3"]


def test_torn_and_cleared_slots_are_no_verdicts() -> None:
    bench = Bench()
    part = bench.count(1)
    for slot_words in ([0] * 8, [*words(1)[:7], 2], [1, 0x5A5B, 0, 0, 0, 0, 0, 1]):
        bench.write(part, slot_words)
    assert part.t_slot_ns is None
    assert bench.broken() == ["I1"]


def test_the_last_verdict_of_the_part_before_comes_too_late_for_its_slot() -> None:
    bench = Bench()
    first = bench.count(1)
    bench.write(first, words(1))
    successor = bench.count(1 + SLOTS)
    bench.write(successor, words(1))
    assert bench.tally.foreign == 1
    assert bench.closed == [first]


def test_an_answer_from_before_is_excused_as_often_as_the_network_may_give_one() -> None:
    """It fills several slots at once, and says nothing that was not seen there before."""
    bench = Bench(old_answers=1)
    for index in (1, 2, 3):
        bench.write(bench.count(index), words(index))
    after = [bench.count(index + SLOTS) for index in (1, 2, 3)]
    for part, index in zip(after[:2], (1, 2), strict=True):
        bench.judge.slot_written(part.part_id % SLOTS, words(index), t_ns=50_000)
    assert (bench.tally.old_answers, bench.tally.foreign) == (1, 0)
    bench.judge.slot_written(after[2].part_id % SLOTS, words(3), t_ns=60_000)
    assert (bench.tally.old_answers, bench.tally.foreign) == (1, 1)


def test_a_verdict_that_is_new_is_no_answer_from_before() -> None:
    bench = Bench(old_answers=1)
    first = bench.count(1)
    bench.count(1 + SLOTS)
    bench.write(first, words(1))
    assert (bench.tally.old_answers, bench.tally.foreign) == (0, 1)


def test_rejects_are_named_after_the_words_or_after_the_plc() -> None:
    bench = Bench()
    late = words(1, Outcome.REJECT, Reason.LATE)
    part = bench.count(1)
    bench.write(part, late)
    bench.gate(part, released=False, slot_words=late)
    bench.gate(bench.count(2), released=False)
    bench.gate(bench.count(3), released=False, powered=False)
    unknown = words(4, Outcome.REJECT, 999)
    part = bench.count(4)
    bench.write(part, unknown)
    bench.gate(part, released=False, slot_words=unknown)
    assert dict(bench.tally.rejects) == {"LATE": 1, "no_verdict": 1, "plc_down": 1, "UNKNOWN_999": 1}
    assert (bench.tally.late, bench.tally.rejected_good) == (1, 4)


def test_a_lost_link_excuses_the_missing_verdict_but_not_the_count() -> None:
    bench = Bench()
    part = bench.count(1)
    bench.judge.link_lost()
    bench.gate(part, released=False)
    assert dict(bench.tally.rejects) == {"link_down": 1}
    assert bench.broken() == []
    assert bench.judge.miscounts(status(), status(parts=1, rejects=1)) == []
    assert bench.judge.miscounts(status(), status(parts=0)) != []


def test_only_parts_that_nobody_could_know_of_go_with_the_plc() -> None:
    bench = Bench()
    for index in (1, 2, 3):
        bench.count(index)
    bench.judge.memory_lost(unread=1)
    assert bench.broken() == []
    assert bench.tally.gone_with_plc == 1
    assert bench.judge.expected_growth()["parts"] == range(2, 3)


def test_parts_of_a_restarted_plc_that_nobody_saw_may_be_missing_from_the_count() -> None:
    bench = Bench()
    for index in (1, 2, 3):
        bench.write(bench.count(index), words(index))
    bench.judge.unknowable(2)
    assert bench.judge.expected_growth()["parts"] == range(1, 4)


def test_counters_are_compared_by_growth_and_wrap() -> None:
    bench = Bench()
    bench.write(bench.count(1), words(1))
    bench.write(bench.count(2), words(2, Outcome.REJECT, Reason.FRAME_LOST))
    before, top = status(parts=2**32 - 1, rejects=7), 2**32 - 1
    assert before.parts == top
    assert bench.judge.miscounts(before, status(parts=1, rejects=8, lost=1)) == []
    assert bench.judge.miscounts(before, status(parts=1, rejects=8)) == [
        "I5: the station's counter lost grew by 0, seen in the slots: 1"
    ]


# -- challenges ------------------------------------------------------------------------------------


def marked(part: Part, outcome: int, reason: int) -> list[int]:
    slot_words = words(part.part_id, outcome, reason)
    slot_words[6] = Flag.CHALLENGE
    return slot_words


def test_a_part_that_is_released_where_a_challenge_wants_a_bad_one_breaks_a_promise() -> None:
    bench = Bench()
    for index, challenge in ((1, ""), (2, "good"), (3, "bad")):
        part = bench.count(index, good=False)
        part.challenge = challenge
        slot_words = marked(part, Outcome.PASS, Reason.NONE)
        bench.write(part, slot_words)
        bench.gate(part, released=True, slot_words=slot_words)
    assert (bench.tally.released_bad, bench.tally.challenge_escapes) == (3, 1)
    bench.judge.end()
    assert bench.judge.broken_promises() == [
        "challenge: 1 parts were released where it wants a bad one, first at part 3"
    ]


@pytest.mark.parametrize(("link_lost", "unmarked"), [(False, 1), (True, 0)])
def test_a_part_of_a_challenge_must_be_marked_unless_the_station_was_away(
    link_lost: bool, unmarked: int
) -> None:
    bench = Bench()
    part = bench.count(1, good=False)
    part.challenge, part.link_lost = "bad", link_lost
    bench.write(part, words(1, Outcome.REJECT, Reason.SCORE))
    assert bench.tally.unmarked == unmarked


def test_parts_of_challenges_are_counted_when_they_are_counted() -> None:
    bench = Bench()
    bench.judge.counted(Part(1, 1, "a", False, 0, 100, challenge="good"))
    assert bench.tally.challenge_parts == 1


def test_a_pass_by_the_model_of_another_product_is_found() -> None:
    bench = Bench()
    for index, asked in ((1, 0), (2, 1), (3, 2)):  # `words` names recipe 1
        part = Part(index, index, "a", True, 1000 * index, 1000 * index + BUDGET, recipe=asked)
        bench.judge.counted(part)
        bench.write(part, words(index))
        bench.gate(part, released=True, slot_words=words(index))
    assert bench.tally.wrong_recipe == 1
    assert bench.broken() == ["I4"]


def test_the_same_image_has_another_score_under_another_recipe() -> None:
    bench = Bench()
    for index, recipe, score in ((1, 1, 500), (2, 2, 900), (3, 1, 500)):
        slot_words = words(index, score=score)
        slot_words[5] = recipe
        bench.write(bench.count(index, image="a"), slot_words)
    assert bench.tally.mixed_up == 0
