"""Challenges on random lines: each part is what it must be, by its id and the reads alone, and no bad one is released."""

from hypothesis import event, given
from hypothesis import strategies as st

from inspector.part import Expected, Outcome, Verdict
from tests.property.running import run
from tests.property.scripts import PartScript, good_part, part_scripts
from tests.property.world import World

SEQUENCE = [Expected.BAD, Expected.GOOD, Expected.BAD]


def wanted(world: World) -> list[Expected | None]:
    """Say of each part, in the order in which they were counted, what it had to be: by the PLC's signal at each read."""
    answers: list[Expected | None] = []
    before: bool | None = None
    mode = False
    to_come: list[Expected] = []
    open_parts: set[object] = set()
    for what, value in world.told:
        match what, value:
            case "started", _:
                before, mode, to_come, open_parts = None, False, [], set()
            case "read", bool(seen):
                mode = seen
            case "counted", (part_id, _):
                if to_come:
                    open_parts.add(part_id)
                answers.append(to_come.pop(0) if to_come else Expected.BAD if before or mode else None)
            case "counted all", _:
                if mode and before is False and not to_come and not open_parts:
                    to_come = list(SEQUENCE)
                elif before and not mode:
                    to_come = []
                before = mode
            case "decided", Verdict() as verdict:
                open_parts.discard(verdict.part_id)
    return answers


def judge(world: World) -> None:
    said = [value[1] for what, value in world.told if what == "counted" and isinstance(value, tuple)]
    assert said == wanted(world)
    newest: dict[object, object] = {}
    for what, value in world.told:
        if what == "counted" and isinstance(value, tuple):
            newest[value[0]] = value[1]
        elif isinstance(value, Verdict):
            assert value.expected == newest[value.part_id]  # marked as it was counted
    for _, verdict in world.verdicts:
        if verdict.expected is Expected.BAD:
            assert verdict.outcome is Outcome.REJECT


@given(
    scripts=st.lists(part_scripts, min_size=1, max_size=40),
    poll_ms=st.floats(2, 8),
    lag_ms=st.sampled_from([0.0, 0.0, 3.0, 12.0]),
    trip_ms=st.sampled_from([0.0, 0.5, 4.0, 15.0]),
    at=st.sets(st.integers(0, 39), min_size=1, max_size=6),
)
def test_challenge_parts_are_exactly_those_behind_the_read_that_showed_the_signal(
    scripts: list[PartScript], poll_ms: float, lag_ms: float, trip_ms: float, at: set[int]
) -> None:
    for index in at:
        scripts[index % len(scripts)].line_fault = "challenge"
    calm = [
        script for script in scripts if script.line_fault != "plc_restart"
    ]  # which leaves two parts of one id
    world = run(calm, first_count=1000, poll_ms=poll_ms, lag_ms=lag_ms, trip_ms=trip_ms)
    marked = sum(verdict.expected is not None for _, verdict in world.verdicts)
    event(f"challenge parts: {min(marked, 6)}")
    judge(world)


@given(scripts=st.lists(part_scripts, min_size=4, max_size=20), at=st.integers(0, 19))
def test_they_wrap_round(scripts: list[PartScript], at: int) -> None:
    scripts[at % len(scripts)].line_fault = "challenge"
    judge(run([s for s in scripts if s.line_fault != "plc_restart"], first_count=65_533))


def test_a_challenge_on_an_undisturbed_line() -> None:
    world = run([good_part(line_fault="challenge"), good_part(50, good=False), good_part(), good_part()])
    judge(world)
    assert [verdict.expected for _, verdict in world.verdicts] == [None, Expected.BAD, Expected.GOOD, None]
