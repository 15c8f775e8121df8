"""The thread "disk": what outlives a loss of power is on the disk each second, and at once where that is asked for.

A disk may take milliseconds, and seconds where it is in trouble: so neither the way of a part nor the main thread, which tells the
service manager that the station lives, may wait for one. Whoever needs to know looks at what is synced (`KeptNumbers.synced`).
"""

import threading
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from inspector.errors import HungError

EVERY_S: Final = 1.0


class Kept(Protocol):
    """What the disk is to keep."""

    def sync(self) -> None:
        """Have the disk keep it, where it has changed; may wait."""


class DiskThread:
    """`start` once, `wake` from any thread, `stop` once."""

    def __init__(self, kept: Sequence[Kept], on_synced: Callable[[], None]) -> None:
        """`kept`: the most urgent first. `on_synced` is called on the thread when a `wake` was answered."""
        self.error: BaseException | None = None  # what ended the thread, where that was not `stop`
        self._kept = kept
        self._on_synced = on_synced
        self._woken = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="disk")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Sync now. Microseconds."""
        self._woken.set()

    def stop(self, timeout_s: float = 1.0) -> None:
        """End the thread. HungError where the disk takes longer; raises what ended it before."""
        self._stopping = True
        self._woken.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise HungError(f"the disk did not answer within {timeout_s:g} s; the station ends without it")
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            while not self._stopping:
                woken = self._woken.wait(EVERY_S)
                self._woken.clear()  # before what it asked for is read
                for kept in self._kept:
                    kept.sync()
                if woken:
                    self._on_synced()
        except BaseException as error:  # noqa: BLE001 - kept for the owner, who raises it in `stop`
            self.error = error
