"""Stops and challenges as the desk uses them: the interlock and the challenge, fed together, kept over a crash, and logged.

Not thread-safe: the desk guards it with its lock. `tell` alone is called without it, since logging takes longer than the
lock may be held: by the PLC thread at once, by the main thread where that hears nothing from its PLC.
"""

import logging
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from inspector.challenge import Challenge, ChallengePart, ChallengeRules, Report, Result
from inspector.clock import NS_PER_MS, NS_PER_S
from inspector.config.schema import Config
from inspector.interlock import ERRORS, LONGEST_RATE, Cause, Interlock, Memory, StopRules
from inspector.notes import tell
from inspector.open_part import Note
from inspector.part import Expected, Reason, Verdict
from inspector.plc.registers import Control
from inspector.service.kept import KeptNumbers

log = logging.getLogger(__name__)

MAGIC = b"INSPLCH1"
TICK_NS = 50 * NS_PER_MS
_WINDOW_WORDS = LONGEST_RATE // 64
NUMBERS = (
    3 + _WINDOW_WORDS
)  # latched causes, rejects in a row, the PLC's count of unconfirmed rejects, the window
_RESULT_LEVELS = {
    Result.PASSED: logging.INFO,
    Result.FAILED: logging.ERROR,
    Result.VOID: logging.WARNING,
}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a challenge is, for whoever asked for it."""

    begun: bool
    parts: tuple[ChallengePart, ...]
    report: Report | None  # it is over


class Safeguards:
    """What watches over the verdicts of one station."""

    def __init__(
        self, stops: StopRules, challenges: ChallengeRules, kept: KeptNumbers, *, reject_parts: bool = False
    ) -> None:
        """Go on with what `kept` says is latched. `reject_parts`: while the line must stand, no part passes."""
        # Has the disk keep what was latched or cleared. A stop takes effect before that, and one that was cleared may come back.
        self.sync: Callable[[], None] = lambda: None
        self.disk_stands: Callable[[], bool] = lambda: False  # it does not answer, or refuses
        self._kept = kept
        self._reject_parts = reject_parts
        self._interlock = Interlock(stops, _decoded(kept.numbers))
        self._challenge = Challenge(challenges)
        self._kept_memory = _decoded(kept.numbers)
        self._t_tick_ns = 0
        self._last: Report | None = None
        self._untold: deque[Report | Note] = deque()
        self._keep()

    # -- what the desk asks -----------------------------------------------------------------------

    @property
    def line_stop(self) -> bool:
        """Whether the line must stand."""
        return self._interlock.line_stop

    @property
    def rejecting(self) -> bool:
        """Whether no part may pass because of it."""
        return self._reject_parts and self.line_stop

    @property
    def latched_code(self) -> str:
        """The code of what has been latched for longest, "" where nothing is."""
        return ERRORS[self._interlock.latched[0]].code if self._interlock.latched else ""

    @property
    def challenge_due(self) -> bool:
        """Whether a challenge should be run."""
        return self._challenge.due

    @property
    def challenge_running(self) -> bool:
        """Whether the next part counted belongs to a challenge."""
        return self._challenge.running

    def expectation(self, part_id: int) -> Expected | None:
        """Say how the part that is being counted must come out (`Challenge.expectation`)."""
        return self._challenge.expectation(part_id)

    # -- what the desk reports --------------------------------------------------------------------

    def on_control(self, control: Control) -> None:
        """Report a read of the control block, before the ledger counts the parts that it shows."""
        self._interlock.on_control(
            clear_fault=control.clear_fault,
            bin_full=control.bin_full,
            unconfirmed_rejects=control.unconfirmed_rejects,
        )
        self._challenge.on_control(challenge_mode=control.challenge_mode)
        self._keep()

    def on_counted(self) -> None:
        """Report that the ledger has counted the parts of that read."""
        self._challenge.on_counted()
        self._keep()

    def on_verdict(self, verdict: Verdict, *, acknowledged: bool) -> None:
        """Report what a part finally got, and whether the PLC has it."""
        self._interlock.on_verdict(verdict)
        if wrong := self._challenge.on_verdict(verdict, acknowledged=acknowledged):
            self._interlock.on_failed_challenge(wrong)
        self._keep()

    def on_unconfirmed(self, part_id: int) -> None:
        """Report a rejected part that was not seen to leave the line."""
        self._interlock.on_unconfirmed(part_id)
        self._keep()

    def on_tick(self, *, faults: bool, t_ns: int) -> None:
        """Report the time, and whether the station has a fault; more often than every TICK_NS changes nothing."""
        if t_ns < self._t_tick_ns:
            return
        self._t_tick_ns = t_ns + TICK_NS
        self._interlock.on_faults(present=faults, t_ns=t_ns)
        self._challenge.on_tick(t_ns)
        self._keep()

    def on_recipe(self) -> None:
        """Report that another recipe decides from now on."""
        self._challenge.on_recipe()
        self._keep()

    def stop(self) -> None:
        """Report that the station goes: what runs is void."""
        self._challenge.stop("the station stopped")
        self._keep()

    # -- for the command --------------------------------------------------------------------------

    def ask(self, asked_by: str) -> int | None:
        """Ask for a challenge; return its ticket, None where one runs already."""
        return self._challenge.ask(asked_by)

    def withdraw(self, ticket: int) -> None:
        """Take note that nobody waits for it any more."""
        self._challenge.withdraw(ticket, "the command ended")
        self._keep()

    def progress(self, ticket: int) -> Progress:
        """Say how far the challenge is that was asked for last."""
        if self._last is not None and self._last.ticket == ticket:
            return Progress(begun=True, parts=self._last.parts, report=self._last)
        return Progress(begun=self._challenge.begun == ticket, parts=self._challenge.parts, report=None)

    # -- the log ----------------------------------------------------------------------------------

    def tell(self) -> None:
        """Log what happened since the last call. Without the lock; any thread."""
        while self._untold:
            try:
                said = self._untold.popleft()
            except IndexError:  # another thread was quicker
                return
            if isinstance(said, Report):
                log.log(_RESULT_LEVELS[said.result], "challenge", extra=described(said))
            else:
                tell([said])

    def _keep(self) -> None:
        """Keep what must outlive the station, and leave what happened for the log."""
        for report in self._challenge.reports():
            self._last = report
            if report.result is Result.FAILED:  # again, where it was cleared before the challenge was over
                self._interlock.on_failed_challenge(report.why)
            self._untold.append(report)
        self._untold.extend((*self._challenge.notes(), *self._interlock.notes()))
        memory = self._interlock.memory
        if memory is not self._kept_memory:
            self._kept.write(_encoded(memory))
            if memory.latched != self._kept_memory.latched:
                self.sync()
            self._kept_memory = memory


def open_memory(path: Path) -> KeptNumbers:
    """Open the file that keeps what is latched; of a damaged one, that something unknown may be. Errors as `KeptNumbers.open`."""
    return KeptNumbers.open(path, MAGIC, NUMBERS, unknown=_encoded(Memory(latched=(Cause.LOST_MEMORY,))))


def safeguards_of(config: Config, kept: KeptNumbers) -> Safeguards:
    """Return what the configuration asks for."""
    stops, challenge = config.stops, config.challenge
    return Safeguards(
        StopRules(
            rejects_in_a_row=stops.rejects_in_a_row,
            rate_rejects=stops.reject_rate.rejects,
            rate_parts=stops.reject_rate.of_last,
            reasons=frozenset(Reason[name] for name in stops.reasons),
            unconfirmed_reject=stops.unconfirmed_reject,
            bin_full=stops.bin_full,
            fault_ns=round(stops.fault_ms * NS_PER_MS),
            failed_challenge=stops.failed_challenge,
        ),
        ChallengeRules(
            sequence=tuple(Expected(name) for name in challenge.sequence),
            every_ns=round(challenge.every_hours * 3600 * NS_PER_S),
            every_parts=challenge.every_parts,
            at_start=challenge.at_start,
        ),
        kept,
        reject_parts=stops.reject_parts,
    )


def described(report: Report) -> dict[str, object]:
    """Return a challenge as one entry of the log: who asked, what was expected, what came, what decided (I6)."""
    deciding = report.parts[-1].verdict.deciding if report.parts else None
    return {
        "result": report.result.value,
        "why": report.why,
        "asked_by": report.asked_by,
        "sequence": [expected.value for expected in report.sequence],
        "parts": [part_described(part) for part in report.parts],
        "recipe": deciding.recipe if deciding else 0,
        "threshold": deciding.threshold if deciding else None,
        "model": deciding.model_sha256 if deciding else "",
    }


def part_described(part: ChallengePart) -> dict[str, object]:
    """Return one part of a challenge as plain values."""
    verdict, finding = part.verdict, part.verdict.finding
    return {
        "part_id": verdict.part_id,
        "expected": verdict.expected.value if verdict.expected else None,
        "outcome": verdict.outcome.name,
        "reason": verdict.reason.name,
        "score": _finite(finding.score),
        "relative_score": _finite(finding.relative_score),
        "right": part.right,
    }


def _finite(value: float) -> float | None:
    """Return the value, None where it is no number: JSON has no word for that."""
    return value if math.isfinite(value) else None


def _encoded(memory: Memory) -> tuple[int, ...]:
    """Return the memory as numbers. Causes stand in their order, four bits each, plus one so that 0 is none."""
    latched = sum((cause + 1) << 4 * place for place, cause in enumerate(memory.latched))
    unconfirmed = 0 if memory.unconfirmed is None else memory.unconfirmed + 1
    words = [memory.window >> 64 * place & (1 << 64) - 1 for place in range(_WINDOW_WORDS)]
    return latched, memory.in_a_row, unconfirmed, *words


def _decoded(numbers: tuple[int, ...]) -> Memory:
    latched, in_a_row, unconfirmed, *words = numbers
    causes = [latched >> 4 * place & 15 for place in range(len(Cause))]
    return Memory(
        tuple(Cause(cause - 1) for cause in causes if cause),
        in_a_row,
        sum(word << 64 * place for place, word in enumerate(words)),
        None if unconfirmed == 0 else unconfirmed - 1,
    )
