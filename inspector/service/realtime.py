"""Everything about real time in one file: what the daemon asks of Python and Linux so that a part is not kept waiting.

Each function asks for one thing and returns whether it was granted. What is refused is logged once, with what would allow
it, and done without: a station that is a little less even is better than none.
"""

import ctypes
import gc
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Final

from inspector.config.schema import RealtimeConfig

log = logging.getLogger(__name__)

# A busy Python thread may keep the interpreter for so long before another gets it. Python's default of 5 ms made a Modbus write
# beside one take 5.4 ms (p50); 0.5 ms made it 0.02.
SWITCH_INTERVAL_S: Final = 0.0005

_MCL_CURRENT, _MCL_FUTURE = 1, 2  # <sys/mman.h>
CPU_LATENCY: Final = (
    "/dev/cpu_dma_latency"  # the kernel's "PM QoS": who holds it open says how long a CPU may take to wake
)


def prepare_process(config: RealtimeConfig) -> None:
    """Set what holds for the whole process. Call it once, after all is loaded and before the first part."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    if config.lock_memory:
        lock_memory()
    if config.stay_awake:
        stay_awake()
    stop_garbage_collection()


def prepare_thread(config: RealtimeConfig, below: int = 0) -> None:
    """Set what holds for the calling thread alone: its priority, so far `below` the highest. For those on the way of a part."""
    if config.fifo_priority:
        use_fifo(max(1, config.fifo_priority - below))


def use_fifo(priority: int) -> bool:
    """Run the calling thread with SCHED_FIFO, 1 (lowest) to 99; processes that it starts do not inherit it."""
    policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
    try:
        os.sched_setscheduler(0, policy, os.sched_param(priority))  # 0 is the calling thread
    except OSError as error:
        return _refused(f"SCHED_FIFO {priority}", error, "LimitRTPRIO= of the service")
    return _granted(f"SCHED_FIFO {priority}")


def use_cpus(cpus: list[int], *processes: int) -> bool:
    """Keep all threads of this process on these CPUs, what they start from now on, and `processes` of one thread each.

    Call it before an engine is opened, which makes as many threads as it sees CPUs. An empty list changes nothing.
    """
    if not cpus:
        return True
    present = sorted(os.sched_getaffinity(0))
    for thread in (*(int(task.name) for task in Path("/proc/self/task").iterdir()), *processes):
        try:
            os.sched_setaffinity(thread, cpus)
        except ProcessLookupError:  # it has ended meanwhile
            continue
        except (OSError, ValueError, OverflowError) as error:
            return _refused(f"CPUs {cpus}", error, f"realtime.cpus out of {present}")
    return _granted(f"CPUs {cpus}")


def lock_memory() -> bool:
    """Keep all memory of the process, now and later, out of swap."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE) != 0:
        number = ctypes.get_errno()
        return _refused(
            "mlockall", OSError(number, os.strerror(number)), "LimitMEMLOCK=infinity of the service"
        )
    return _granted("mlockall")


def stay_awake(device: str = CPU_LATENCY) -> bool:
    """Have no CPU sleep between parts, until this process ends: to wake a thread on a sleeping one took 65 us instead of 5.

    A part needs eight such wake-ups. The price is electricity. Linux forgets the wish with the descriptor, also after a crash.
    """
    try:
        held = os.open(device, os.O_WRONLY | os.O_CLOEXEC)
        os.write(held, (0).to_bytes(4, sys.byteorder))  # microseconds; never closed
    except OSError as error:
        return _refused("CPUs that stay awake", error, f"a service that owns {device}, or root")
    return _granted("CPUs that stay awake")


def stop_garbage_collection() -> None:
    """Take all present objects out of the collector's sight, and stop it: a full run took 97 ms (p99).

    Reference counting still frees; only cycles made from now on are kept, until `collect_garbage`.
    """
    gc.collect()
    gc.freeze()
    gc.disable()


def collect_garbage() -> None:
    """Free the cycles made since the collector was stopped. Milliseconds: not while a part waits.

    The way of a part makes none, but libraries do where something fails: each connection to a PLC that closes it again left 2 KB,
    190 MB a day.
    """
    if not gc.isenabled():
        gc.collect()


def _granted(what: str) -> bool:
    log.info("realtime_granted", extra={"what": what, "by": threading.current_thread().name})
    return True


def _refused(what: str, error: Exception, allow: str) -> bool:
    fields = {"what": what, "by": threading.current_thread().name, "error": str(error), "needs": allow}
    log.warning("realtime_refused", extra=fields)
    return False
