"""A challenge: the next parts are known good and known bad ones, and must come out so. Pure: no I/O, no threads, no clock.

    asked by the PLC's challenge_mode, or by a command
        │ the control read that shows it, with the count n
        ▼
    runs: part n + 1, n + 2 ... must come out as `sequence` says   ──all have their verdict──►  PASSED | FAILED
        │ challenge_mode falls, the command ends, the station stops                             ──►  VOID, or FAILED if one was wrong

Which part is which goes by the ids that the ledger counts, never by time: it asks `expectation` once for each part. Parts that
were counted before that read, open or not, are ordinary ones. Those that this very read shows for the first time may be from
before or after the PLC's signal: nobody can tell, so they are rejected without being parts of the challenge. A PLC that waits for
the state CHALLENGE before it lets the first part come has none. Likewise, as long as the signal stands, no part outside
the sequence is released, which also holds where it stood already when the station started: only a rising signal begins a
challenge.

A part that must come out bad is never released (the ledger sees to it). It is right if its score rejected it, and a good one if it
passed and the PLC has acknowledged that. Anything else fails the challenge, LATE and FRAME_LOST too: what was not judged was
not shown to be judged rightly.

A challenge is due from the start of the station and after a change of the recipe (`at_start`), so long or so many ordinary parts
after the last one that passed; where such an interval is given, also from the start, for nothing is known of before. Only one that
passes ends that.
"""

import enum
from collections import deque
from dataclasses import dataclass, field

from inspector.open_part import Note
from inspector.part import Expected, Outcome, Reason, Verdict

LONGEST_SEQUENCE = 16
PLC = "PLC"


class Result(enum.StrEnum):
    """How a challenge ended."""

    PASSED = "passed"
    FAILED = "failed"
    VOID = "void"  # it ended before its time, and showed nothing


@dataclass(frozen=True, slots=True)
class ChallengeRules:
    """What a challenge is, and when one is due; 0 = never."""

    sequence: tuple[Expected, ...] = (Expected.BAD, Expected.GOOD, Expected.BAD)
    every_ns: int = 0
    every_parts: int = 0
    at_start: bool = False


@dataclass(frozen=True, slots=True)
class ChallengePart:
    """One part of a challenge and how it came out."""

    verdict: Verdict
    right: bool


@dataclass(frozen=True, slots=True)
class Report:
    """A challenge that is over."""

    ticket: int
    asked_by: str
    sequence: tuple[Expected, ...]
    parts: tuple[ChallengePart, ...]
    result: Result
    why: str  # "" where it passed


@dataclass(slots=True)
class _Run:
    ticket: int
    asked_by: str
    to_come: deque[Expected]
    waiting: list[int] = field(default_factory=list)  # parts without a verdict
    parts: list[ChallengePart] = field(default_factory=list)
    why: str = ""  # it failed: each part that came out wrong, and how
    ended: str = ""  # why no more parts belong to it


class Challenge:
    """The state machine. Not thread-safe: its owner guards it."""

    def __init__(self, rules: ChallengeRules) -> None:
        """Start with no challenge; one may be due."""
        self.due = rules.at_start or bool(rules.every_ns or rules.every_parts)
        self._rules = rules
        self._run: _Run | None = None
        self._asked: tuple[int, str] | None = None  # by a command, until the next read
        self._tickets = 0
        self._mode: bool | None = None  # the PLC's signal at the last read
        self._mode_now = False  # and at the one being taken
        self._parts = 0  # ordinary ones since the last challenge that passed
        self._t_passed_ns: int | None = None
        self._reports: deque[Report] = deque(maxlen=100)
        self._notes: deque[Note] = deque(maxlen=100)

    @property
    def running(self) -> bool:
        """Whether the next part counted belongs to a challenge."""
        return self._run is not None and bool(self._run.to_come) and not self._run.ended

    @property
    def parts(self) -> tuple[ChallengePart, ...]:
        """The parts so far of the challenge that runs."""
        return tuple(self._run.parts) if self._run else ()

    @property
    def begun(self) -> int | None:
        """The ticket of the challenge that runs, or waits for the verdicts of its last parts."""
        return self._run.ticket if self._run else None

    def reports(self) -> list[Report]:
        """Return the challenges that ended since the last call."""
        return [self._reports.popleft() for _ in range(len(self._reports))]

    def notes(self) -> list[Note]:
        """Return what else is worth a line of the log since the last call."""
        return [self._notes.popleft() for _ in range(len(self._notes))]

    # -- asking for one ---------------------------------------------------------------------------

    def ask(self, asked_by: str) -> int | None:
        """Ask for a challenge, to begin with the next control read; return its ticket, None where one runs already."""
        if self._run is not None or self._asked is not None:
            return None
        self._tickets += 1
        self._asked = self._tickets, asked_by
        return self._tickets

    def withdraw(self, ticket: int, why: str) -> None:
        """End the challenge of this ticket, if it is not over; parts of it that have no verdict yet are waited for."""
        if self._asked is not None and self._asked[0] == ticket:
            self._end_asked(why)
        if self._run is not None and self._run.ticket == ticket:
            self._end(self._run, why)

    def stop(self, why: str) -> None:
        """End what runs, now: its open parts are not waited for."""
        self._end_asked(why)
        if self._run is not None:
            self._run.waiting.clear()
            self._end(self._run, why)

    # -- what the owner reports -------------------------------------------------------------------

    def on_control(self, *, challenge_mode: bool) -> None:
        """Report a read of the control block, before the ledger counts the parts that it shows."""
        self._mode_now = challenge_mode

    def expectation(self, part_id: int) -> Expected | None:
        """Say how the part that is being counted must come out; None = it is an ordinary one. Once for each part."""
        run = self._run
        if run is not None and run.to_come and not run.ended:
            run.waiting.append(part_id)
            return run.to_come.popleft()
        return Expected.BAD if self._mode or self._mode_now else None

    def on_counted(self) -> None:
        """Report that the ledger has counted the parts of that read: a challenge begins and ends behind them."""
        before, self._mode = self._mode, self._mode_now
        self._begin_asked()
        rises, falls = self._mode and before is False, before and not self._mode
        if rises and self._run is None:
            self._tickets += 1
            self._begin(self._tickets, PLC)
        elif (rises or before is None) and self._mode:
            why = "another one runs" if rises else "challenge_mode stood already; let it fall and rise"
            self._notes.append(Note("challenge_not_begun", {"why": why}))
        if falls and self._run is not None and self._run.asked_by == PLC:
            self._end(self._run, "the PLC took challenge_mode back")

    def on_verdict(self, verdict: Verdict, *, acknowledged: bool) -> str:
        """Report what a part finally got, and whether the PLC has it; return why this fails the challenge, "" where it does not."""
        run = self._run
        if verdict.expected is None:
            self._parts += 1
            if 0 < self._rules.every_parts <= self._parts:
                self._become_due(f"{self._parts} parts since the last one")
        elif run is not None and verdict.part_id in run.waiting:
            run.waiting.remove(verdict.part_id)
            wrong = _wrong(verdict, acknowledged=acknowledged)
            run.parts.append(ChallengePart(verdict, not wrong))
            run.why = "; ".join(filter(None, (run.why, wrong)))
            self._close_if_over(run)
            return wrong
        return ""

    def on_tick(self, t_ns: int) -> None:
        """Report the time."""
        if self._rules.every_ns > 0 and self._t_passed_ns is not None and not self.due:
            hours = self._rules.every_ns / 3.6e12
            if t_ns - self._t_passed_ns >= self._rules.every_ns:
                self._become_due(f"{hours:g} hours since the last one")

    def on_recipe(self) -> None:
        """Report that another recipe decides from now on."""
        if self._rules.at_start:
            self._become_due("the recipe changed")

    # -- inside -----------------------------------------------------------------------------------

    def _begin_asked(self) -> None:
        asked, self._asked = self._asked, None
        if asked is not None:
            self._begin(*asked)

    def _end_asked(self, why: str) -> None:
        """Report one that was asked for as over, which never began."""
        asked, self._asked = self._asked, None
        if asked is not None:
            ticket, asked_by = asked
            ended = f"{why} before the challenge began"
            self._reports.append(Report(ticket, asked_by, self._rules.sequence, (), Result.VOID, ended))

    def _begin(self, ticket: int, asked_by: str) -> None:
        self._run = _Run(ticket, asked_by, deque(self._rules.sequence))
        self._notes.append(Note("challenge_begun", {"asked_by": asked_by}))

    def _end(self, run: _Run, why: str) -> None:
        length = len(self._rules.sequence)
        run.ended = run.ended or f"{why} after {length - len(run.to_come)} of {length} parts"
        self._close_if_over(run)

    def _close_if_over(self, run: _Run) -> None:
        if run.waiting or (run.to_come and not run.ended):
            return
        self._run = None
        whole = len(run.parts) == len(self._rules.sequence)
        result = Result.FAILED if run.why else Result.PASSED if whole else Result.VOID
        why = run.why or ("" if whole else run.ended)
        self._reports.append(
            Report(run.ticket, run.asked_by, self._rules.sequence, tuple(run.parts), result, why)
        )
        if result is Result.PASSED:
            self.due, self._parts = False, 0
            self._t_passed_ns = run.parts[-1].verdict.t_decided_ns

    def _become_due(self, why: str) -> None:
        if not self.due:
            self.due = True
            self._notes.append(Note("challenge_due", {"why": why}))


def _wrong(verdict: Verdict, *, acknowledged: bool) -> str:
    """Return what is wrong with how a challenge part came out, "" where it came out as it must."""
    if verdict.expected is Expected.BAD:
        right = verdict.outcome is Outcome.REJECT and verdict.reason is Reason.SCORE
    else:
        right = verdict.outcome is Outcome.PASS
    if right and (acknowledged or verdict.expected is Expected.BAD):
        return ""
    if right:
        return f"part {verdict.part_id}, a good one, passed, but the PLC never acknowledged it"
    came = {
        Reason.NONE: "was passed",
        Reason.SCORE: "looked bad",
        Reason.CHALLENGE: "looked good",
    }.get(verdict.reason, f"was rejected for {verdict.reason.name}")
    return f"part {verdict.part_id}, a {verdict.expected} one, {came}"
