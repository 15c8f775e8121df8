"""The signals of smart cameras as a state machine: whatever the PLC does with its bits, no verdict is offered as another part's."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from inspector.plc.registers import State, VisionControl, VisionStatus
from inspector.plc.vision import Vision

C, S = VisionControl, VisionStatus
MOST = 4


class Handshaking(RuleBasedStateMachine):
    """A PLC that sets its bits at random, beside a model of the queue that says what it may see."""

    def __init__(self) -> None:
        super().__init__()
        self.vision = Vision(MOST)
        self.control = C(0)
        self.next_part = 1
        self.waiting: list[int] = []  # by the model, the offered one first
        self.acknowledged: list[int] = []
        self.lost = 0

    @property
    def seen(self) -> tuple[VisionStatus, int, int, int]:
        signals, _, part, waiting, lost = self.vision.words(State.ONLINE | State.READY, 0)
        return S(signals), part, waiting, lost

    @rule(bits=st.integers(0, 31))
    def the_plc_sets_its_bits(self, bits: int) -> None:
        control = C(bits)
        signals, part, *_ = self.seen
        if C.RESULTS_ACK in control & ~self.control and S.RESULTS_VALID in signals:
            assert self.waiting.pop(0) == part
            self.acknowledged.append(part)
        self.vision.set_control(control, ready=True)
        self.control = control

    @rule()
    def a_verdict_comes(self) -> None:
        if C.BUFFER_RESULTS_ENABLE not in self.control:
            self.waiting = [self.next_part]
        elif len(self.waiting) < MOST:
            self.waiting.append(self.next_part)
        else:
            self.lost += 1
        self.vision.add(self.next_part)
        self.next_part += 1

    @rule()
    def the_plc_goes(self) -> None:
        self.vision.clear()
        self.waiting.clear()
        self.control = C(0)

    @invariant()
    def what_is_offered_is_the_oldest_that_waits(self) -> None:
        signals, part, waiting, lost = self.seen
        assert (waiting, lost) == (len(self.waiting), self.lost)
        assert part in {0, *self.waiting[:1]}
        assert (part != 0) == (S.RESULTS_VALID in signals)
        if self.waiting and C.RESULTS_ACK not in self.control:
            assert part == self.waiting[0]

    @invariant()
    def no_part_is_acknowledged_twice_or_out_of_order(self) -> None:
        assert self.acknowledged == sorted(set(self.acknowledged))

    @invariant()
    def a_trigger_is_acknowledged_only_while_it_is_up(self) -> None:
        signals, *_ = self.seen
        if S.TRIGGER_ACK in signals:
            assert C.TRIGGER in self.control
            assert S.TRIGGER_READY not in signals


TestHandshaking = Handshaking.TestCase


def test_a_full_queue_says_so_until_there_is_room_again() -> None:
    vision = Vision(2)
    vision.set_control(C.BUFFER_RESULTS_ENABLE, ready=True)
    for part_id in (1, 2, 3):
        vision.add(part_id)
    signals, _, part, waiting, lost = vision.words(State.ONLINE, 0)
    assert (S(signals), part, waiting, lost) == (S.ONLINE | S.RESULTS_VALID | S.RESULTS_OVERRUN, 1, 2, 1)
    vision.set_control(C.BUFFER_RESULTS_ENABLE | C.RESULTS_ACK, ready=True)
    vision.add(4)
    signals, _, part, waiting, lost = vision.words(State.ONLINE, 0)
    assert (S(signals), part, waiting, lost) == (S.ONLINE, 0, 2, 1)


def test_an_acknowledge_of_nothing_takes_nothing() -> None:
    vision = Vision(2)
    vision.set_control(C.BUFFER_RESULTS_ENABLE | C.RESULTS_ACK, ready=True)
    vision.add(1)
    assert vision.words(State(0), 0)[2] == 0
    vision.set_control(C.BUFFER_RESULTS_ENABLE, ready=True)
    assert vision.words(State(0), 0)[2] == 1


@given(st.booleans(), st.booleans())
def test_a_trigger_that_is_not_heeded_is_an_error_until_it_is_cleared(ready: bool, enabled: bool) -> None:
    vision = Vision(2)
    trigger = C.TRIGGER | (C.TRIGGER_ENABLE if enabled else C(0))
    assert vision.set_control(trigger, ready=ready) == (ready and enabled)
    signals = S(vision.words(State.ONLINE | State.READY, 0)[0])
    assert (S.TRIGGER_ACK in signals) == (ready and enabled)
    assert (S.ERROR in signals) == (not (ready and enabled))
    vision.set_control(trigger | C.CLEAR_ERROR, ready=ready)
    assert S.ERROR not in S(vision.words(State.ONLINE, 0)[0])


def test_a_fault_of_the_station_is_an_error_too() -> None:
    assert S.ERROR in S(Vision(2).words(State.ONLINE | State.FAULT, 0)[0])
