"""Two threads write slots: whatever comes between their steps, each verdict is reported once, and no PASS leaves that should not.

The link is the station's own, but its connection is one that hypothesis answers for, and time is the test's. One step is a turn of the PLC
thread, or a verdict that the engine thread delivers. While the PLC thread waits for an answer the other one goes on: it delivers,
the PLC counts or begins anew.
"""

import os
from collections import Counter
from collections.abc import Callable
from functools import partial
from unittest import mock

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from inspector.clock import NS_PER_MS, ManualClock
from inspector.errors import PlcTimeoutError
from inspector.part import Finding, Outcome, Reason, Verdict, next_part_id
from inspector.plc import link
from inspector.plc.registers import Control
from inspector.plc.writers import CHECK_NS
from tests.unit.plc.link_rig import FakeDesk, configured

TIMEOUT_MS = 20.0
POLLS_MS = st.sampled_from([2.0, 5.0, 60.0])  # the last one: the thread would sleep beyond a time-out
NEVER = 1000

deadlines_ms = st.sampled_from([0.0, 3.0, 30.0, 500.0])
verdicts = st.tuples(st.booleans(), deadlines_ms)
failures = st.sampled_from([NEVER, NEVER, NEVER, 1, 2, 3])  # which call of a turn gets no answer


class Connection:
    """What the link uses of `PlcConnection`. The machine says how each call ends."""

    def __init__(self, machine: "SlotsMachine") -> None:
        self._machine = machine
        self._fd = os.eventfd(0, os.EFD_CLOEXEC)
        self.open = True
        self.under_way = False  # a write whose answer was not waited for
        self.t_limit_ns = 0

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        if self.open:
            os.close(self._fd)
        self.open = False

    def send_slot(self, _: int, words: list[int]) -> None:
        self._begin()
        self.under_way = True
        self.t_limit_ns = self._machine.clock.now_ns() + round(TIMEOUT_MS * NS_PER_MS)
        self._machine.is_sent(words)

    def hear_slot(self) -> None:
        assert self.under_way
        self._machine.wait()
        self.under_way = False

    def read_control(self) -> Control:
        self._begin()
        self._machine.wait()
        return self._machine.shown()

    def read_words(self, _: int, count: int) -> list[int]:
        self._begin()
        self._machine.wait()
        return [0] * count

    def read_status(self) -> list[int]:
        self._begin()
        self._machine.wait()
        return [self._machine.heartbeat, *[0] * 11]

    def write_status(self, words: list[int]) -> None:
        self._begin()
        self._machine.heartbeat = words[0]
        self._machine.wait()

    def _begin(self) -> None:
        assert self.open
        assert not self.under_way, "two calls at once"


class Link(link.PlcLink):
    """Without a thread: a turn ends where it would sleep."""

    roused = False

    def _sleep(self, ms: float) -> None:
        self.roused = False

    def _rouse(self, *, yielding: bool = False) -> None:
        self.roused = True


class SlotsMachine(RuleBasedStateMachine):
    """Steps of both threads, and what must hold between them. Verdicts are told apart by their score."""

    @initialize(first=st.sampled_from([0, 100, 65_530]), poll_ms=POLLS_MS)
    def begin(self, first: int, poll_ms: float) -> None:
        self.clock, self.desk = ManualClock(10**12), FakeDesk()
        self.count = self.part_id = first
        self.heartbeat = 0
        self.epoch = self.known_epoch = 0  # of the PLC's memory, and the last one that the link has read of
        self.epoch_of: list[int] = []  # of each verdict, as the desk knew it
        self.filed: list[Verdict] = []
        self.sends: list[tuple[int, int]] = []  # which verdict, and as what
        self.calls_until_failure = NEVER
        self.meanwhile: list[Callable[[], None]] = []
        self.connections = mock.patch.object(link, "PlcConnection", self.connect)
        self.connections.start()
        settings = configured(1, poll_ms=poll_ms, status_ms=50.0)
        self.link = Link(settings, TIMEOUT_MS, self.desk, self.clock)
        self.link._turn()  # it connects, and has read the count

    def connect(self, *_: object, **__: object) -> Connection:
        return Connection(self)

    # -- what the connection asks -----------------------------------------------------------------

    def wait(self) -> None:
        """The PLC thread waits for an answer, and has the link for itself."""
        sends = len(self.sends)
        self.clock.advance_ms(0.3)
        if self.meanwhile:
            self.meanwhile.pop(0)()
        assert len(self.sends) == sends
        self.calls_until_failure -= 1
        if self.calls_until_failure == 0:
            self.clock.advance_ms(TIMEOUT_MS)
            raise PlcTimeoutError("no answer")

    def shown(self) -> Control:
        self.known_epoch, self.part_id = self.epoch, self.count
        return Control(enable=True, part_count=self.count, plc_heartbeat=1)

    def is_sent(self, words: list[int]) -> None:
        """Judge a write: of the present memory's part, and a PASS only in time, once looked at, and never taken back."""
        number, outcome = words[3], words[1]
        assert self.epoch_of[number] == self.known_epoch
        if outcome == Outcome.PASS:
            assert self.clock.now_ns() < self.filed[number].t_deadline_ns
            assert (number, Outcome.PASS) in self.sends or not self.link._foreign.look_due(
                self.clock.now_ns()
            )
            assert (number, Outcome.REJECT) not in self.sends
        self.sends.append((number, outcome))

    # -- steps ------------------------------------------------------------------------------------

    def is_final(self, passed: bool, deadline_ms: float) -> None:
        """The PLC counts a part, and its verdict is final; where it has begun anew since, that of a part from before."""
        self.part_id = next_part_id(self.part_id) if self.part_id else 1
        if self.epoch == self.known_epoch:
            self.count = self.part_id
        now_ns, number = self.clock.now_ns(), len(self.filed)
        outcome, reason = (Outcome.PASS, Reason.NONE) if passed else (Outcome.REJECT, Reason.SCORE)
        t_deadline_ns = now_ns + round(deadline_ms * NS_PER_MS)
        final = Verdict(
            self.part_id, outcome, reason, now_ns, t_deadline_ns, now_ns, finding=Finding(0, number / 1000)
        )
        self.filed.append(final)
        self.epoch_of.append(self.known_epoch)
        self.desk.file(final)

    def engine_delivers(self, passed: bool, deadline_ms: float) -> None:
        self.is_final(passed, deadline_ms)
        self.link.deliver()

    def plc_begins_anew(self) -> None:
        """It forgets its count, where the next read can tell."""
        if self.link._count > 50 and self.epoch == self.known_epoch:
            self.count = self.heartbeat = 0
            self.epoch += 1

    @rule(verdict=verdicts)
    def the_engine_delivers(self, verdict: tuple[bool, float]) -> None:
        """While the PLC thread sleeps: what can leave at once does, and what cannot wakes it."""
        slots, now_ns = self.link._slots, self.clock.now_ns()
        idle = self.link._connection is not None and not slots.waiting and not self.desk._verdicts
        sends = len(self.sends)
        self.engine_delivers(*verdict)
        sent = len(self.sends) > sends
        assert sent or self.link.roused
        assert sent or not idle or (verdict[0] and self.link._foreign.look_due(now_ns))

    @rule(verdicts=st.lists(verdicts, min_size=1, max_size=20))
    def the_plc_thread_decides(self, verdicts: list[tuple[bool, float]]) -> None:
        for verdict in verdicts:
            self.is_final(*verdict)
        self.link.wake()

    @rule(failing=failures, delivered=st.lists(verdicts, max_size=3), anew=st.booleans())
    def the_plc_thread_turns(self, failing: int, delivered: list[tuple[bool, float]], anew: bool) -> None:
        self.calls_until_failure = failing
        self.meanwhile = [partial(self.engine_delivers, *verdict) for verdict in delivered]
        self.meanwhile += [self.plc_begins_anew] * anew
        self.link._turn()
        self.calls_until_failure, self.meanwhile = NEVER, []

    @rule(ms=st.sampled_from([0.1, 2.0, 10.0, 40.0, 300.0]))
    def time_goes_by(self, ms: float) -> None:
        self.clock.advance_ms(ms)

    @rule()
    def the_plc_restarts(self) -> None:
        self.plc_begins_anew()

    @precondition(lambda self: self.clock.now_ns() > 10**12 + CHECK_NS)
    @rule()
    def a_frame_comes(self) -> None:
        self.link.wake()

    # -- what must hold ---------------------------------------------------------------------------

    @invariant()
    def no_verdict_is_reported_twice(self) -> None:
        if hasattr(self, "desk"):
            assert all(times == 1 for times in self.reports().values())

    @invariant()
    def the_thread_is_awake_when_an_answer_is_overdue(self) -> None:
        connection = self.link._connection if hasattr(self, "link") else None
        if connection is not None and self.link._slots.under_way and not self.link.roused:
            assert self.link._t_wakes_ns <= connection.t_limit_ns

    def reports(self) -> Counter[int]:
        return Counter(number_of(verdict) for verdict, _ in self.desk.written)

    def teardown(self) -> None:
        if not hasattr(self, "link"):
            return
        try:
            self.link._stopping.set()
            self.link._say_goodbye()
            self.link._close()
            self.link._give_up_unwritten()
            self.judge()
        finally:
            self.connections.stop()
            self.link._poll.close()
            os.close(self.link._wake_fd)

    def judge(self) -> None:
        """In the end every verdict is reported, as what the PLC can have."""
        assert self.reports() == Counter(range(len(self.filed)))
        for verdict, t_written_ns in self.desk.written:
            sent = [outcome for number, outcome in self.sends if number == number_of(verdict)]
            assert (Outcome.PASS in sent) == (verdict.outcome is Outcome.PASS)
            assert t_written_ns is None or sent


def number_of(verdict: Verdict) -> int:
    return round(verdict.finding.relative_score * 1000)


TestSlots = SlotsMachine.TestCase
