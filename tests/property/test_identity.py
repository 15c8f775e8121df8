"""Whose part is it? Each way in which counts and frames part company is found within one part, and shifts no verdict."""

import pytest

from inspector.part import next_part_id
from tests.property.judge import judge
from tests.property.running import run
from tests.property.scripts import PartScript, good_part
from tests.property.world import World

FIRST_COUNTS = [200, 65_532]  # the second goes round while the fault is there
BY = pytest.mark.parametrize("by_command", [False, True], ids=["line", "command"])


def reasons(world: World, parts: int) -> list[str]:
    """Return why each part got its verdict, in the order in which they passed."""
    ids = [part_id for _, part_id, _ in world.triggers]
    assert len(set(ids)) == parts
    by_part = {verdict.part_id: verdict.reason.name for _, verdict in world.verdicts}
    return [by_part[part_id] for part_id in ids]


def line_of(*faults: str, gap_ms: float = 100.0) -> list[PartScript]:
    """Return three parts as they should be, those with the faults, four more; bad ones between, which must not pass."""
    parts = [good_part(gap_ms) for _ in range(3)]
    parts += [good_part(gap_ms, fault=fault) for fault in faults]
    parts += [good_part(gap_ms, good=good) for good in (False, True, False, True)]
    return parts


@BY
@pytest.mark.parametrize("first_count", FIRST_COUNTS)
@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("missed", "FRAME_LOST"),  # the camera did not take the trigger
        ("lost", "FRAME_LOST"),  # its frame did not arrive
        (
            "extra",
            "NONE",
        ),  # it was triggered once too often; the line is empty long enough to be in step again
        ("doubled", "NONE"),  # a frame came twice: known by its id
    ],
)
def test_a_trigger_or_a_frame_too_few_or_too_many_is_found_within_one_part(
    fault: str, found: str, first_count: int, by_command: bool
) -> None:
    world = run(line_of(fault), first_count=first_count, by_command=by_command)
    judge(world)
    outcome = reasons(world, 8)
    assert outcome[:4] == ["NONE", "NONE", "NONE", found]
    assert "NONE" not in (outcome[4], outcome[6])  # the bad ones
    assert outcome[7] == "NONE"  # and parts pass again
    noted = {note.event for note in world.ledger.notes()}
    assert {"extra": "out_of_step", "doubled": "frame_repeated"}.get(fault, "in_step") in noted


def test_a_part_right_behind_a_trigger_too_many_is_rejected() -> None:
    parts = [
        good_part(21.0, fault="extra"),
        good_part(100.0),
        good_part(),
    ]  # the stray one comes with the first part
    world = run([good_part(), good_part(19.0), *parts], first_count=200)
    judge(world)
    assert reasons(world, 5)[2:] == ["HANDSHAKE", "HANDSHAKE", "NONE"]


@pytest.mark.parametrize("fault", ["missed", "lost", "extra", "doubled", "bounce"])
@pytest.mark.parametrize("gap_ms", [21.0, 25.0, 34.0])
def test_close_together_no_fault_shifts_a_verdict(fault: str, gap_ms: float) -> None:
    """Nobody waits for an empty line: what is in doubt stays rejected."""
    judge(run(line_of(fault, fault, gap_ms=gap_ms), first_count=200))


@BY
@pytest.mark.parametrize(
    ("line_fault", "first_count"), [("kill", 200), ("kill", 65_532), ("plc_restart", 200)]
)
def test_a_restart_of_either_side_among_parts_rejects_what_it_touches(
    line_fault: str, first_count: int, by_command: bool
) -> None:
    parts = [*line_of(), *line_of()]
    parts[2].line_fault = line_fault  # while the third part waits for its score
    parts[3].gap_ms = 20.0  # and parts go on coming
    world = run(parts, first_count=first_count, by_command=by_command)
    judge(world)
    touched = [verdict.reason.name for _, verdict in world.verdicts][2:4]
    assert "NONE" not in touched
    assert [verdict.reason.name for _, verdict in world.verdicts][-1] == "NONE"


def test_after_65535_comes_1_and_its_frame_is_its_own() -> None:
    world = run(line_of(), first_count=65_532)
    ids = [part_id for _, part_id, _ in world.triggers]
    assert ids == [next_part_id(65_532, step) for step in range(1, 8)]
    assert 65_535 in ids
    assert 1 in ids
    judge(world)
    assert reasons(world, 7) == ["NONE", "NONE", "NONE", "SCORE", "NONE", "SCORE", "NONE"]


def test_at_the_start_no_part_passes_before_the_line_was_empty_once() -> None:
    """Parts come from the first moment on, closer than an empty line takes: which frame is whose nobody knows."""
    world = World(first_count=200)
    world.ledger.on_camera_down(world.now)
    world.come_up()
    parts = [good_part(12.0) for _ in range(30)]
    judge(run(parts, first_count=200))
    assert not world.ledger.in_step


# -- triggered by us ----------------------------------------------------------------------------------


def test_of_several_parts_counted_at_once_none_is_imaged() -> None:
    parts = [good_part(101.0), good_part(2.9), good_part(100.0), good_part()]
    world = run(parts, first_count=200, by_command=True)  # the second and third between two reads
    judge(world)
    assert reasons(world, 4) == ["NONE", "FRAME_LOST", "FRAME_LOST", "NONE"]


def test_a_part_that_was_counted_long_ago_is_not_imaged() -> None:
    parts = [good_part(10.0, line_fault="stall"), good_part(200.0), good_part()]
    world = run(parts, first_count=200, by_command=True)  # nothing is read while the second comes
    judge(world)
    assert reasons(world, 3)[1:] == ["FRAME_LOST", "NONE"]


def test_a_part_that_the_next_one_replaces_before_the_exposure_does_not_pass_by_its_picture() -> None:
    bad = good_part(3.0, good=False, latency_ms=9.9)
    behind = [good_part(2.5), good_part(150.0)]  # counted at once, so that neither is imaged for itself
    world = run([good_part(104.0), bad, *behind, good_part()], first_count=200, by_command=True)
    judge(world)
    shown = [shows[1:] for shows in world.shown.values() if shows is not None]
    assert (203, True) in shown  # the good one behind it was before the camera
    assert reasons(world, 5) == ["NONE", "HANDSHAKE", "FRAME_LOST", "FRAME_LOST", "NONE"]
