"""What both roles of the PLC side have in common: the thread "plc", the heartbeats, and the desk it reports to."""

import ctypes
import os
import select
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from inspector.clock import NS_PER_MS, Clock
from inspector.errors import HungError
from inspector.part import Reason, Verdict
from inspector.plc.registers import WORD_MAX, Control, Flag, Status

LONGEST_SLEEP_MS = 500.0  # however rarely it has to do something, the watchdog sees the thread move


class Desk(Protocol):
    """Where the PLC thread reports and asks. Every call is short and may come from any thread."""

    def on_control(
        self, control: Control, *, t_sent_ns: int, t_received_ns: int, enabled: bool, plc_restarted: bool
    ) -> None:
        """Take a read of the control block."""

    def on_link_up(self) -> None:
        """Take note that the PLC answers."""

    def on_link_down(self, why: str) -> None:
        """Take note that the PLC does not answer; also called for each attempt that fails."""

    def on_heartbeat(self, *, beats: bool, still_ms: float) -> None:
        """Take note that the PLC's heartbeat has stopped, or goes on after so long. Once for each."""

    def on_foreign_writer(self, *, present: bool) -> None:
        """Take note that somebody else writes our blocks in the PLC, or no longer does. Once for each."""

    def on_tick(self) -> None:
        """Take new frames, and decide the parts whose time is up."""

    def next_expiry_ns(self) -> int | None:
        """Return when `on_tick` is needed next."""

    def take_verdicts(self) -> list[Verdict]:
        """Return the verdicts that became final since the last call, oldest first."""

    def withdraw(self, verdict: Verdict, reason: Reason) -> Verdict:
        """Return the REJECT that takes the place of a PASS that was never sent."""

    def on_written(self, verdict: Verdict, t_written_ns: int | None) -> None:
        """Take note that the PLC acknowledged a verdict, or (None) that it never did. Exactly once for each verdict."""

    def on_unconfirmed(self, part_id: int) -> None:
        """Take note that a rejected part was not seen to leave the line, or cannot have been (direct mode)."""

    def status(self, heartbeat: int) -> Status:
        """Return the status block as it is now."""

    def news(self) -> object:
        """Return what the PLC should hear of at once when it changes, compared by `!=`: microseconds."""

    def flags(self) -> Flag:
        """Return the flags that each verdict carries."""


# write(2) with the interpreter lock kept. os.eventfd_write gives it away, perhaps to the very thread that it wakes: the engine then began
# with a part only when that thread waited for the PLC. Keeping it is right since this never blocks.
_write: Final = ctypes.PyDLL(None).write
_write.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t)
_write.restype = ctypes.c_ssize_t
_ONE: Final = (1).to_bytes(8, sys.byteorder)  # what an eventfd takes


@dataclass(slots=True)
class Heartbeats:
    """Ours, which skips 0 so that a PLC that lost its memory is known by it, and the PLC's."""

    timeout_ms: float  # the PLC's stands still for longer: it does not beat
    tell: Callable[
        [bool, float], None
    ]  # whether it beats, and for how long it stood still; once for each change
    ours: int = 0
    acknowledged: int = 0
    plc: int | None = None
    t_plc_changed_ns: int = 0
    silent: bool = False

    def next(self) -> int:
        """Return ours, one further."""
        self.ours = self.ours % WORD_MAX + 1
        return self.ours

    def heard(self, value: int, t_ns: int) -> None:
        """Take the PLC's."""
        if value == self.plc:
            return
        if self.silent:
            self.silent = False
            self.tell(True, (t_ns - self.t_plc_changed_ns) / NS_PER_MS)
        self.plc = value
        self.t_plc_changed_ns = t_ns

    def beats(self, t_ns: int) -> bool:
        """Return whether the PLC's beats."""
        still_ms = (t_ns - self.t_plc_changed_ns) / NS_PER_MS
        if still_ms > self.timeout_ms and not self.silent:
            self.silent = True
            self.tell(False, still_ms)
        return not self.silent

    def link_was_down(self) -> None:
        """Give the PLC's heartbeat its time again, unless it had stopped before: what it did meanwhile nobody saw."""
        if not self.silent:
            self.plc = None


class PlcThread(ABC):
    """The thread "plc". `start` once, `wake` from any thread, `stop` once. Subclasses say what a turn is."""

    def __init__(self, desk: Desk, clock: Clock, prepare: Callable[[], None]) -> None:
        """`prepare` is called on the thread when it begins."""
        self.error: BaseException | None = None  # what ended the thread, where that was not `stop`
        self.t_alive_ns = clock.now_ns()  # when the thread last came round: the watchdog looks at it
        self._prepare = prepare
        self._desk = desk
        self._clock = clock
        self._stopping = threading.Event()
        self._count_wanted = False  # a frame came since the PLC's count was last asked for
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.epoll()
        self._poll.register(self._wake_fd, select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, name="plc")

    @property
    @abstractmethod
    def longest_ms(self) -> float:
        """How long the PLC may keep the thread from a sign of life."""

    def start(self) -> None:
        """Start the thread; returns at once, also where no PLC answers yet."""
        self._thread.start()

    def hear(self, doorbell_fd: int) -> None:
        """Look at the desk also when this eventfd is rung, as the camera process does for each frame, and nobody sleeps beside it.

        That is the engine thread, whose doorbell it is; while it scores, somebody else has to ask for the count: later, the
        frame might be another part's. Exclusive, so that Linux wakes the first of the two that sleeps, and edge-triggered, since
        reading it is left to the engine thread. Before `start`, and after that thread was made.
        """
        self._poll.register(doorbell_fd, select.EPOLLIN | select.EPOLLET | select.EPOLLEXCLUSIVE)

    def wake(self) -> None:
        """Have the thread look at the desk now, and ask for the PLC's count: a frame came. Any thread; microseconds."""
        self._count_wanted = True
        if threading.get_ident() != self._thread.ident:
            self._rouse()

    def deliver(self) -> None:
        """Have what is final written now. Any other thread; microseconds."""
        self._rouse(yielding=True)

    def _rouse(self, *, yielding: bool = False) -> None:
        """End the thread's sleep. `yielding`: it may take the interpreter at once, since nothing is more urgent."""
        if yielding:
            os.eventfd_write(self._wake_fd, 1)
        else:
            _write(self._wake_fd, _ONE, len(_ONE))

    def stop(self, timeout_s: float = 1.0) -> None:
        """Write the last verdicts and the last status, close, end the thread; a PLC that does not answer is not waited for.

        HungError where that takes longer; raises what ended the thread before.
        """
        self._stopping.set()
        self.wake()
        self._thread.join(timeout_s / 2)
        if self._thread.is_alive():
            self._abort()
        self._thread.join(timeout_s / 2)
        if self._thread.is_alive():
            raise HungError(
                f"the PLC thread did not stop within {timeout_s:g} s; the station ends without it"
            )
        self._give_up_unwritten()
        self._poll.close()
        os.close(self._wake_fd)
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            self._prepare()
            while not self._stopping.is_set():
                self._turn()
            self._say_goodbye()
        except BaseException as error:  # noqa: BLE001 - kept for the owner, who raises it in `stop`
            self.error = error
        finally:
            self._close()

    def _tell_heartbeat(self, beats: bool, still_ms: float) -> None:
        self._desk.on_heartbeat(beats=beats, still_ms=still_ms)

    def _sleep(self, ms: float) -> None:
        """Sleep until woken, at most so long."""
        for fd, _ in self._poll.poll(ms / 1000):
            if fd == self._wake_fd:
                os.eventfd_read(fd)

    def _alive(self) -> int:
        """Return the time, and leave it for the watchdog."""
        self.t_alive_ns = now_ns = self._clock.now_ns()
        return now_ns

    @abstractmethod
    def _turn(self) -> None:
        """Do what is due, then wait for the next thing."""

    @abstractmethod
    def _say_goodbye(self) -> None:
        """Tell the PLC that the station goes: open parts have been rejected, the status says not online."""

    @abstractmethod
    def _close(self) -> None:
        """Close what is open; the thread ends."""

    @abstractmethod
    def _abort(self) -> None:
        """Have a call that waits fail now. Another thread."""

    @abstractmethod
    def _give_up_unwritten(self) -> None:
        """Report as never written what the PLC shall not get any more."""
