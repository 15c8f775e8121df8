"""Who stands at the simulated line: clearing a stop, and putting the parts of a challenge on the belt."""

import asyncio
from typing import Any

import pytest

from inspector.plc.registers import RegisterMap, State, Status, encode_status
from tools.linesim.conveyor import InputError, Item
from tools.linesim.people import Challenges, Operator
from tools.linesim.plc import Plc

GOOD, BAD = Item("good", good=True), Item("bad", good=False)


class Bench:
    """A powered PLC without a server, and a station that is the test's; no time passes."""

    def __init__(self) -> None:
        self.plc = Plc(RegisterMap(), "127.0.0.1", 0)
        self.plc.powered = True
        self.told: list[str] = []
        self.presses = 0
        self.station = self.clears
        self.leaving = False

    def says(self, state: State) -> None:
        words = encode_status(Status(1, state, 0, 0, 0, 0, 0, 0, 0))
        first = self.plc.registers.status_address
        self.plc._words[first : first + len(words)] = words

    def clears(self) -> None:
        """What a station does when the button is pressed."""
        if self.plc.control.clear_fault:
            self.presses += 1
            self.says(State.ONLINE)

    async def stopped_within(self, seconds: float) -> bool:
        self.station()
        return self.leaving

    def tell(self, event: str, **_: Any) -> None:
        self.told.append(event)


def test_a_stop_is_cleared_and_the_button_let_go() -> None:
    bench = Bench()
    operator = Operator(bench.plc, bench.tell, 100)
    bench.says(State.LINE_STOP)
    bench.plc.control = bench.plc.control.__class__(enable=True, bin_full=True)
    asyncio.run(operator.attend(bench.stopped_within))
    assert (operator.stops, bench.presses, bench.told) == (1, 1, ["line_stopped", "line_runs"])
    assert (bench.plc.control.clear_fault, bench.plc.control.bin_full) == (False, False)


def test_a_line_that_runs_is_left_alone() -> None:
    bench = Bench()
    operator = Operator(bench.plc, bench.tell, 100)
    asyncio.run(operator.attend(bench.stopped_within))
    assert (operator.stops, bench.presses, bench.told) == (0, 0, [])


def test_the_button_is_pressed_again_where_it_did_not_help() -> None:
    bench = Bench()
    operator = Operator(bench.plc, bench.tell, 100)
    bench.says(State.LINE_STOP)
    presses: list[int] = []

    def stubborn() -> None:
        if bench.plc.control.clear_fault:
            presses.append(1)
            if len(presses) == 3:
                bench.says(State.ONLINE)

    bench.station = stubborn
    asyncio.run(operator.attend(bench.stopped_within))
    assert len(presses) == 3


def test_nobody_clears_when_the_run_ends() -> None:
    bench = Bench()
    operator = Operator(bench.plc, bench.tell, 100)
    bench.says(State.LINE_STOP)
    bench.leaving = True
    asyncio.run(operator.attend(bench.stopped_within))
    assert (bench.presses, bench.told) == (0, ["line_stopped"])


def test_known_parts_come_when_the_station_says_so_and_the_signal_falls_behind_the_last() -> None:
    bench = Bench()
    challenges = Challenges(bench.plc, [GOOD, BAD], ["bad"])
    waits: list[bool] = []

    def begins() -> None:
        waits.append(bench.plc.control.challenge_mode)
        if len(waits) == 2:
            bench.says(State.CHALLENGE)

    bench.station = begins
    asyncio.run(challenges.begin(["bad", "good"], bench.stopped_within))
    assert waits == [True, True]
    came = []
    for _ in range(3):
        came.append((*challenges.next(GOOD), bench.plc.control.challenge_mode))
        challenges.counted()
    assert came == [(BAD, "bad", True), (GOOD, "bad", True), (GOOD, "", False)]


def test_a_station_that_begins_none_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    with pytest.raises(InputError, match="expected the station to begin the challenge within 10 s"):
        asyncio.run(Challenges(bench.plc, [GOOD], ["bad"]).begin(["good"], bench.stopped_within))


def test_known_parts_come_once_where_somebody_asked_by_command() -> None:
    bench = Bench()
    challenges = Challenges(bench.plc, [GOOD, BAD], ["bad", "good"])
    came = []
    for state in (State.ONLINE, *[State.CHALLENGE] * 4, State.ONLINE, State.CHALLENGE):
        bench.says(state)
        came.append(challenges.next(GOOD))
        challenges.counted()
    known = [(BAD, ""), (GOOD, "")]
    assert came == [(GOOD, ""), *known, (GOOD, ""), (GOOD, ""), (GOOD, ""), known[0]]


def test_a_challenge_needs_images_of_its_kind() -> None:
    bench = Bench()
    challenges = Challenges(bench.plc, [GOOD], ["bad"])
    bench.says(State.CHALLENGE)
    asyncio.run(challenges.begin(["bad"], bench.stopped_within))
    with pytest.raises(InputError, match="--images has none"):
        challenges.next(GOOD)
