"""Whole numbers that outlive a crash, and a loss of power: the counters of a station, what it has latched, what it was asked for.

    <name>          mapped into memory: an update is a copy in memory, and outlives the process by itself
    <name>.synced   written by `sync`, which waits for the disk: what a loss of power leaves

They are two files because a disk that writes a page may hold up whoever changes it meanwhile, which is a part's thread. Each holds
two copies: the older one is written whole, with a higher sequence number and a checksum at its end. A process that is killed at any
byte of it, and a computer that stops there, leave the old numbers or the new ones. The newest valid copy of both files counts.
"""

import logging
import mmap
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Self

from inspector.errors import ServiceError

log = logging.getLogger(__name__)

COPY_BYTES: Final = 512  # what a disk writes whole, or not at all
FILE_BYTES: Final = 2 * COPY_BYTES
_CHECKSUM: Final = struct.Struct("<I")


class KeptNumbers:
    """The open files. One thread at a time writes, one syncs; `numbers` and `synced` may be read by any."""

    def __init__(self, path: Path, magic: bytes, memory: mmap.mmap, synced_fd: int, state: list[int]) -> None:
        """Take over open files that both hold `state`; use `open`."""
        self.path = path
        self._magic = magic
        self._memory, self._synced_fd = memory, synced_fd
        self._state = state  # sequence number and numbers: one reference, replaced whole
        self._synced = state[0]  # the sequence number that the disk has
        self._place = _place_of(state[0] + 1)  # of the copy that the next sync replaces
        self._sync_failed = False  # and said so
        self._abandoned = False

    @classmethod
    def open(cls, path: Path, magic: bytes, count: int, unknown: Sequence[int] = ()) -> Self:
        """Open the files of `count` numbers, made of zeros if there are none. The disk has them then. Hold the StationLock.

        `magic`: eight bytes that name the layout. `unknown`: the numbers where those that were kept cannot be read any more, zeros
        if it is left out; the files are copied to `<name>.corrupt-<n>` then, and a warning says so. Waits for the disk. Raises
        ServiceError if a file cannot be read or written.
        """
        synced = path.with_name(f"{path.name}.synced")
        try:
            _make_folder(path.parent)
            found = {file: file.read_bytes() for file in (path, synced) if file.exists()}
            states = [state for content in found.values() for state in _states(content, magic, count)]
            begin_with = list(unknown) if found and unknown else [0] * count
            state = max(states, key=lambda state: state[0], default=[0, *begin_with])
            if found and not states:
                _copy_aside(found)
            content = bytearray(FILE_BYTES)
            _put(content, magic, state)
            # First, and at once: from then on whatever becomes of the other file does not matter.
            _replace(synced, content)
            return cls(
                path, magic, _mapped(path, content), os.open(synced, os.O_WRONLY | os.O_CLOEXEC), state
            )
        except OSError as error:
            raise ServiceError(
                f"expected to keep what outlives a crash in {path}, but: {error.strerror}; see station.state_folder"
            ) from error

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers as they were written last."""
        return tuple(self._state[1:])

    @property
    def synced(self) -> bool:
        """Whether the disk has them."""
        return self._synced == self._state[0]

    @property
    def failing(self) -> bool:
        """Whether the disk refused them at the last `sync`."""
        return self._sync_failed

    def write(self, numbers: Sequence[int]) -> None:
        """Replace all numbers, or none of them. Some microseconds, no system call."""
        state = [self._state[0] + 1, *numbers]
        _put(self._memory, self._magic, state)
        self._state = state

    def sync(self) -> None:
        """Have the disk keep the numbers, against a loss of power. Waits for the disk: not on the way of a part.

        Where that fails it is logged, once, and the next call tries again.
        """
        state = self._state
        if self._synced == state[0] or self._abandoned:
            return
        try:
            # Again where it failed: of what could not be written the kernel may think that it was.
            os.pwrite(self._synced_fd, encode(self._magic, state), self._place)
            os.fdatasync(self._synced_fd)
        except OSError as error:
            self._say_failed(str(error))
            return
        self._sync_failed = False
        self._place = COPY_BYTES - self._place
        self._synced = state[0]

    def abandon(self) -> None:
        """Wait for the disk no more: it does not answer."""
        self._abandoned = True

    def _say_failed(self, reason: str) -> None:
        if not self._sync_failed:
            why = f"expected the disk to keep {self.path}, but: {reason}; see that the disk is well"
            log.error("state_file_sync_failed", extra={"code": ServiceError.code, "why": why})
        self._sync_failed = True

    def close(self) -> None:
        """Sync and close. Writing after that is an error of the program."""
        self.sync()
        self._memory.close()
        os.close(self._synced_fd)


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


def _place_of(sequence: int) -> int:
    return sequence % 2 * COPY_BYTES


def _put(content: bytearray | mmap.mmap, magic: bytes, state: Sequence[int]) -> None:
    """Write one copy in its place."""
    copy, start = encode(magic, state), _place_of(state[0])
    content[start : start + len(copy)] = copy


def _states(content: bytes, magic: bytes, count: int) -> Iterator[list[int]]:
    """Return the valid states of a file's two copies."""
    for start in (0, COPY_BYTES):
        state = decode(magic, content[start : start + COPY_BYTES], count)
        if state is not None:
            yield state


def _mapped(path: Path, content: bytearray) -> mmap.mmap:
    """Return the file in memory, with this content."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.posix_fallocate(fd, 0, FILE_BYTES)  # a full disk shows here, not as a SIGBUS on the way of a part
        memory = mmap.mmap(fd, FILE_BYTES)
    finally:
        os.close(fd)
    memory[:] = content
    return memory


def _replace(path: Path, content: bytearray) -> None:
    """Have the disk hold the file with this content, or the one before, at any time."""
    new = path.with_name(f"{path.name}.new")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(fd, content)
        os.fsync(fd)
    finally:
        os.close(fd)
    new.replace(path)
    _sync_folder(path.parent)


def _make_folder(folder: Path) -> None:
    """Make a folder whose name the disk keeps."""
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _copy_aside(found: dict[Path, bytes]) -> None:
    for file, content in found.items():
        n = 1
        while (aside := file.with_name(f"{file.name}.corrupt-{n}")).exists():
            n += 1
        aside.write_bytes(content)
        log.warning("state_file_corrupt", extra={"file": str(file), "set_aside_as": str(aside)})
