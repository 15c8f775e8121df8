"""Being told to stop: SIGTERM and Ctrl-C."""

import contextlib
import os
import select
import signal
import sys
from types import FrameType
from typing import Final

from inspector.clock import NS_PER_MS, Clock, SystemClock

# Signals so close together are one: timeout(1) sends its own twice, to the process and to its group, and a shell may as well.
SAME_NS: Final = 200 * NS_PER_MS


class StopSignals:
    """Waits for SIGTERM and SIGINT; a second one, later than SAME_NS, ends the process at once. Main thread only, once in a process.

    Without a lock, since a signal handler may run between any two steps of a wait: threading.Event.set, called there, waits
    for ever for the lock that the interrupted wait holds.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._t_told_ns: int | None = None
        self._fd = os.eventfd(0, os.EFD_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        now_ns = self._clock.now_ns()
        if self._t_told_ns is not None:
            if now_ns - self._t_told_ns < SAME_NS:
                return
            with contextlib.suppress(OSError):  # nobody reads stderr any more
                os.write(
                    sys.stderr.fileno(), b"a second signal to stop: ended at once, without an orderly end\n"
                )
            os._exit(128 + number)
        self._t_told_ns = now_ns
        os.eventfd_write(self._fd, 1)

    def wait(self, timeout_s: float) -> bool:
        """Wait for a signal, at most so long; return whether there was one, now or before."""
        return bool(self._poll.poll(timeout_s * 1000))
