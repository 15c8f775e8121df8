"""What a measurement must say of the machine it was taken on: which CPU, how busy it was, and when it stalled by itself."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from inspector.bench.stalls import STALL_MS, Stall, StallWatch, stalled_ms
from inspector.clock import NS_PER_S, SystemClock, sleep_ms, utc_label

LOOK_MS = 250.0  # how long the machine is looked at before the measurement begins
LOAD = Path("/proc/loadavg")
_CPUFREQ = Path("/sys/devices/system/cpu/cpu0/cpufreq")


class Machine:
    """The machine beside the measurement that runs in the block. One thread."""

    def __init__(self) -> None:
        self.watch = StallWatch()
        self._clock = SystemClock()
        self._start = self._end = self._before = _Used(0, 0, 0, 0)
        self._load_before = ""
        self._utc = ""

    def __enter__(self) -> Self:
        """Look how busy the machine is, then start to watch for stalls. Raises ServiceError."""
        self._utc = utc_label()
        self._load_before = _load()
        idle = self._used()
        sleep_ms(LOOK_MS)
        self._before = self._used().since(idle)
        self.watch.__enter__()
        self._start = self._used()
        return self

    def __exit__(self, *_: object) -> None:
        self._end = self._used()
        self.watch.__exit__()

    @property
    def stalls(self) -> list[Stall]:
        """The stalls so far."""
        return self.watch.stalls

    def stalled_ms(self, t_from_ns: int, t_to_ns: int) -> float:
        """Return how long the machine stalled between two moments, at most."""
        return stalled_ms(self.stalls, t_from_ns, t_to_ns)

    def unstalled(self, moments: list[tuple[int, int]]) -> list[bool]:
        """Return of each span (from, to; nanoseconds) whether no stall of the machine touched it."""
        stalls = self.stalls
        return [stalled_ms(stalls, start, end) == 0 for start, end in moments]

    def facts(self) -> dict[str, object]:
        """Return all of it under plain names, for JSON; also while the block still runs."""
        used = (self._end if self._end.t_ns else self._used()).since(self._start)
        stalls = self.stalls
        seconds = used.t_ns / NS_PER_S
        return {
            **cpu_facts(),
            "utc": self._utc,
            "seconds": round(seconds, 1),
            "load_before": self._load_before,
            "load_after": _load(),
            "busy_before": round(self._before.busy_share, 3),
            "busy_during": round(used.busy_share, 3),
            "stolen_share": round(used.stolen_share, 4),
            "stalls": len(stalls),
            "stalls_per_minute": round(60 * len(stalls) / seconds, 1) if seconds else 0.0,
            "stall_longest_ms": round(max((stall.ms for stall in stalls), default=0.0), 2),
            "stall_total_ms": round(sum(stall.ms for stall in stalls), 1),
            "stall_threshold_ms": STALL_MS,
            "stalls_are_the_machines": self.watch.fifo,
        }

    def _used(self) -> "_Used":
        """Return the CPU time of all CPUs so far, in ticks: /proc/stat."""
        with Path("/proc/stat").open(encoding="ascii") as file:
            user, nice, system, idle, wait, irq, soft, stolen = map(int, file.readline().split()[1:9])
        return _Used(self._clock.now_ns(), user + nice + system + irq + soft, idle + wait, stolen)


def cpu_facts() -> dict[str, object]:
    """Return what the machine is; a value that it does not tell is None."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    fields = {
        name.strip(): value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())
    }
    megahertz = _read(_CPUFREQ / "scaling_cur_freq")
    return {
        "cpu": fields.get("model name", platform.machine()),
        "cores": len(os.sched_getaffinity(0)),
        "mhz": round(int(megahertz) / 1000 if megahertz else float(fields.get("cpu MHz", "0"))) or None,
        "governor": _read(_CPUFREQ / "scaling_governor"),
        "virtual": "hypervisor" in fields.get("flags", "").split(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def in_words(facts: dict[str, object]) -> str:
    """Return the facts of `Machine.facts` as two lines for people."""
    kind = "virtual machine" if facts["virtual"] else "machine"
    speed = f", {facts['mhz']} MHz" if facts["mhz"] else ""
    governor = f", governor {facts['governor']}" if facts["governor"] else ""
    whose = (
        "of the machine itself" if facts["stalls_are_the_machines"] else "of the machine or by other programs"
    )
    return (
        f"{facts['cpu']}, {facts['cores']} cores{speed}{governor}, {kind}; busy before: {facts['busy_before']:.0%}, "
        f"load {facts['load_before']}, after {facts['load_after']}\n"
        f"{facts['stalls']} stalls above {facts['stall_threshold_ms']:g} ms {whose} in {facts['seconds']} s, the longest "
        f"{facts['stall_longest_ms']} ms"
    )


@dataclass(frozen=True, slots=True)
class _Used:
    """A moment and the ticks up to it; or a span, and those in it."""

    t_ns: int
    busy: int
    idle: int
    stolen: int

    def since(self, earlier: "_Used") -> "_Used":
        return _Used(
            self.t_ns - earlier.t_ns,
            self.busy - earlier.busy,
            self.idle - earlier.idle,
            self.stolen - earlier.stolen,
        )

    @property
    def busy_share(self) -> float:
        return self.busy / max(1, self.busy + self.idle + self.stolen)

    @property
    def stolen_share(self) -> float:
        return self.stolen / max(1, self.busy + self.idle + self.stolen)


def _load() -> str:
    """Return the load of one, five and fifteen minutes as Linux says it."""
    return " ".join(LOAD.read_text(encoding="ascii").split()[:3])


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:  # virtual machines have no such file
        return None
