"""One life of the camera process as the station sees it: started, talked to, its output read, ended. Used once."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from inspector.camera.link import Link, Message
from inspector.errors import ServiceError

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


class Child:
    """A running `python -m inspector.camera`, in a session of its own so that Ctrl-C reaches the station only."""

    def __init__(self, doorbell_fd: int | None = None) -> None:
        """Start it. ServiceError where the machine has no process or descriptor left."""
        self.link, theirs = Link.pair()
        doorbell = () if doorbell_fd is None else (doorbell_fd,)
        fds = (theirs.fileno(), *doorbell)
        path = os.pathsep.join(filter(None, (str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH"))))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "inspector.camera", *map(str, fds)],
                pass_fds=fds,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,  # producers print where they like
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},  # it multiplies nothing
            )
        except OSError as e:
            self.link.close()
            raise ServiceError(
                f"the camera process cannot be started: {e}; check the limits of the service"
            ) from e
        finally:
            theirs.close()
        assert self._process.stdout is not None  # noqa: S101 - for the type checker: a pipe was asked for
        self.output_fd = self._process.stdout.fileno()
        os.set_blocking(self.output_fd, False)
        self._partial = b""

    @property
    def pid(self) -> int:
        """Its process id, which is also its process group."""
        return self._process.pid

    def send(self, kind: str, /, **fields: Any) -> None:
        """Send it a message; lost where it is gone, which `receive` tells."""
        self.link.send(kind, **fields)

    def receive(self) -> Message | None:
        """Return its next message, None where there is none now. EOFError once it has ended."""
        return self.link.receive()

    def output(self) -> list[str]:
        """Return the whole lines it has printed since. EOFError where there are none and none can come."""
        try:
            data = os.read(self.output_fd, 65536)
        except BlockingIOError:
            return []
        if not data:
            raise EOFError
        *lines, self._partial = (self._partial + data).split(b"\n")
        return [line.decode("utf-8", "replace") for line in lines if line.strip()]

    def _last_output(self) -> list[str]:
        lines: list[str] = []
        try:
            while more := self.output():
                lines += more
        except EOFError:
            pass
        return [*lines, self._partial.decode("utf-8", "replace")] if self._partial else lines

    def end(self, timeout_s: float) -> tuple[str, list[str]]:
        """Wait so long for its end, then kill it and all it started. Return how it ended, and its last output."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
        lines = self._last_output()
        self.link.close()
        if self._process.stdout is not None:
            self._process.stdout.close()
        status = self._process.returncode
        if status < 0:
            return f"killed by {signal.Signals(-status).name}", lines
        return f"exit status {status}", lines
