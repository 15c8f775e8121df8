"""Being told to stop: SIGTERM and Ctrl-C."""

import os
import select
import signal
from types import FrameType


class StopSignals:
    """Waits for SIGTERM and SIGINT; a second one ends the process at once. Main thread only, once in a process.

    Without a lock, since a signal handler may run between any two steps of a wait: threading.Event.set, called there, waits
    for ever for the lock that the interrupted wait holds.
    """

    def __init__(self) -> None:
        self._told = False
        self._fd = os.eventfd(0, os.EFD_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self._told:
            os._exit(128 + number)
        self._told = True
        os.eventfd_write(self._fd, 1)

    def wait(self, timeout_s: float) -> bool:
        """Wait for a signal, at most so long; return whether there was one, now or before."""
        return bool(self._poll.poll(timeout_s * 1000))
