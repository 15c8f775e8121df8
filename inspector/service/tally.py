"""Counters that outlive a crash: how many parts passed, and how many were rejected for each reason (I5).

With them stands which parts had been counted and were still undecided, since verdicts do not become final in the order of the
parts: the next run decides these, and no other ones.

They are exact after a crash. After a loss of power those of the last sync are left, which the station makes each second: what was
decided after it is missing, and a part of that time that the PLC still counts as new is decided, and counted, a second time. Which
start of the computer counts stands in the file until it is closed, so that the next start can tell a loss of power, and says so.
"""

import logging
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from inspector.part import Outcome, Reason, Verdict, next_part_id, part_distance
from inspector.service.kept import KeptNumbers

log = logging.getLogger(__name__)

REASONS: Final = 32  # room for reasons to come: the file keeps its layout
UNDECIDED: Final = 256  # of so many parts up to the last one it is known whether they were decided
MAGIC: Final = b"INSPTLY3"
_PARTS: Final = (
    3 + REASONS
)  # where in the numbers the undecided parts begin: bit n stands for the last part - n
_BOOT: Final = _PARTS + UNDECIDED // 64  # the id of the start of the computer, 0 where the file was closed
NUMBERS: Final = _BOOT + 2
NO_BOOT: Final = uuid.UUID(int=0)
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Totals:
    """What was counted, over all starts of the station. `generation` counts the starts, the present one included."""

    generation: int
    last_part_id: int  # the last one counted when a verdict became final; 0 = none yet
    passed: int
    rejected: Mapping[Reason, int]  # every reason but NONE
    undecided: tuple[int, ...] = ()  # parts up to the last one without a verdict, oldest first

    @property
    def rejects(self) -> int:
        """Parts rejected for any reason."""
        return sum(self.rejected.values())

    @property
    def parts(self) -> int:
        """Parts with a verdict."""
        return self.passed + self.rejects


class Tally:
    """The open counters. One thread at a time adds; `totals` may be read by any."""

    def __init__(self, kept: KeptNumbers) -> None:
        """Take over an open file; use `open`."""
        self._kept = kept
        self._state = list(kept.numbers)  # generation, last part id, passed, rejected by reason, undecided

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the counters of one station, made if need be, and count this start. Waits for the disk. Hold its StationLock.

        A warning says where the computer stopped while they were open. Of a damaged file the counters start from zero: a line does not stand still for a statistic. Raises ServiceError if the
        file cannot be read or written.
        """
        tally = cls(KeptNumbers.open(path, MAGIC, NUMBERS))
        boot, before = _words_of(uuid.UUID(BOOT_ID.read_text().strip())), tally._state[_BOOT:]
        if before not in (boot, _words_of(NO_BOOT)):
            log.warning("power_was_lost", extra=tally._known_after_a_loss_of_power())
        tally._state[0] += 1
        tally._state[_BOOT:] = boot
        tally._kept.write(tally._state)
        tally._kept.sync()
        return tally

    def add(self, verdicts: Iterable[Verdict], last_part_id: int, undecided: Iterable[int]) -> None:
        """Count verdicts that became final together, all or none of them. Some microseconds, no system call.

        `last_part_id`: the last part counted so far. `undecided`: the counted parts that have no verdict yet.
        """
        for verdict in verdicts:
            if verdict.outcome is Outcome.PASS:
                self._state[2] += 1
            else:
                self._state[3 + verdict.reason] += 1
        self._state[1] = last_part_id
        self._state[_PARTS:_BOOT] = _bits(part_distance(part_id, last_part_id) for part_id in undecided)
        self._kept.write(self._state)

    def withdraw_pass(self, reason: Reason) -> None:
        """Count a PASS that never left the station as the reject that it became."""
        self._state[2] -= 1
        self._state[3 + reason] += 1
        self._kept.write(self._state)

    def totals(self) -> Totals:
        """Return what is counted now."""
        generation, last_part_id, passed, *rejected = self._state
        by_reason: dict[Reason, int] = {
            reason: rejected[reason] for reason in Reason if reason is not Reason.NONE
        }
        undecided = tuple(next_part_id(last_part_id, -back) for back in _places(self._state[_PARTS:_BOOT]))
        return Totals(generation, last_part_id, passed, MappingProxyType(by_reason), undecided)

    @property
    def failing(self) -> bool:
        """Whether the disk refused the counters at the last `sync`."""
        return self._kept.failing

    def sync(self) -> None:
        """Have the disk keep the counters, against a loss of power. Waits for the disk: not on the way of a part."""
        self._kept.sync()

    def abandon(self) -> None:
        """Wait for the disk no more: it does not answer."""
        self._kept.abandon()

    def close(self) -> None:
        """Sync and close: from now on a loss of power loses nothing. Counting after that is an error of the program."""
        self._state[_BOOT:] = _words_of(NO_BOOT)
        self._kept.write(self._state)
        self._kept.close()

    def _known_after_a_loss_of_power(self) -> dict[str, object]:
        totals = self.totals()
        why = (
            "the computer stopped while the station ran: up to about a second of verdicts is missing in the counters, perhaps some in "
            "the log too; of these parts, those that the PLC still counts as new are decided again, as rejected"
        )
        return {
            "parts": totals.parts,
            "rejects": totals.rejects,
            "last_part_id": totals.last_part_id,
            "why": why,
        }


def _words_of(boot: uuid.UUID) -> list[int]:
    return [boot.int >> 64, boot.int & (1 << 64) - 1]


def _bits(places: Iterable[int]) -> list[int]:
    """Return words with these bits set; places beyond the last bit are left out."""
    words = [0] * (UNDECIDED // 64)
    for place in places:
        if place < UNDECIDED:
            words[place // 64] |= 1 << place % 64
    return words


def _places(words: list[int]) -> list[int]:
    """Return which bits are set, the highest first: the oldest part."""
    return [place for place in reversed(range(UNDECIDED)) if words[place // 64] >> place % 64 & 1]
