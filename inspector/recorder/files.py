"""Log files of one station: whole lines only, a new file at a given size, the oldest removed beyond the room of so many.

The standard library's rotating handler loses records and prints tracebacks on a full disk; here an append either stands
whole in the file or left no trace, and the caller is told.
"""

import contextlib
import os
import re
from pathlib import Path
from typing import Final

_TAIL_BYTES: Final = 1 << 16  # many times the longest line


class LogFiles:
    """Appends to `<folder>/<stem>-<number>.jsonl`. One thread."""

    def __init__(self, folder: Path, stem: str, station: str, *, file_bytes: int, files: int) -> None:
        self._folder, self._stem = folder, stem
        self._pattern = re.compile(rf"{re.escape(station)}-\d{{8}}T\d{{6}}\.\d{{3}}Z-\d{{6}}\.jsonl")
        self._file_bytes, self._files = file_bytes, files
        self._fd = -1
        self._size = 0
        self._is_new = False  # the disk has not been told its name yet

    def append(self, lines: bytes) -> None:
        """Append whole lines. Raises OSError if the disk would not take all of them, and then none of them stands."""
        if self._fd >= 0 and self._size >= self._file_bytes:
            with contextlib.suppress(OSError):  # which the next sync says
                self.sync()
            self.close()
        if self._fd >= 0 and os.fstat(self._fd).st_nlink == 0:
            self.close()  # removed by somebody
        if self._fd < 0:
            self._open()
        done = 0
        try:
            while done < len(lines):
                done += os.write(self._fd, lines[done:])
        except OSError:
            self._cut_torn_line()
            raise
        self._size += len(lines)

    def sync(self) -> None:
        """Have the disk keep what was appended, against a loss of power. Raises OSError."""
        if self._fd < 0:
            return
        os.fdatasync(self._fd)
        if self._is_new:
            folder_fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder_fd)
            finally:
                os.close(folder_fd)
            self._is_new = False

    def close(self) -> None:
        """Close the current file; the next append opens a new one."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def last_whole_line(self) -> bytes:
        """Return the newest line of this stem, b"" if there is none: where a recorder that died left off.

        A torn line behind it is cut off.
        """
        for path in reversed(self._present(own=True)):
            size = path.stat().st_size
            with path.open("rb+") as file:
                file.seek(max(0, size - _TAIL_BYTES))
                tail = file.read()
                whole = tail[: tail.rfind(b"\n") + 1]
                file.truncate(size - len(tail) + len(whole))
            if whole:
                return whole.splitlines()[-1]
        return b""

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        present = self._present(own=True)
        number = int(present[-1].stem[-6:]) + 1 if present else 1
        path = self._folder / f"{self._stem}-{number:06}.jsonl"
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._size = 0
        self._is_new = True
        self._make_room(path)

    def _make_room(self, newest: Path) -> None:
        """Remove the oldest files beyond the room of `files` full ones.

        By size, since a station that starts again and again writes a small file each time: these must not push out the long one
        in which it stands what happened before. Each counts for a 64th at least, so that their number has a limit.
        """
        room = (self._files - 1) * self._file_bytes
        for file in reversed(self._present()):
            if file != newest:
                with contextlib.suppress(FileNotFoundError):  # somebody else tidied up
                    room -= min(max(file.stat().st_size, self._file_bytes // 64), self._file_bytes)
                    if room < 0:
                        file.unlink()

    def _cut_torn_line(self) -> None:
        """Shorten the file to its whole lines, or leave it for a new one: nothing may follow a torn line."""
        try:
            os.ftruncate(self._fd, self._size)
        except OSError:
            self.close()

    def _present(self, *, own: bool = False) -> list[Path]:
        """Return the station's log files, oldest first; with `own` only those of this start."""
        found = sorted(path for path in self._folder.iterdir() if self._pattern.fullmatch(path.name))
        return [path for path in found if path.name.startswith(f"{self._stem}-")] if own else found
