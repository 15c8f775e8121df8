"""When the line must stop: a state machine over parts, PLC inputs and faults. Pure: no I/O, no threads, no clock.

    rejects in a row      so many parts, one after the other
    reject rate           so many of the last parts
    unconfirmed reject    a rejected part that no sensor saw leave the line
    bin full              the PLC says so
    lasting fault         the station has had a fault for so long
    failed challenge      a challenge part came out wrong (`challenge.py` says so)
    lost memory           what an earlier run had latched cannot be read any more: any of these may have been

Each latches: it stays until clear_fault rises, also over a restart of the station (`memory`). Clearing begins every count anew;
a cause that is still there, a full bin or a fault, latches again in the same step, so that the PLC sees no gap.

In a row and in the rate count the parts that passed and those rejected for one of `reasons`, in the order in which their
verdicts left the station. A part rejected for another reason says nothing about the product: it counts neither for nor against,
and does not end a row. Nor do challenge parts.
"""

import enum
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from inspector.errors import (
    BinFullError,
    ChallengeFailedError,
    LastingFaultError,
    LineError,
    LostMemoryError,
    RejectRateError,
    RejectsInARowError,
    UnconfirmedRejectError,
)
from inspector.open_part import Note
from inspector.part import Outcome, Reason, Verdict

LONGEST_RATE = 512  # parts that a rate may look back on: the memory of a station has room for so many
COUNT_MAX = 65535


class Cause(enum.IntEnum):
    """What can latch. Numbers are stable: they stand in the memory that outlives the station."""

    REJECTS_IN_A_ROW = 0
    REJECT_RATE = 1
    UNCONFIRMED_REJECT = 2
    BIN_FULL = 3
    LASTING_FAULT = 4
    FAILED_CHALLENGE = 5
    LOST_MEMORY = 6


ERRORS: Final[Mapping[Cause, type[LineError]]] = MappingProxyType(
    {
        Cause.REJECTS_IN_A_ROW: RejectsInARowError,
        Cause.REJECT_RATE: RejectRateError,
        Cause.UNCONFIRMED_REJECT: UnconfirmedRejectError,
        Cause.BIN_FULL: BinFullError,
        Cause.LASTING_FAULT: LastingFaultError,
        Cause.FAILED_CHALLENGE: ChallengeFailedError,
        Cause.LOST_MEMORY: LostMemoryError,
    }
)


@dataclass(frozen=True, slots=True)
class StopRules:
    """What stops the line; 0 = never."""

    rejects_in_a_row: int = 0
    rate_rejects: int = 0
    rate_parts: int = LONGEST_RATE
    reasons: frozenset[Reason] = frozenset({Reason.SCORE})
    unconfirmed_reject: bool = True
    bin_full: bool = True
    fault_ns: int = 0
    failed_challenge: bool = True  # it latches in any case; this says whether it stops the line


@dataclass(frozen=True, slots=True)
class Memory:
    """What must outlive the station: a stop that a crash forgets would be a hole."""

    latched: tuple[Cause, ...] = ()  # the oldest first
    in_a_row: int = 0
    window: int = 0  # the last parts that counted as bits, the newest lowest; 1 = rejected
    unconfirmed: int | None = None  # the PLC's count of unconfirmed rejects when last read


class Interlock:
    """The state machine. Not thread-safe: its owner guards it, and keeps `memory` after each report."""

    def __init__(self, rules: StopRules, memory: Memory | None = None) -> None:
        """Go on where an earlier run left off. What it latched stays latched, also where its rule was turned off since."""
        self._rules = rules
        self._window_mask = (1 << rules.rate_parts) - 1
        self._notes: deque[Note] = deque(maxlen=100)
        self._clear_was_set = True  # unknown: a signal that is up at the first read is no edge
        self._t_fault_ns: int | None = None  # since when there is a fault
        memory = memory or Memory()
        self.memory = replace(memory, window=memory.window & self._window_mask)

    @property
    def latched(self) -> tuple[Cause, ...]:
        """What is latched, the oldest first."""
        return self.memory.latched

    @property
    def line_stop(self) -> bool:
        """Whether the line must stand."""
        harmless = set() if self._rules.failed_challenge else {Cause.FAILED_CHALLENGE}
        return bool(set(self.latched) - harmless)

    def notes(self) -> list[Note]:
        """Return what was latched and cleared since the last call, for the log."""
        return [self._notes.popleft() for _ in range(len(self._notes))]

    # -- what the owner reports -------------------------------------------------------------------

    def on_verdict(self, verdict: Verdict) -> None:
        """Report a verdict that left the station, or that never will: what the part got, and gets no other."""
        rejected = verdict.outcome is not Outcome.PASS
        if verdict.expected is not None or (rejected and verdict.reason not in self._rules.reasons):
            return
        memory, rules = self.memory, self._rules
        in_a_row = min(memory.in_a_row + 1, COUNT_MAX) if rejected else 0
        window = (memory.window << 1 | rejected) & self._window_mask
        self.memory = replace(memory, in_a_row=in_a_row, window=window)
        if not rejected:
            return
        if 0 < rules.rejects_in_a_row <= in_a_row:
            self._latch(
                Cause.REJECTS_IN_A_ROW,
                f"{in_a_row} parts in a row were rejected, the last was part {verdict.part_id}",
            )
        if 0 < rules.rate_rejects <= window.bit_count():
            self._latch(
                Cause.REJECT_RATE,
                f"{window.bit_count()} of the last {rules.rate_parts} parts were rejected, the last was part {verdict.part_id}",
            )

    def on_control(self, *, clear_fault: bool, bin_full: bool, unconfirmed_rejects: int) -> None:
        """Report a read of the control block."""
        if clear_fault and not self._clear_was_set:
            self._clear()
        self._clear_was_set = clear_fault
        if bin_full and self._rules.bin_full:
            self._latch(Cause.BIN_FULL, "the bin of rejected parts is full; empty it")
        before = self.memory.unconfirmed
        if unconfirmed_rejects == before:
            return
        self.memory = replace(self.memory, unconfirmed=unconfirmed_rejects)
        began_anew = unconfirmed_rejects == 0 and before != COUNT_MAX  # the PLC has lost its memory
        if before is not None and not began_anew:
            self._latch_unconfirmed("by the PLC's count")

    def on_unconfirmed(self, part_id: int) -> None:
        """Report a rejected part that was not seen to leave the line."""
        self._latch_unconfirmed(f"part {part_id}")

    def on_faults(self, *, present: bool, t_ns: int) -> None:
        """Report whether the station has a fault other than what is latched here; often, since this is also the clock."""
        if not present:
            self._t_fault_ns = None
            return
        if self._t_fault_ns is None:
            self._t_fault_ns = t_ns
        if 0 < self._rules.fault_ns <= t_ns - self._t_fault_ns:
            self._latch(Cause.LASTING_FAULT, "a fault has not ended by itself; see the errors before")

    def on_failed_challenge(self, why: str) -> None:
        """Report that a challenge part came out wrong."""
        self._latch(Cause.FAILED_CHALLENGE, why)

    # -- latching ---------------------------------------------------------------------------------

    def _latch_unconfirmed(self, which: str) -> None:
        if self._rules.unconfirmed_reject:
            why = f"a rejected part was not seen to leave the line ({which}); look for it among the good ones"
            self._latch(Cause.UNCONFIRMED_REJECT, why)

    def _latch(self, cause: Cause, why: str) -> None:
        if cause in self.latched:
            return
        self.memory = replace(self.memory, latched=(*self.latched, cause))
        fields: dict[str, int | str] = {"cause": cause.name, "code": ERRORS[cause].code, "why": why}
        self._notes.append(Note("fault_latched", {**fields, "line_stop": self.line_stop}))

    def _clear(self) -> None:
        """Forget what is latched and begin every count anew; there is nothing to clear where nothing is latched."""
        if self.latched:
            causes = ", ".join(cause.name for cause in self.latched)
            self._notes.append(Note("fault_cleared", {"causes": causes}))
        self.memory = Memory(unconfirmed=self.memory.unconfirmed)
