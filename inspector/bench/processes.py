"""Starts the processes that a measurement needs beside it: modules of this package, which end when their stdin does."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from inspector.errors import ServiceError

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


class Process:
    """One module of this package that runs until `end`. It says one line when it is ready, and ends when its stdin does."""

    def __init__(self, module: str, *arguments: object, fds: Sequence[int] = ()) -> None:
        """Start it, and wait for its line: `said`. Raises ServiceError where it ends instead."""
        path = os.pathsep.join(filter(None, (str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[*fds],
            start_new_session=True,  # Ctrl-C is for who measures
            env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},  # they multiply nothing
        )
        stdout = self._process.stdout
        self.said = stdout.readline().decode().split() if stdout is not None else []
        if not self.said:
            self.end()
            raise ServiceError(f"expected the process {module} to start, it ended at once; try again")

    @property
    def stdin_fd(self) -> int:
        """The end that is written to; a byte tells it to do its work once more."""
        return -1 if self._process.stdin is None else self._process.stdin.fileno()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it ended by itself, which none does."""
        return self._process.poll() is not None

    def end(self) -> None:
        """Have it end, and wait for it. A second call does nothing."""
        self._process.communicate()
