"""Counters that outlive a crash: how many parts passed, and how many were rejected for each reason (I5).

With them stands which parts had been counted and were still undecided, since verdicts do not become final in the order of the
parts: the next run decides these, and no other ones.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from inspector.part import Outcome, Reason, Verdict, next_part_id, part_distance
from inspector.service.kept import KeptNumbers

REASONS: Final = 32  # room for reasons to come: the file keeps its layout
UNDECIDED: Final = 256  # of so many parts up to the last one it is known whether they were decided
MAGIC: Final = b"INSPTLY2"
_PARTS: Final = (
    3 + REASONS
)  # where in the numbers the undecided parts begin: bit n stands for the last part - n
NUMBERS: Final = _PARTS + UNDECIDED // 64


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
        """Open the counters of one station, made if need be, and count this start. Hold its StationLock.

        Of a damaged file the counters start from zero: a line does not stand still for a statistic. Raises ServiceError if the
        file cannot be read or written.
        """
        tally = cls(KeptNumbers.open(path, MAGIC, NUMBERS))
        tally._state[0] += 1
        tally._kept.write(tally._state)
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
        self._state[_PARTS:] = _bits(part_distance(part_id, last_part_id) for part_id in undecided)
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
        undecided = tuple(next_part_id(last_part_id, -back) for back in _places(self._state[_PARTS:]))
        return Totals(generation, last_part_id, passed, MappingProxyType(by_reason), undecided)

    def sync(self) -> None:
        """Have the disk keep the counters, against a loss of power. Waits for the disk: not on the way of a part."""
        self._kept.sync()

    def close(self) -> None:
        """Sync and close. Counting after that is an error of the program."""
        self._kept.close()


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
