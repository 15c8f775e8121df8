"""The interlock against plain lists: whatever comes, in whatever order, and however often the station is killed in between."""

from collections.abc import Iterable

from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from inspector import safeguards
from inspector.interlock import Cause, Interlock, StopRules
from inspector.part import Expected, Outcome, Reason, Verdict

REASONS = [reason for reason in Reason if reason]


class InterlockMachine(RuleBasedStateMachine):
    """Every part is written down; what must be latched follows from the list since the last clearing."""

    @initialize(
        in_a_row=st.integers(0, 4),
        rejects=st.integers(0, 4),
        more=st.integers(0, 4),
        reasons=st.sets(st.sampled_from(REASONS), min_size=1),
        fault_ms=st.integers(0, 3),
    )
    def begin(self, in_a_row: int, rejects: int, more: int, reasons: set[Reason], fault_ms: int) -> None:
        self.stop_rules = StopRules(
            rejects_in_a_row=in_a_row,
            rate_rejects=rejects,
            rate_parts=max(1, rejects + more),
            reasons=frozenset(reasons),
            fault_ns=fault_ms,
        )
        self.interlock = Interlock(self.stop_rules)
        self.counted: list[bool] = []  # parts that count since the last clearing: rejected or not
        self.wanted: set[Cause] = set()
        self.clear_was_set: bool | None = None
        self.bin_full = False
        self.unconfirmed: int | None = None
        self.now = 0
        self.t_fault: int | None = None

    @rule(reason=st.sampled_from([Reason.NONE, Reason.SCORE, *REASONS]), challenge=st.booleans())
    def part(self, reason: Reason, challenge: bool) -> None:
        outcome = Outcome.REJECT if reason else Outcome.PASS
        expected = Expected.BAD if challenge else None
        self.interlock.on_verdict(Verdict(1, outcome, reason, 0, 1, 1, expected=expected))
        if not challenge and (not reason or reason in self.stop_rules.reasons):
            self.counted.append(bool(reason))
            self.wanted.update(self._by_parts() if reason else ())

    def _by_parts(self) -> Iterable[Cause]:
        row = self.stop_rules.rejects_in_a_row
        if row and len(self.counted) >= row and all(self.counted[-row:]):
            yield Cause.REJECTS_IN_A_ROW
        if (
            self.stop_rules.rate_rejects
            and sum(self.counted[-self.stop_rules.rate_parts :]) >= self.stop_rules.rate_rejects
        ):
            yield Cause.REJECT_RATE

    @rule(clear=st.booleans(), bin_full=st.booleans(), unconfirmed=st.sampled_from([0, 0, 1, 2]))
    def read(self, clear: bool, bin_full: bool, unconfirmed: int) -> None:
        self.interlock.on_control(clear_fault=clear, bin_full=bin_full, unconfirmed_rejects=unconfirmed)
        if clear and self.clear_was_set is False:
            self.wanted.clear()
            self.counted.clear()
        self.clear_was_set = clear
        if bin_full:
            self.wanted.add(Cause.BIN_FULL)
        if self.unconfirmed is not None and unconfirmed not in {0, self.unconfirmed}:
            self.wanted.add(Cause.UNCONFIRMED_REJECT)
        self.unconfirmed = unconfirmed

    @rule(faulty=st.booleans())
    def time_passes(self, faulty: bool) -> None:
        self.now += 1
        self.interlock.on_faults(present=faulty, t_ns=self.now)
        if not faulty:
            self.t_fault = None
            return
        self.t_fault = self.now if self.t_fault is None else self.t_fault
        if self.stop_rules.fault_ns and self.now - self.t_fault >= self.stop_rules.fault_ns:
            self.wanted.add(Cause.LASTING_FAULT)

    @rule()
    def challenge_fails(self) -> None:
        self.interlock.on_failed_challenge("part 3 looked good")
        self.wanted.add(Cause.FAILED_CHALLENGE)

    @rule()
    def kill(self) -> None:
        """Start again from the numbers in the file; signals and faults are new to the next run."""
        numbers = safeguards._encoded(self.interlock.memory)
        self.interlock = Interlock(self.stop_rules, safeguards._decoded(numbers))
        self.clear_was_set = None
        self.t_fault = None

    @invariant()
    def exactly_what_must_be_is_latched(self) -> None:
        if hasattr(self, "wanted"):
            event(f"latched: {len(self.wanted)}")
            assert set(self.interlock.latched) == self.wanted
            assert len(self.interlock.latched) == len(self.wanted)
            assert self.interlock.line_stop == bool(self.wanted)


TestInterlock = InterlockMachine.TestCase
