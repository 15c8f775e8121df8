"""Direct mode: what the coil does, on a clock that the test moves and a connection that writes down what is written."""

from typing import Any

import pytest
from pydantic import ValidationError

from inspector.clock import NS_PER_MS, ManualClock
from inspector.config.schema import DirectConfig
from inspector.errors import PlcTimeoutError
from inspector.part import Outcome, Reason, Verdict
from inspector.plc.direct import DirectGate
from inspector.plc.registers import WordOrder
from tests.unit.plc.link_rig import FakeDesk

BY_TIME: dict[str, Any] = {"coil": 9, "delay_ms": 100.0, "width_ms": 20.0, "slack_ms": 5.0}
BY_BELT: dict[str, Any] = {
    "coil": 9, "delay_counts": 1000, "width_counts": 200, "encoder_address": 50, "poll_ms": 1.0, "slack_ms": 5.0,
}  # fmt: skip
SENSOR: dict[str, Any] = {"confirm_input": 4, "confirm_ms": 50.0, "poll_ms": 1.0}


class FakeConnection:
    """A PLC of one coil, one input and an encoder."""

    def __init__(self) -> None:
        self.coil: bool | None = None
        self.writes: list[bool] = []
        self.input = False
        self.count = 0
        self.low_first = False
        self.silent = False

    def write_coil(self, address: int, *, on: bool) -> None:
        assert address == 9
        if self.silent:
            raise PlcTimeoutError("silent")
        self.coil = on
        self.writes.append(on)

    def read_input(self, address: int) -> bool:
        assert address == 4
        return self.input

    def read_words(self, address: int, count: int) -> list[int]:
        assert (address, count) == (50, 2)
        words = [self.count >> 16, self.count & 0xFFFF]
        return words[::-1] if self.low_first else words


class Bench:
    """A gate on a belt that moves 10 counts in a millisecond."""

    def __init__(self, word_order: WordOrder = "high_first", **config: Any) -> None:
        self.clock = ManualClock()
        self.plc = FakeConnection()
        self.plc.low_first = word_order == "low_first"
        self.desk = FakeDesk()
        self.unconfirmed = self.desk.unconfirmed
        self.gate = DirectGate(9, DirectConfig(**config), self.desk, self.clock, word_order)
        self.at(0)

    def at(self, ms: float, *, act: bool = True) -> bool | None:
        """Let the time come; return what the coil is then. `act`: the thread came round."""
        self.clock._t_ns = round(ms * NS_PER_MS)
        self.plc.count = round(10 * ms)
        if act:
            self.gate.act(self.plc)  # type: ignore[arg-type]
        return self.plc.coil

    def run(self, until_ms: float) -> list[float]:
        """Come round whenever the gate asks to; return the milliseconds at which the coil changed."""
        changes = []
        while (t_ns := self.gate.next_ns()) is not None and t_ns <= until_ms * NS_PER_MS:
            before = self.plc.coil
            self.at(max(t_ns / NS_PER_MS, self.clock.now_ns() / NS_PER_MS))
            if self.plc.coil is not before:
                changes.append(self.clock.now_ns() / NS_PER_MS)
        return changes

    def take(self, part_id: int, trigger_ms: float, *, passed: bool = True) -> None:
        outcome, reason = (Outcome.PASS, Reason.NONE) if passed else (Outcome.REJECT, Reason.SCORE)
        t_ns = round(trigger_ms * NS_PER_MS)
        self.gate.take(Verdict(part_id, outcome, reason, t_ns, t_ns + 80 * NS_PER_MS, self.clock.now_ns()))


def test_the_first_thing_written_is_a_closed_gate() -> None:
    assert Bench(**BY_TIME).plc.writes == [False]
    assert Bench(**BY_BELT).plc.writes == [False]


def test_the_gate_opens_for_a_pass_and_for_nothing_else() -> None:
    bench = Bench(**BY_TIME)
    bench.take(1, 0)
    bench.take(2, 30, passed=False)
    bench.take(3, 60)
    assert bench.run(1000) == [100, 120, 160, 180]
    assert bench.unconfirmed == []


def test_an_open_gate_is_written_again_and_again_and_a_closed_one_is_not() -> None:
    bench = Bench(**BY_TIME | {"poll_ms": 5.0})
    bench.take(1, 0)
    bench.run(1000)
    assert bench.plc.writes == [False, True, True, True, True, False]


def test_parts_close_together_share_a_pulse_and_a_rejected_one_ends_it() -> None:
    bench = Bench(**BY_TIME)
    bench.take(1, 0)
    bench.take(2, 15)
    bench.take(3, 30, passed=False)
    assert bench.run(1000) == [100, 130]


def test_a_pass_that_comes_when_the_part_is_at_the_gate_opens_nothing() -> None:
    bench = Bench(**BY_TIME)
    bench.at(100)
    bench.take(1, 0)
    assert bench.at(101) is False
    assert bench.run(1000) == []


def test_a_window_that_was_slept_through_opens_nothing() -> None:
    bench = Bench(**BY_TIME)
    bench.take(1, 0)
    assert bench.at(121) is False
    assert bench.plc.writes == [False]


def test_a_gate_that_was_closed_too_late_for_a_rejected_part_is_told() -> None:
    bench = Bench(**BY_TIME)
    bench.take(1, 0)
    bench.take(2, 25, passed=False)
    assert bench.at(100) is True
    assert bench.at(129) is False  # four milliseconds after part 2 came
    assert bench.unconfirmed == []
    bench.take(3, 100)
    bench.take(4, 125, passed=False)
    bench.take(5, 150)
    assert bench.at(200) is True
    assert bench.at(255) is True  # open for part 5: part 4 came and went meanwhile
    assert bench.unconfirmed == [4]


def test_a_lost_link_ends_what_was_planned_and_begins_with_a_closed_gate() -> None:
    bench = Bench(**BY_TIME)
    bench.take(1, 0)
    bench.at(100)
    bench.gate.lose()
    assert bench.gate.next_ns() == 0
    assert bench.at(105) is False
    assert bench.run(1000) == []


def test_the_gate_is_closed_after_an_outage_before_anybody_knows_where_the_belt_is() -> None:
    bench = Bench(**BY_BELT | {"poll_ms": 5.0})
    bench.take(1, 0)
    assert bench.at(101) is True
    bench.gate.lose()
    assert bench.at(102) is False  # the next reading of the encoder is due at 106


def test_of_parts_from_before_an_outage_no_sensor_is_asked() -> None:
    bench = Bench(**BY_TIME | SENSOR)
    bench.take(1, 0, passed=False)
    bench.take(2, 30, passed=False)
    bench.run(110)  # part 1 is at the gate, part 2 is not
    bench.gate.lose()
    bench.run(300)
    assert bench.unconfirmed == []


def test_an_input_that_is_on_after_an_outage_confirms_nothing() -> None:
    bench = Bench(**BY_TIME | SENSOR)
    bench.gate.lose()
    bench.at(105, act=False)
    bench.take(1, 0, passed=False)
    bench.plc.input = True
    bench.run(300)
    assert bench.unconfirmed == [1]


def test_a_coil_that_was_not_acknowledged_is_unknown() -> None:
    bench = Bench(**BY_TIME)
    bench.take(1, 0)
    bench.plc.silent = True
    with pytest.raises(PlcTimeoutError):
        bench.at(100)
    bench.gate.lose()
    bench.plc.silent = False
    bench.at(101)
    assert bench.plc.writes == [False, False]


def test_a_station_that_goes_closes_the_gate() -> None:
    bench = Bench(**BY_TIME)
    bench.take(1, 0)
    assert bench.at(100) is True
    bench.gate.leave(bench.plc)  # type: ignore[arg-type]
    assert bench.plc.coil is False


def test_a_rejected_part_that_the_sensor_does_not_see_is_told_once() -> None:
    bench = Bench(**BY_TIME | SENSOR)
    bench.take(1, 0, passed=False)
    bench.take(2, 30, passed=False)
    bench.run(120)
    bench.plc.input = True
    bench.run(125)
    bench.plc.input = False
    bench.run(300)
    assert bench.unconfirmed == [2]


def test_a_part_whose_pass_came_too_late_for_its_window_must_be_seen_like_any_rejected_one() -> None:
    bench = Bench(**BY_TIME | SENSOR)
    bench.at(100)
    bench.take(1, 0)
    bench.run(300)
    assert bench.unconfirmed == [1]


def test_an_input_that_is_always_on_confirms_nothing() -> None:
    bench = Bench(**BY_TIME | SENSOR)
    bench.plc.input = True
    bench.gate.lose()
    bench.take(1, 0, passed=False)
    bench.run(300)
    assert bench.unconfirmed == [1]


def test_by_the_belt_the_gate_opens_where_the_part_is() -> None:
    bench = Bench(**BY_BELT)
    bench.run(10)
    bench.take(1, 5)
    assert bench.run(300) == [105, 125]


def test_a_part_that_cannot_be_placed_on_the_belt_is_not_released() -> None:
    bench = Bench(**BY_BELT)
    bench.gate.lose()
    bench.take(1, 0)
    bench.at(50)
    bench.take(2, 20)
    assert bench.run(400) == []
    assert bench.unconfirmed == [1, 2]


@pytest.mark.parametrize("t_lost", range(0, 200, 7))
def test_wherever_the_link_is_lost_the_coil_is_never_on_without_a_pass_in_time(t_lost: int) -> None:
    bench = Bench(**BY_TIME)
    parts = [(1, 0, True), (2, 18, False), (3, 40, True), (4, 55, True), (5, 90, False)]
    for now in range(250):
        for part_id, trigger, passed in parts:
            if now == trigger + 50:
                bench.take(part_id, trigger, passed=passed)
        if now == t_lost:
            bench.gate.lose()
        here = [passed for _, trigger, passed in parts if trigger + 100 <= now < trigger + 120]
        if bench.at(now):
            assert here
            assert all(here)


def test_the_meaning_by_which_silence_releases_must_be_wanted() -> None:
    with pytest.raises(ValidationError, match="a part passes whenever the link is down"):
        DirectConfig(**BY_TIME, coil_means="reject")
    bench = Bench(**BY_TIME, coil_means="reject", silence_may_release=True)
    bench.take(1, 0)
    bench.take(2, 30, passed=False)
    bench.take(3, 45, passed=False)
    assert bench.run(1000) == [130, 165]


@pytest.mark.parametrize("missing", ["delay_ms", "width_ms"])
def test_one_unit_must_be_chosen(missing: str) -> None:
    with pytest.raises(ValidationError, match="expected either delay_ms"):
        DirectConfig(**{key: value for key, value in BY_TIME.items() if key != missing})
    with pytest.raises(ValidationError, match="expected either delay_ms"):
        DirectConfig(**BY_TIME, width_counts=5)


def test_a_belt_that_wraps_goes_on() -> None:
    bench = Bench(**BY_BELT)
    bench.gate.lose()
    start = (1 << 32) - 50

    def at(ms: float) -> bool | None:
        bench.clock._t_ns = round(ms * NS_PER_MS)
        bench.plc.count = (start + round(10 * ms)) % (1 << 32)
        bench.gate.act(bench.plc)  # type: ignore[arg-type]
        return bench.plc.coil

    for ms in range(1, 11):
        at(ms)
    bench.take(1, 3)
    assert [at(ms) for ms in (102, 103, 122, 123)] == [False, True, True, False]


@pytest.mark.parametrize("word_order", ["high_first", "low_first"])
def test_an_encoder_of_two_words_is_read_in_the_order_of_the_map(word_order: WordOrder) -> None:
    bench = Bench(word_order, **BY_BELT)
    bench.run(6560)  # past the first word
    bench.take(1, 6500)
    assert bench.run(7000) == [6600, 6620]


def test_a_belt_that_goes_back_a_little_brings_a_rejected_part_back_to_the_gate() -> None:
    bench = Bench(**BY_BELT)

    def at(ms: float, count: int) -> bool | None:
        bench.clock._t_ns = round(ms * NS_PER_MS)
        bench.plc.count = count
        bench.gate.act(bench.plc)  # type: ignore[arg-type]
        return bench.plc.coil

    at(10, 100)
    at(20, 200)
    bench.take(1, 10, passed=False)  # at the gate from 1100 to 1300
    bench.take(2, 20)  # from 1200 to 1400
    assert [at(30, 1250), at(31, 1310), at(32, 1290), at(33, 1310)] == [False, True, False, True]


def test_verdicts_come_in_any_order() -> None:
    bench = Bench(**BY_TIME | SENSOR)
    bench.take(2, 30, passed=False)
    bench.take(1, 0, passed=False)
    bench.run(110)
    bench.plc.input = True
    bench.run(115)
    bench.run(300)
    assert bench.unconfirmed == [2]
