"""The promises I1..I5 on random lines: a small world with its own truth runs beside the ledger and judges it."""

from functools import partial

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from inspector.handshake import Timing
from inspector.ledger import Ledger
from inspector.open_part import Rules
from inspector.part import Finding, Frame, FrameStatus, Reason
from tests.property.judge import judge
from tests.property.running import run
from tests.property.scripts import (
    BUDGET,
    LATENCY_MAX,
    LATENCY_MIN,
    MS,
    PartScript,
    good_part,
    part_scripts,
    part_scripts_with_recipes,
    recipes,
)
from tests.property.world import World


@given(
    scripts=st.lists(part_scripts, min_size=1, max_size=40),
    poll_ms=st.floats(2, 8),
    lag_ms=st.sampled_from([0.0, 0.0, 3.0, 12.0]),
    trip_ms=st.sampled_from([0.0, 0.5, 4.0, 15.0]),
)
def test_every_counted_part_has_one_verdict_and_no_bad_part_passes(
    scripts: list[PartScript], poll_ms: float, lag_ms: float, trip_ms: float
) -> None:
    world = run(scripts, first_count=1000, poll_ms=poll_ms, lag_ms=lag_ms, trip_ms=trip_ms)
    event(f"passes: {min(world.ledger.passed, 5)}")
    judge(world)


@given(
    scripts=st.lists(part_scripts_with_recipes, min_size=1, max_size=40),
    own_features=st.booleans(),
    keep_warm=st.sampled_from([1, 2, 3]),
    lag_ms=st.sampled_from([0.0, 0.0, 12.0]),
    trip_ms=st.sampled_from([0.0, 4.0, 15.0]),
)
def test_no_part_is_decided_by_the_model_of_another_product(
    scripts: list[PartScript], own_features: bool, keep_warm: int, lag_ms: float, trip_ms: float
) -> None:
    world = run(
        scripts,
        first_count=1000,
        lag_ms=lag_ms,
        trip_ms=trip_ms,
        recipes=recipes(own_features=own_features),
        keep_warm=keep_warm,
    )
    event(f"recipes that passed parts: {len({v.deciding.recipe for _, v in world.verdicts if not v.reason})}")
    judge(world)


@given(
    scripts=st.lists(part_scripts, min_size=1, max_size=40),
    poll_ms=st.floats(2, 8),
    trip_ms=st.sampled_from([0.0, 0.5, 4.0, 15.0]),
)
def test_a_camera_that_we_trigger_shows_no_part_for_another(
    scripts: list[PartScript], poll_ms: float, trip_ms: float
) -> None:
    world = run(scripts, first_count=1000, poll_ms=poll_ms, trip_ms=trip_ms, by_command=True)
    event(f"passes: {min(world.ledger.passed, 5)}")
    judge(world)


@given(scripts=st.lists(part_scripts, min_size=4, max_size=20))
def test_part_ids_wrap_round_without_a_slip(scripts: list[PartScript]) -> None:
    quiet = [s for s in scripts if s.line_fault != "plc_restart"]
    judge(run(quiet, first_count=65_533))


def outcomes(world: World) -> list[str]:
    return [v.reason.name for _, v in sorted(world.verdicts, key=lambda tv: tv[1].part_id)]


def test_an_undisturbed_line_passes_every_good_part_and_no_bad_one() -> None:
    world = run([good_part(), good_part(good=False), good_part(), good_part()])
    assert outcomes(world) == ["NONE", "SCORE", "NONE", "NONE"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("missed", "FRAME_LOST"),
        ("lost", "FRAME_LOST"),
        ("incomplete", "FRAME_BAD"),
        ("engine_late", "LATE"),
        ("engine_hangs", "LATE"),
        ("engine_fails", "ENGINE"),
    ],
)
def test_a_fault_rejects_its_part_with_its_reason_and_later_parts_pass_again(fault: str, reason: str) -> None:
    world = run([good_part(), good_part(fault=fault), good_part(), good_part(), good_part()])
    assert outcomes(world)[:2] == ["NONE", reason]
    assert outcomes(world)[-2:] == ["NONE", "NONE"]


def test_a_trigger_that_the_camera_missed_never_shifts_a_verdict_at_tight_spacing() -> None:
    parts = [
        good_part(21),
        good_part(21, fault="missed", good=False),
        good_part(21),
        good_part(21, good=False),
    ]
    world = run([*parts, good_part(21), good_part(300), good_part()])
    assert outcomes(world)[0] == "NONE"
    assert "NONE" not in outcomes(world)[1:2]
    assert outcomes(world)[-1] == "NONE"
    judge(world)


def test_a_trigger_too_many_is_in_doubt_within_one_part() -> None:
    world = run([good_part(), good_part(fault="extra"), good_part(), good_part()])
    assert outcomes(world) == ["NONE", "HANDSHAKE", "NONE", "NONE"] or outcomes(world)[-2:] == [
        "NONE",
        "NONE",
    ]
    assert any(note.event == "out_of_step" for note in world.ledger.notes())


def test_parts_counted_while_the_station_was_away_are_rejected_not_ready() -> None:
    world = World(first_count=105, last_part_id=100)
    world.read()
    assert [(v.part_id, v.reason) for _, v in world.verdicts] == [
        (p, Reason.NOT_READY) for p in range(101, 106)
    ]


def test_without_a_counting_plc_frame_ids_that_begin_anew_cost_one_frame() -> None:
    rules = Rules(BUDGET, Timing(LATENCY_MIN, LATENCY_MAX), part_source="frame_id")
    ledger = Ledger(rules)
    ledger.on_engine(ready=True, t_ns=0)
    ledger.on_camera_up(1)
    ledger.on_control(0, enabled=True, t_sent_ns=1, t_received_ns=2)
    passed = []
    for sequence, frame_id in enumerate([5000, 5001, 5000, 1, 2, 3], start=1):
        t = sequence * 100 * MS
        frame = Frame(1, sequence, frame_id, t, FrameStatus.OK, 0, 8, 8, "Mono8")
        ledger.on_frame(frame)
        verdicts = ledger.on_score(frame, Finding(0.5, 0.5, 1.0), t)
        passed += [(v.part_id, v.frame_id) for v in verdicts]
    assert passed == [(1, 5000), (2, 5001), (3, 2), (4, 3)]


def test_parts_that_were_undecided_when_the_station_died_are_decided_by_the_next_run() -> None:
    ledger = Ledger(Rules(BUDGET, Timing(LATENCY_MIN, LATENCY_MAX)), 105, undecided=[103, 105])
    assert ledger.undecided == [103, 105]
    verdicts = ledger.on_control(107, enabled=True, t_sent_ns=1, t_received_ns=2)
    assert [(v.part_id, v.reason) for v in verdicts] == [(p, Reason.NOT_READY) for p in (103, 105, 106, 107)]
    assert ledger.undecided == []
    assert ledger.on_control(107, enabled=True, t_sent_ns=3, t_received_ns=4) == []


def test_a_score_that_is_no_number_rejects() -> None:
    world = run([good_part()])
    frame = Frame(1, 999, world.frame_id + 1, world.now + 101 * MS, FrameStatus.OK, 0, 8, 8, "Mono8")
    world.run_until(world.now + 100 * MS)
    world.count = world.visible_count = world.count + 1
    world.got(world.ledger.on_frame(frame))
    world.now += 2 * MS
    world.read()
    nan = float("nan")
    world.got(world.ledger.on_score(frame, Finding(nan, nan, 1.0), world.now))
    assert world.verdicts[-1][1].reason is Reason.ENGINE


def test_from_the_stop_on_every_part_is_rejected_at_once() -> None:
    world = run([good_part()])
    world.got(world.ledger.on_stop(world.now))
    world.got(world.ledger.on_engine(ready=True, t_ns=world.now))  # it was being opened when the stop came
    world.at(0, partial(world.trigger, good_part()))
    world.run_until(world.now + 8 * MS)
    assert world.verdicts[-1][1].reason is Reason.NOT_READY
    assert not world.ledger.ready


def test_a_frame_that_came_before_its_count_waits_for_no_engine_that_is_not_there() -> None:
    world = run([good_part()])
    world.got(world.ledger.on_engine(ready=False, t_ns=world.now))
    world.got(
        world.ledger.on_frame(Frame(1, 999, world.frame_id + 1, world.now, FrameStatus.OK, 0, 8, 8, "Mono8"))
    )
    world.count = world.visible_count = world.count + 1
    world.now += MS // 2
    world.read()
    assert world.verdicts[-1][1].reason is Reason.NOT_READY


def test_the_deadline_goes_by_the_count_also_where_the_frame_came_first() -> None:
    """A trigger that bounced makes a frame that is later than any should be: the part was there before it says."""
    ledger = Ledger(Rules(BUDGET, Timing(LATENCY_MIN, LATENCY_MAX)), 5)
    ledger.on_engine(ready=True, t_ns=0)
    ledger.on_camera_up(1)
    for t in range(0, 400 * MS, 100 * MS):
        ledger.on_control(5, enabled=True, t_sent_ns=t, t_received_ns=t + 1)
    assert ledger.in_step
    last_read = 300 * MS
    arrival = last_read + LATENCY_MAX + 6 * MS
    ledger.on_frame(Frame(1, 1, 1, arrival, FrameStatus.OK, 0, 8, 8, "Mono8"))
    ledger.on_control(6, enabled=True, t_sent_ns=arrival + 1, t_received_ns=arrival + 2)
    assert ledger.next_expiry_ns() == last_read + BUDGET
