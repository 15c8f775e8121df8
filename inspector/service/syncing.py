"""The thread "disk": what outlives a loss of power is on the disk each second, and at once where that is asked for.

A disk may take milliseconds, and seconds where it is in trouble: so neither the way of a part nor the main thread, which tells the
service manager that the station lives, may wait for one. Whoever needs to know looks at what is synced (`KeptNumbers.synced`).
"""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from inspector.clock import NS_PER_MS, Clock
from inspector.errors import DiskError, HungError

log = logging.getLogger(__name__)

EVERY_S: Final = 1.0
STANDS_MS: Final = 3000.0  # a disk that is well takes milliseconds, one that is busy a second


class Kept(Protocol):
    """What the disk is to keep."""

    @property
    def failing(self) -> bool:
        """Whether the disk refused it last time."""

    def sync(self) -> None:
        """Have the disk keep it, where it has changed; may wait."""

    def abandon(self) -> None:
        """Wait for the disk no more, not even when it is closed."""


class DiskThread:
    """`start` once, `wake` from any thread, `look` from time to time, `stop` once. `stands` may be read by any thread."""

    def __init__(self, kept: Sequence[Kept], clock: Clock, on_synced: Callable[[], None]) -> None:
        """`kept`: the most urgent first. `on_synced` is called on the thread when a `wake` was answered."""
        self.error: BaseException | None = None  # what ended the thread, where that was not `stop`
        self.stands = False  # the disk does not answer, or refuses
        self._kept = kept
        self._clock = clock
        self._t_asked_ns: int | None = None  # since when the thread waits for the disk
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

    def look(self) -> None:
        """See whether the disk answers, and log where that has changed. Never waits: not the disk's thread."""
        t_asked_ns = self._t_asked_ns
        hangs = t_asked_ns is not None and self._clock.now_ns() - t_asked_ns > STANDS_MS * NS_PER_MS
        stands = hangs or any(kept.failing for kept in self._kept)
        if stands and not self.stands:
            came = f"no answer for {STANDS_MS / 1000:g} s" if hangs else "an error"
            why = f"expected the disk to keep the state files, came {came}; see that the disk is well: a loss of power now would undo stops"
            log.error("disk_stands", extra={"code": DiskError.code, "why": why})
        elif self.stands and not stands:
            log.info("disk_answers")
        self.stands = stands

    def stop(self, timeout_s: float = 1.0) -> None:
        """End the thread. HungError where the disk takes longer, for which nobody waits then; raises what ended it before."""
        self._stopping = True
        self._woken.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            for kept in self._kept:
                kept.abandon()
            raise HungError(f"the disk did not answer within {timeout_s:g} s; the station ends without it")
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            while not self._stopping:
                woken = self._woken.wait(EVERY_S)
                self._woken.clear()  # before what it asked for is read
                self._t_asked_ns = self._clock.now_ns()
                for kept in self._kept:
                    kept.sync()
                self._t_asked_ns = None
                if woken:
                    self._on_synced()
        except BaseException as error:  # noqa: BLE001 - kept for the owner, who raises it in `stop`
            self.error = error
