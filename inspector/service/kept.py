"""A file of whole numbers that outlives a crash: the counters of a station, and what it has latched.

It holds two copies and is mapped into memory. An update writes the older copy whole, with a higher sequence number and a checksum at
its end; the newest valid copy counts. A process that is killed at any byte of it leaves the old numbers or the new ones. Memory
that a process mapped survives the process by itself; `sync` is for a loss of power.
"""

import logging
import mmap
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from inspector.errors import ServiceError

log = logging.getLogger(__name__)

COPY_BYTES: Final = 512
FILE_BYTES: Final = 2 * COPY_BYTES
_CHECKSUM: Final = struct.Struct("<I")


class KeptNumbers:
    """The open file. One thread at a time writes; `numbers` may be read by any."""

    def __init__(self, path: Path, magic: bytes, memory: mmap.mmap, fd: int, state: list[int]) -> None:
        """Take over an open file; use `open`."""
        self.path = path
        self.was_damaged = False  # what it held is not known any more
        self._magic = magic
        self._memory, self._fd = memory, fd
        self._sequence, *self._numbers = state

    @classmethod
    def open(cls, path: Path, magic: bytes, count: int) -> Self:
        """Open the file of `count` numbers, made of zeros if need be. Hold the StationLock.

        `magic`: eight bytes that name the layout. A damaged file, or one of another layout, is set aside as `<name>.corrupt-<n>`, the
        numbers are zeros, and a warning says so. Raises ServiceError if the file cannot be read or written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            state = _newest(path.read_bytes(), magic, count) if path.exists() else _zeros(count)
            damaged = state is None
            if state is None:
                aside = _set_aside(path)
                log.warning("state_file_corrupt", extra={"file": str(path), "set_aside_as": str(aside)})
                state = _zeros(count)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            os.posix_fallocate(
                fd, 0, FILE_BYTES
            )  # a full disk shows here, not as a SIGBUS on the way of a part
            memory = mmap.mmap(fd, FILE_BYTES)
        except OSError as error:
            raise ServiceError(
                f"expected to keep what outlives a crash in {path}, but: {error.strerror}; see station.state_folder"
            ) from error
        kept = cls(path, magic, memory, fd, state)
        kept.was_damaged = damaged
        return kept

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers as they were written last."""
        return tuple(self._numbers)

    def write(self, numbers: Sequence[int]) -> None:
        """Replace all numbers, or none of them. Some microseconds, no system call."""
        self._sequence += 1
        self._numbers = list(numbers)
        start = self._sequence % 2 * COPY_BYTES
        copy = encode(self._magic, [self._sequence, *numbers])
        self._memory[start : start + len(copy)] = copy

    def sync(self) -> None:
        """Have the disk keep the numbers, against a loss of power. Waits for the disk: not on the way of a part."""
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            log.warning("state_file_sync_failed", extra={"file": str(self.path), "error": str(error)})

    def close(self) -> None:
        """Sync and close. Writing after that is an error of the program."""
        self.sync()
        self._memory.close()
        os.close(self._fd)


def encode(magic: bytes, state: Sequence[int]) -> bytes:
    """Return one copy: the magic, the state (sequence number and numbers), then the checksum."""
    body = _layout(len(state)).pack(magic, *state)
    return body + _CHECKSUM.pack(zlib.crc32(body))


def decode(magic: bytes, copy: bytes, count: int) -> list[int] | None:
    """Return the state that a copy of `count` numbers holds; None if it is not whole, or of another layout."""
    layout = _layout(1 + count)
    body, checksum = copy[: layout.size], copy[layout.size : layout.size + _CHECKSUM.size]
    if len(checksum) < _CHECKSUM.size or _CHECKSUM.unpack(checksum)[0] != zlib.crc32(body):
        return None
    found, *state = layout.unpack(body)
    return state if found == magic else None


def _layout(words: int) -> struct.Struct:
    return struct.Struct(f"<8s{words}Q")


def _newest(content: bytes, magic: bytes, count: int) -> list[int] | None:
    """Return the newer valid state of the two copies; None if there is none. A file of zeros was never written."""
    if not content.strip(b"\0"):
        return _zeros(count)
    states = [decode(magic, content[start : start + COPY_BYTES], count) for start in (0, COPY_BYTES)]
    return max((state for state in states if state is not None), key=lambda state: state[0], default=None)


def _zeros(count: int) -> list[int]:
    return [0] * (1 + count)


def _set_aside(path: Path) -> Path:
    n = 1
    while (kept := path.with_name(f"{path.name}.corrupt-{n}")).exists():
        n += 1
    return path.rename(kept)
