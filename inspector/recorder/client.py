"""The station's end of the recorder: numbers entries and puts them into a pipe, never waiting.

A pipe, since Linux packs small entries into its pages (a mebibyte holds some five thousand), takes each whole or not at all, and
keeps them when the recorder process dies: the station holds the reading end too and hands it to the next process.
"""

import ctypes
import fcntl
import os
import select
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final, Self

from inspector.clock import NS_PER_MS, NS_PER_S, Clock, SystemClock, utc_label
from inspector.config.schema import RecorderConfig
from inspector.errors import ServiceError
from inspector.recorder import line

RESTART_INTERVAL_NS: Final = NS_PER_S  # a recorder that dies at once is not started more often


class Recorder:
    """A running recorder process and the way to it. `record` may be called from any thread."""

    def __init__(self, read_fd: int, write_fd: int, command: list[str], clock: Clock) -> None:
        """Take over both ends of the pipe; use `start`."""
        self._read_fd, self._write_fd = read_fd, write_fd
        self._command, self._clock = command, clock
        self._lock = threading.Lock()
        self._seq = 0
        self._dropped = 0
        self._closed = False
        self._process = self._spawn()
        self._t_spawned_ns = clock.now_ns()

    @classmethod
    def start(
        cls, config: RecorderConfig, folder: Path, clock: Clock | None = None, *, station: str = "station"
    ) -> Self:
        """Start the process that writes `<station>-<start>-<number>.jsonl` into `folder`, which is made if need be.

        Raises ServiceError if the folder cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ServiceError(
                f"expected to make the log folder {folder}, but: {error.strerror}; see recorder.folder"
            ) from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ServiceError(
                f"expected to write into the log folder {folder}, but it is not allowed; see recorder.folder"
            )
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(write_fd, False)
        _enlarge(write_fd, config.queue_kb * 1024)
        label = utc_label()[: len("2026-11-22T12:00:00.000")].replace("-", "").replace(":", "") + "Z"
        command = [sys.executable, "-m", "inspector.recorder", f"--fd={read_fd}", f"--folder={folder}"]
        command += [f"--stem={station}-{label}", f"--station={station}"]
        command += [f"--file-bytes={round(config.file_mb * 2**20)}", f"--files={config.files}"]
        try:
            return cls(read_fd, write_fd, command, clock or SystemClock())
        except OSError as error:
            os.close(read_fd)
            os.close(write_fd)
            raise ServiceError(f"expected to start the recorder process, but: {error.strerror}") from error

    @property
    def pid(self) -> int:
        """The running recorder process, which has one thread."""
        return self._process.pid

    @property
    def dropped(self) -> int:
        """Entries that found no room so far; the log counts them too."""
        return self._dropped

    def record(self, event: str, /, **fields: Any) -> None:
        """Add an entry, or drop and count it where there is no room. Microseconds; never waits, never raises for I/O."""
        self.record_at(self._clock.now_ns(), event, fields)

    def record_at(self, t_ns: int, event: str, fields: line.Fields) -> None:
        """Add an entry of the monotonic time `t_ns`; else like `record`."""
        body = line.encode(event, t_ns, fields)
        with self._lock:
            seq = self._seq
            self._seq += 1  # a dropped entry keeps its number: the process sees the gap and writes it down
            if self._closed:
                return
            if not _put(self._write_fd, line.numbered(seq, body)):
                self._dropped += 1

    def ensure_alive(self) -> bool:
        """Start the process again if it died, at most once a second; return whether it was alive. Call it now and then."""
        status = self._process.poll()
        if status is None or self._closed:
            return True
        now_ns = self._clock.now_ns()
        if now_ns - self._t_spawned_ns >= RESTART_INTERVAL_NS:
            self._t_spawned_ns = now_ns
            try:
                self._process = self._spawn()
            except (
                OSError
            ) as error:  # no memory, no process: the entries wait in the pipe, the next call tries again
                self.record("recorder_failed", level="ERROR", error=str(error))
            else:
                self.record("recorder_restarted", level="WARNING", exit_status=status)
        return False

    def stop(self, timeout_ms: float = 1000) -> bool:
        """Let the process write what waits and end; return whether it did so in time, else it is killed."""
        deadline_ns = self._clock.now_ns() + round(timeout_ms * NS_PER_MS)
        with self._lock:
            if self._closed:
                return True
            self._closed = True
            self._say_goodbye(deadline_ns)
            os.close(self._write_fd)
            os.close(self._read_fd)
        try:
            status = self._process.wait(max(0.0, line.seconds(deadline_ns - self._clock.now_ns())))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False
        return status == 0

    def _say_goodbye(self, deadline_ns: int) -> None:
        """Add a last entry, waiting for room: it closes the numbering, so that drops before it are seen."""
        entry = line.numbered(
            self._seq, line.encode(line.GOODBYE, self._clock.now_ns(), {"dropped": self._dropped})
        )
        room = select.poll()
        room.register(self._write_fd, select.POLLOUT)
        while (left_ns := deadline_ns - self._clock.now_ns()) > 0:
            if room.poll(left_ns / NS_PER_MS) and _put(self._write_fd, entry):
                return

    def _spawn(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self._command,
            pass_fds=[self._read_fd],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is the station's to handle: the recorder ends when the pipe does
        )


# write(2) with the interpreter lock kept. os.write gives it away, and beside a busy Python thread waits to get it back: 21 us
# (p50), 600 us (p99), 8 ms (p99.9), against 12, 97 and 157 us. Keeping it is right only because this pipe never blocks.
_write: Final = ctypes.PyDLL(None).write
_write.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t)
_write.restype = ctypes.c_ssize_t


def _put(fd: int, entry: bytes) -> bool:
    """Write an entry, whole or not at all; return whether there was room."""
    return bool(_write(fd, entry, len(entry)) == len(entry))


def _enlarge(fd: int, size: int) -> None:
    """Ask for a pipe of `size` bytes; what the system refuses (its limit is shared by the user's pipes) is halved."""
    while size >= 4096:
        try:
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, size)
        except OSError:
            size //= 2
        else:
            return
