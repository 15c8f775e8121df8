"""One station, one daemon: a lock that the kernel drops with the process that holds it."""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Self

from inspector.errors import ServiceError


def holder_of(path: Path) -> str:
    """Return the process id of the daemon that holds the lock, "" where none does. Takes nothing from it."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return path.read_text(encoding="ascii", errors="replace").strip() or "unknown"
    except OSError:  # it never ran, or keeps its state from this user
        return ""
    return ""


class StationLock:
    """An exclusive lock on a file that names the holder's process id. Held until `release` or the end of the process."""

    def __init__(self, path: Path, key: str = "station.state_folder") -> None:
        """Take the lock; the folder, which the configuration's `key` names, is made if need be.

        Raises ServiceError if another process holds it.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ServiceError(f"expected to write {path}, but: {error.strerror}; see {key}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise ServiceError(
                f"expected to be the only daemon of this station, but it is already running, pid {holder}; "
                f"stop that one first, or give the station a name of its own ({path})"
            ) from error
        with contextlib.suppress(OSError):  # the id is for people: on a full disk the line runs without
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the lock back. The file stays: removing it would let two daemons lock two files of one name."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
