"""A line without a script: hypothesis decides step by step what happens next, and judges after each step.

One step is one thing that happens on the line of `world.py`, and some time after it: a part comes, as it should or with a fault of
camera or engine; the camera, the engine, the link, the PLC, the station or its process are gone and come back; the PLC
asks for something. The ledger, the handshake, the challenge and the changeover are the station's own. In the end all faults are
over, and then good parts must pass again: a ledger that rejects everything is safe, and of no use.

The wall clock steps too, and nothing may come of it: what decides has no clock at all (`test_what_decides_...`), and while a
machine runs `time.time` says what the last such step left it at.
"""

import ast
import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import ModuleType
from unittest import mock

import pytest
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from inspector import challenge, changeover, handshake, interlock, ledger, open_part, part
from inspector.part import Outcome
from tests.property.judge import Judge
from tests.property.running import strike
from tests.property.scripts import (
    MS,
    PART_FAULTS,
    RECIPE_FAULTS,
    PartScript,
    good_part,
    part_scripts,
    recipes,
)
from tests.property.test_challenge import judge as judge_challenges
from tests.property.world import World

STEPS = 50  # of one machine
MACHINES = {"default": 160, "nightly": 2_600}
AT_LEAST = {"default": 5_000, "nightly": 100_000}
LINE_TROUBLES = [
    "camera",
    "engine",
    "link",
    "stall",
    "disable",
    "challenge",
    "frame_ids",
    "kill",
    "kill",
    "stop",
]
NEAR_THE_END = 65_528

gaps = st.one_of(st.floats(3, 30), st.floats(30, 140))
moments = st.one_of(st.floats(0, 4), st.floats(0, 40))  # from one thing that happens to the next
outages = st.sampled_from([2.0, 20.0, 90.0, 300.0])


class LineMachine(RuleBasedStateMachine):
    """A world, and what may happen in it."""

    steps = 0  # of all machines

    @initialize(
        first_count=st.sampled_from([1000, 1000, 0, NEAR_THE_END]),
        poll_ms=st.floats(2, 8),
        lag_ms=st.sampled_from([0.0, 0.0, 3.0, 12.0]),
        trip_ms=st.sampled_from([0.0, 0.0, 0.5, 4.0, 15.0]),
        by_command=st.sampled_from([False, False, False, True]),
        own_features=st.booleans(),
        keep_warm=st.sampled_from([1, 2, 3]),
        patience_ms=st.sampled_from([0.0, 300.0, 3000.0, 10_000.0, 30_000.0]),
    )
    def set_up_the_line(
        self,
        *,
        first_count: int,
        poll_ms: float,
        lag_ms: float,
        trip_ms: float,
        by_command: bool,
        own_features: bool,
        keep_warm: int,
        patience_ms: float,
    ) -> None:
        """`patience_ms`: so long the line is left alone after each trouble; only where parts pass can the wrong one pass."""
        self.world = World(
            first_count=first_count,
            poll_ms=poll_ms,
            lag_ms=0.0 if by_command else lag_ms,
            trip_ms=trip_ms,
            by_command=by_command,
            recipes=recipes(own_features=own_features),
            keep_warm=keep_warm,
        )
        self.judge = Judge(self.world)
        self.patience_ns, self.t_trouble = round(patience_ms * MS), 0
        self.usual_trip_ms = trip_ms
        self.wall_s = 1.8e9
        self.clocks = [
            mock.patch("time.time", side_effect=lambda: self.wall_s),
            mock.patch("time.time_ns", side_effect=lambda: round(self.wall_s * 1e9)),
        ]
        for clock in self.clocks:
            clock.start()
        self.world.at(0, self.world.poll)
        self.world.run_until(self.world.now + 100 * MS)

    def wait(self, ms: float) -> None:
        """Let time go by: the end of each step."""
        self.world.run_until(self.world.now + round(ms * MS))
        LineMachine.steps += 1

    # -- parts ------------------------------------------------------------------------------------

    def part_comes(self, **script: object) -> None:
        part = good_part(**script)  # type: ignore[arg-type]
        self.world.trigger(part)
        self.wait(part.gap_ms)

    @rule(gap_ms=gaps, latency_ms=st.floats(1, 9.9), good=st.booleans(), engine_ms=st.floats(0.5, 15))
    def a_part_comes(self, **script: object) -> None:
        self.part_comes(**script)

    @rule(scripts=st.lists(part_scripts, min_size=2, max_size=10))
    def parts_come(self, scripts: list[PartScript]) -> None:
        """Behind an empty line, one after the other, some with a fault, and as close as it comes."""
        self.world.run_until(self.world.now + 150 * MS)
        for script in scripts:
            self.world.trigger(script)
            self.world.run_until(self.world.now + round(script.gap_ms * MS))
        self.wait(0)

    @rule(
        gap_ms=st.floats(11, 30),
        scripts=st.lists(part_scripts, min_size=2, max_size=10),
    )
    def parts_come_in_a_row(self, gap_ms: float, scripts: list[PartScript]) -> None:
        """Evenly, with nothing to tell them apart but their place in the row."""
        self.parts_come([replace(script, gap_ms=gap_ms) for script in scripts])

    @rule(
        gap_ms=gaps,
        latency_ms=st.floats(1, 9.9),
        good=st.booleans(),
        engine_ms=st.floats(0.5, 15),
        fault=st.sampled_from(sorted(set(PART_FAULTS) - {"none"})),
    )
    def a_part_comes_and_something_goes_wrong(self, **script: object) -> None:
        self.part_comes(**script)

    @rule(ms=st.floats(30, 400))
    def no_part_comes(self, ms: float) -> None:
        self.wait(ms)

    # -- what goes wrong --------------------------------------------------------------------------

    def left_alone(self) -> bool:
        """Whether nothing may go wrong now."""
        return self.world.now < self.t_trouble + self.patience_ns

    def happens(self, kind: str, ms: float, **how: float | bool) -> None:
        strike(self.world, kind, **how)  # type: ignore[arg-type]
        self.t_trouble = self.world.now
        self.wait(ms)

    @precondition(lambda self: not self.left_alone())
    @rule(
        kind=st.sampled_from([*LINE_TROUBLES, *sorted(set(RECIPE_FAULTS))]),
        at_ms=st.floats(0, 100),
        scripts=st.lists(part_scripts, min_size=2, max_size=6),
        hurry=st.floats(0.1, 1),
    )
    def it_happens_among_parts(
        self, kind: str, at_ms: float, scripts: list[PartScript], hurry: float
    ) -> None:
        """While some have their verdict and some wait for it."""
        self.world.at((150 + at_ms) * MS, partial(strike, self.world, kind))
        self.parts_come([replace(script, gap_ms=max(3.0, hurry * script.gap_ms)) for script in scripts])
        self.t_trouble = self.world.now

    @precondition(lambda self: not self.left_alone())
    @rule(ms=moments, outage_ms=outages)
    def the_camera_restarts(self, ms: float, outage_ms: float) -> None:
        self.happens("camera", ms, outage_ms=outage_ms)

    @precondition(lambda self: not self.left_alone())
    @rule(ms=moments)
    def the_camera_counts_anew(self, ms: float) -> None:
        self.happens("frame_ids", ms)

    @precondition(lambda self: not self.left_alone())
    @rule(ms=moments)
    def the_engine_is_lost(self, ms: float) -> None:
        self.happens("engine", ms)

    @precondition(lambda self: not self.left_alone())
    @rule(ms=moments, outage_ms=outages)
    def the_link_is_lost(self, ms: float, outage_ms: float) -> None:
        self.happens("link", ms, outage_ms=outage_ms)

    @precondition(lambda self: not self.left_alone())
    @rule(
        ms=moments,
        trip_ms=st.sampled_from([0.0, 0.5, 4.0, 15.0, 40.0]),
        sampled=st.sampled_from([0.0, 0.5, 1.0]),
    )
    def reads_take_another_time(self, ms: float, trip_ms: float, sampled: float) -> None:
        """With 40 ms from an old sample the answers are stale, and nothing they make certain is in time."""
        self.world.trip_ms, self.world.sampled = trip_ms, sampled
        self.world.at(300 * MS, self.reads_take_the_usual_time)
        self.wait(ms)

    def reads_take_the_usual_time(self) -> None:
        self.world.trip_ms, self.world.sampled = self.usual_trip_ms, 0.5

    @precondition(lambda self: self.world.first_count != NEAR_THE_END and not self.left_alone())
    @rule(ms=moments, retains_count=st.booleans())
    def the_plc_restarts(self, ms: float, *, retains_count: bool) -> None:
        """Where the ids go round, no count tells a PLC that lost it from one that goes on: `Handshake.read` says how it takes it."""
        self.happens("plc_restart", ms, retains_count=retains_count)

    @precondition(lambda self: not self.left_alone())
    @rule(
        ms=moments,
        outage_ms=st.sampled_from([20.0, 130.0, 400.0]),
        loses_request=st.sampled_from([False, False, False, True]),
    )
    def the_station_is_killed(self, ms: float, outage_ms: float, *, loses_request: bool) -> None:
        """Now and then the file is damaged that says which recipe the PLC asked for."""
        self.happens("kill", ms, outage_ms=outage_ms, loses_request=loses_request)

    @precondition(lambda self: not self.left_alone())
    @rule(ms=moments)
    def the_station_stops(self, ms: float) -> None:
        self.happens("stop", ms)

    @precondition(lambda self: not self.left_alone())
    @rule(ms=moments)
    def the_plc_thread_is_held_up(self, ms: float) -> None:
        self.happens("stall", ms)

    @precondition(lambda self: not self.left_alone())
    @rule(
        pause_ms=st.sampled_from([5.0, 30.0, 100.0, 3000.0]), after_ms=st.lists(st.floats(0, 80), max_size=6)
    )
    def the_process_is_held_up(self, pause_ms: float, after_ms: list[float]) -> None:
        """Meanwhile parts come, good and bad ones."""
        self.world.freeze(pause_ms)
        for number, ms in enumerate(sorted(after_ms)):
            self.world.at(ms * MS, partial(self.world.trigger, good_part(good=bool(number % 2))))
        self.wait(pause_ms + 0.5)

    @rule(ms=moments, days=st.integers(-20_000, 20_000))
    def the_wall_clock_steps(self, ms: float, days: int) -> None:
        self.wall_s += days * 86_400
        self.wait(ms)

    # -- what the PLC asks for --------------------------------------------------------------------

    @precondition(lambda self: not self.left_alone())
    @rule(ms=moments)
    def the_plc_disables(self, ms: float) -> None:
        self.happens("disable", ms)

    @precondition(lambda self: not self.left_alone())
    @rule(ms=moments, wanted=st.sampled_from(sorted(set(RECIPE_FAULTS))))
    def the_plc_asks_for_a_recipe(self, ms: float, wanted: str) -> None:
        self.happens(wanted, ms)

    @rule(ms=moments)
    def the_plc_turns_its_challenge_signal(self, ms: float) -> None:
        self.world.challenge_mode = not self.world.challenge_mode
        self.wait(ms)

    # -- what must hold ---------------------------------------------------------------------------

    @invariant()
    def no_promise_is_broken(self) -> None:
        self.judge.look()

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.end()
        finally:
            for clock in self.clocks:
                clock.stop()

    def end(self) -> None:
        """All faults end; when parts had time to be decided, the line is as good as new."""
        world = self.world
        world.challenge_mode = False
        world.trip_ms = self.usual_trip_ms = min(self.usual_trip_ms, 0.5)
        world.request_seen = True
        world.ask_for(1)
        world.run_until(world.now + 1000 * MS)
        note(f"in the end: {world.ledger.notes()}")
        for _ in range(4):
            world.trigger(good_part())
            world.run_until(world.now + 200 * MS)
        self.judge.end()
        assert [v.outcome for _, v in world.verdicts[-2:]] == [Outcome.PASS] * 2
        if not world.epoch:  # no two parts of one id
            judge_challenges(world)


@pytest.mark.timeout(7_200)  # to make a failure small takes minutes
def test_a_line_on_which_anything_happens_at_any_time(record_property: Callable[[str, object], None]) -> None:
    profile = settings.get_current_profile_name()
    LineMachine.steps = 0
    run_state_machine_as_test(
        LineMachine, settings=settings(max_examples=MACHINES[profile], stateful_step_count=STEPS)
    )
    record_property("steps", LineMachine.steps)
    assert LineMachine.steps >= AT_LEAST[profile]


@pytest.mark.parametrize(
    "module",
    [challenge, changeover, handshake, interlock, ledger, open_part, part],
    ids=lambda module: module.__name__,
)
def test_what_decides_has_no_clock_that_could_step(module: ModuleType) -> None:
    """All time comes in by arguments, from `Clock.now_ns`, which is CLOCK_MONOTONIC."""
    imported = set()
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Import):
            imported |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module))
    assert not imported & {"time", "datetime", "inspector.clock"}
