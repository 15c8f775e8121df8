"""Watches for stalls of the machine itself beside a measurement, so that an outlier can be told from a fault of what is measured.

A process for each CPU sleeps for a millisecond again and again, with a real-time priority above all of ours where Linux grants it,
and notes when it woke more than a millisecond late. Then only the machine itself can have been the cause: the hypervisor, an
interrupt, the firmware. Without the priority other programs can be it too, and `fifo` says so. It costs about 1 % of a CPU.
"""

import contextlib
import ctypes
import mmap
import os
import signal
import struct
import sys
from dataclasses import dataclass
from typing import Final, Self

from inspector.bench.processes import Process
from inspector.clock import NS_PER_MS, SystemClock, sleep_ms
from inspector.errors import ServiceError

PERIOD_MS: Final = 1.0
STALL_MS: Final = 1.0  # a wake-up that comes later than this is one
PRIORITY: Final = 98  # of SCHED_FIFO
CPUS_MAX: Final = 16  # that are watched
_RECORD: Final = struct.Struct("=QQQ")  # CPU, from and to in nanoseconds
_KEPT: Final = 100_000  # stalls; what comes beyond is not kept


@dataclass(frozen=True, slots=True)
class Stall:
    """One CPU did not run what it should have, some time between these moments (CLOCK_MONOTONIC); `ms` is how late it was."""

    cpu: int
    t_from_ns: int
    t_to_ns: int

    @property
    def ms(self) -> float:
        """How late the watcher woke."""
        return (self.t_to_ns - self.t_from_ns) / NS_PER_MS - PERIOD_MS


class StallWatch:
    """Watches while the block runs. One thread."""

    def __init__(self) -> None:
        self.fifo = False  # whether the watchers have a priority above all else
        self.cpus: tuple[int, ...] = ()
        self._stalls: list[Stall] = []
        self._fd = -1
        self._process: Process | None = None

    def __enter__(self) -> Self:
        """Start, and wait until all CPUs are watched. Raises ServiceError."""
        self._fd = os.memfd_create("inspector-stalls", os.MFD_CLOEXEC)
        try:
            self._process = Process("inspector.bench.stalls", self._fd, fds=[self._fd])
        except ServiceError:
            self.__exit__()
            raise
        scheduled, *cpus = self._process.said
        self.fifo, self.cpus = scheduled == "fifo", tuple(map(int, cpus))
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None
        if self._fd >= 0:
            self._stalls = self._read()
            os.close(self._fd)
            self._fd = -1

    @property
    def pid(self) -> int:
        """The process that holds the watchers, 0 where none does."""
        return 0 if self._process is None else self._process.pid

    @property
    def stalls(self) -> list[Stall]:
        """What was seen so far, in the order it was seen."""
        return self._stalls if self._fd < 0 else self._read()

    def _read(self) -> list[Stall]:
        data = os.pread(self._fd, _KEPT * _RECORD.size, 0)
        whole = len(data) // _RECORD.size * _RECORD.size
        return [Stall(*numbers) for numbers in _RECORD.iter_unpack(data[:whole])]


def stalled_ms(stalls: list[Stall], t_from_ns: int, t_to_ns: int) -> float:
    """Return how long the machine stalled, at most and on its worst CPU, between two moments: what an outlier may owe to it."""
    by_cpu: dict[int, float] = {}
    for stall in stalls:
        shared_ns = min(stall.t_to_ns, t_to_ns) - max(stall.t_from_ns, t_from_ns)
        if shared_ns > 0:
            by_cpu[stall.cpu] = by_cpu.get(stall.cpu, 0.0) + shared_ns / NS_PER_MS
    return max(by_cpu.values(), default=0.0)


def main() -> int:
    """Watch until stdin ends; the argument is the file that takes the records."""
    fd, cpus = int(sys.argv[1]), sorted(os.sched_getaffinity(0))[:CPUS_MAX]
    fifo = _rise()
    steps = mmap.mmap(-1, mmap.PAGESIZE)  # shared: each watcher tells that it began
    children = []
    for number, cpu in enumerate(cpus):
        child = os.fork()
        if child == 0:
            _watch(fd, cpu, steps, number)
        children.append(child)
    while any(steps[number] == 0 for number in range(len(cpus))):
        sleep_ms(PERIOD_MS)
    sys.stdout.write(f"{'fifo' if fifo else 'other'} {' '.join(map(str, cpus))}\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return 0


def _watch(fd: int, cpu: int, steps: mmap.mmap, number: int) -> None:
    """Sleep and wake on one CPU for ever, and note each late wake-up; ends with the parent."""
    parent, clock = os.getppid(), SystemClock()
    os.sched_setaffinity(0, [cpu])
    ctypes.CDLL(None).prctl(
        29, 1, 0, 0, 0
    )  # PR_SET_TIMERSLACK, 1 ns: an ordinary process is woken 0.05 ms late
    late_ns = round((PERIOD_MS + STALL_MS) * NS_PER_MS)
    t_last_ns = clock.now_ns()
    steps[number] = 1
    while os.getppid() == parent:
        sleep_ms(PERIOD_MS)
        t_now_ns = clock.now_ns()
        if t_now_ns - t_last_ns > late_ns:
            os.write(fd, _RECORD.pack(cpu, t_last_ns, t_now_ns))
        t_last_ns = t_now_ns
    os._exit(0)


def _rise() -> bool:
    """Take the real-time priority, which the watchers inherit; return whether Linux granted it."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
        return True
    return False


if __name__ == "__main__":
    sys.exit(main())
