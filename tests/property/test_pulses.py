"""The gate's pulses: whatever parts come, a part is released only by its own PASS, and every other one is rejected."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from inspector.plc.pulses import Confirmations, Pulses

DELAY, WIDTH = 100, 20
Part = tuple[int, bool, int]  # trigger, PASS, when the verdict came
PARTS = st.lists(st.tuples(st.integers(0, 400), st.booleans(), st.integers(0, 120)), max_size=12)


def under_way(parts: list[Part], *, means: str) -> Pulses:
    pulses = Pulses(means=means, delay=DELAY, width=WIDTH)  # type: ignore[arg-type]
    for part_id, (trigger, passed, after) in enumerate(parts, 1):
        pulses.add(part_id, trigger, release=passed, now=trigger + after)
    return pulses


def at_gate(parts: list[Part], at: int) -> list[Part]:
    return [part for part in parts if part[0] + DELAY <= at < part[0] + DELAY + WIDTH]


def may_pass(part: Part) -> bool:
    return part[1] and part[2] < DELAY


@given(PARTS)
def test_the_gate_is_open_only_where_every_part_at_it_has_its_pass_in_time(parts: list[Part]) -> None:
    opening, closing = under_way(parts, means="pass"), under_way(parts, means="reject")
    for at in range(560):
        here = at_gate(parts, at)
        assert opening.level(at) == (bool(here) and all(map(may_pass, here)))
        assert closing.level(at) == (not all(map(may_pass, here)))


@given(PARTS)
def test_the_level_changes_nowhere_but_where_it_is_said_to(parts: list[Part]) -> None:
    for means in ("pass", "reject"):
        pulses = under_way(parts, means=means)
        told, at = set(), -1
        while (edge := pulses.next_change(at)) is not None:
            told.add(edge)
            at = edge
        changes = {at for at in range(1, 560) if pulses.level(at) != pulses.level(at - 1)}
        assert changes <= told | {0}


@given(PARTS, st.integers(0, 560))
def test_forgetting_what_is_over_changes_nothing_that_comes(parts: list[Part], before: int) -> None:
    kept, forgotten = under_way(parts, means="pass"), under_way(parts, means="pass")
    forgotten.forget(before)
    assert [kept.level(at) for at in range(before, 560)] == [forgotten.level(at) for at in range(before, 560)]
    assert len(forgotten._windows) == sum(trigger + DELAY + WIDTH > before for trigger, _, _ in parts)


@given(PARTS)
def test_windows_that_touch_are_one_pulse(parts: list[Part]) -> None:
    pulses = under_way([(trigger, True, 0) for trigger, _, _ in parts], means="pass")
    rises = sum(pulses.level(at) and not pulses.level(at - 1) for at in range(560))
    starts = sorted({trigger for trigger, _, _ in parts})
    apart = sum(later - earlier > WIDTH for earlier, later in pairwise(starts))
    assert rises == (apart + 1 if starts else 0)


@given(PARTS)
def test_when_all_is_forgotten_the_gate_that_opens_for_a_pass_stays_closed(parts: list[Part]) -> None:
    pulses = under_way(parts, means="pass")
    pulses.clear()
    assert not any(pulses.level(at) for at in range(560))
    assert pulses.next_change(-1) is None


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 5))
def test_each_rejected_part_is_confirmed_or_overdue_once(steps: list[int], within: int) -> None:
    confirmations = Confirmations(within)
    expected: list[int] = []
    confirmed = overdue = 0
    for t_ns, step in enumerate(steps):
        overdue += len(confirmations.overdue(t_ns))
        if step < 2:
            confirmations.expect(t_ns, t_ns)
            expected.append(t_ns)
        elif step == 2:
            confirmed += 1 - confirmations.seen()
    overdue += len(confirmations.overdue(len(steps) + within))
    assert confirmed + overdue == len(expected)
    assert confirmations.next_ns() is None
