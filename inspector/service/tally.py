"""Counters that outlive a crash: how many parts passed, and how many were rejected for each reason (I5).

With them stands which parts had been counted and were still undecided, since verdicts do not become final in the order of the
parts: the next run decides these, and no other ones.

A file of two copies, mapped into memory. An update writes the older copy whole, with a higher sequence number and a checksum at
its end; the newest valid copy counts. A process that is killed at any byte of it leaves the old state or the new one. Memory
that a process mapped survives the process by itself; `sync` is for a loss of power.
"""

import logging
import mmap
import os
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from inspector.errors import ServiceError
from inspector.part import Outcome, Reason, Verdict, next_part_id, part_distance

log = logging.getLogger(__name__)

REASONS: Final = 32  # room for reasons to come: the file keeps its layout
UNDECIDED: Final = 256  # of so many parts up to the last one it is known whether they were decided
_MAGIC: Final = b"INSPTLY2"
_BODY: Final = struct.Struct(
    f"<8s4Q{REASONS}Q{UNDECIDED // 64}Q"
)  # magic, sequence, generation, last part, passed, rejected by reason, undecided parts: bit n stands for the last part - n
_CHECKSUM: Final = struct.Struct("<I")
_PARTS: Final = 4 + REASONS  # where in the state the undecided parts begin
COPY_BYTES: Final = 512
FILE_BYTES: Final = 2 * COPY_BYTES


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

    def __init__(self, path: Path, memory: mmap.mmap, fd: int, state: list[int]) -> None:
        """Take over an open file; use `open`."""
        self.path = path
        self._memory, self._fd = memory, fd
        self._state = state  # sequence, generation, last part id, passed, rejected by reason, undecided

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the counters of one station, made if need be, and count this start. Hold its StationLock.

        A damaged file is set aside as `<name>.corrupt-<n>`, the counters start from zero, and a warning says so: a line does not
        stand still for a statistic. Raises ServiceError if the file cannot be read or written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            state = _newest(path.read_bytes()) if path.exists() else _zero()
            if state is None:
                kept = _set_aside(path)
                log.warning("tally_corrupt", extra={"file": str(path), "set_aside_as": str(kept)})
                state = _zero()
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            os.posix_fallocate(
                fd, 0, FILE_BYTES
            )  # a full disk shows here, not as a SIGBUS on the way of a part
            memory = mmap.mmap(fd, FILE_BYTES)
        except OSError as error:
            raise ServiceError(
                f"expected to keep the counters in {path}, but: {error.strerror}; see station.state_folder"
            ) from error
        tally = cls(path, memory, fd, state)
        tally._state[1] += 1
        tally._write()
        return tally

    def add(self, verdicts: Iterable[Verdict], last_part_id: int, undecided: Iterable[int]) -> None:
        """Count verdicts that became final together, all or none of them. Some microseconds, no system call.

        `last_part_id`: the last part counted so far. `undecided`: the counted parts that have no verdict yet.
        """
        for verdict in verdicts:
            if verdict.outcome is Outcome.PASS:
                self._state[3] += 1
            else:
                self._state[4 + verdict.reason] += 1
        self._state[2] = last_part_id
        self._state[_PARTS:] = _bits(part_distance(part_id, last_part_id) for part_id in undecided)
        self._write()

    def withdraw_pass(self, reason: Reason) -> None:
        """Count a PASS that never left the station as the reject that it became."""
        self._state[3] -= 1
        self._state[4 + reason] += 1
        self._write()

    def totals(self) -> Totals:
        """Return what is counted now."""
        _, generation, last_part_id, passed, *rejected = self._state
        by_reason: dict[Reason, int] = {
            reason: rejected[reason] for reason in Reason if reason is not Reason.NONE
        }
        undecided = tuple(next_part_id(last_part_id, -back) for back in _places(self._state[_PARTS:]))
        return Totals(generation, last_part_id, passed, MappingProxyType(by_reason), undecided)

    def sync(self) -> None:
        """Have the disk keep the counters, against a loss of power. Waits for the disk: not on the way of a part."""
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            log.warning("tally_sync_failed", extra={"error": str(error)})

    def close(self) -> None:
        """Sync and close. Counting after that is an error of the program."""
        self.sync()
        self._memory.close()
        os.close(self._fd)

    def _write(self) -> None:
        self._state[0] += 1
        start = self._state[0] % 2 * COPY_BYTES
        copy = encode(self._state)
        self._memory[start : start + len(copy)] = copy


def encode(state: list[int]) -> bytes:
    """Return one copy: the state, then its checksum."""
    body = _BODY.pack(_MAGIC, *state)
    return body + _CHECKSUM.pack(zlib.crc32(body))


def decode(copy: bytes) -> list[int] | None:
    """Return the state that a copy holds; None if it is not whole."""
    body, checksum = copy[: _BODY.size], copy[_BODY.size : _BODY.size + _CHECKSUM.size]
    if len(checksum) < _CHECKSUM.size or _CHECKSUM.unpack(checksum)[0] != zlib.crc32(body):
        return None
    magic, *state = _BODY.unpack(body)
    return state if magic == _MAGIC else None


def _newest(content: bytes) -> list[int] | None:
    """Return the newer valid state of the two copies; None if there is none. A file of zeros was never written."""
    if not content.strip(b"\0"):
        return _zero()
    states = [decode(content[start : start + COPY_BYTES]) for start in (0, COPY_BYTES)]
    return max((state for state in states if state is not None), key=lambda state: state[0], default=None)


def _zero() -> list[int]:
    return [0] * (_PARTS + UNDECIDED // 64)


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


def _set_aside(path: Path) -> Path:
    n = 1
    while (kept := path.with_name(f"{path.name}.corrupt-{n}")).exists():
        n += 1
    return path.rename(kept)
