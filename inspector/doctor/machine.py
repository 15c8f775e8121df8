"""The machine apart from a GPU: processor, real time, memory, disk, and the camera producers that are installed."""

import os
import platform
import resource
import shutil
from importlib.util import find_spec
from pathlib import Path

from inspector import __version__
from inspector.bench.machine import cpu_facts
from inspector.doctor.facts import Fact
from inspector.service.realtime import CPU_LATENCY

_GENTL = "GENICAM_GENTL64_PATH"  # by the GenTL standard: the folders of all installed producers
_FREE_GB = 10.0  # below it, logs and images fill the disk within days
_RESERVED = Path("/proc/sys/kernel/sched_rt_runtime_us")
_IDLE_DRIVER = Path("/sys/devices/system/cpu/cpuidle/current_driver")


def machine_facts() -> list[Fact]:
    """Return what Inspector runs on. Never raises."""
    cpu = cpu_facts()
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    facts = [
        Fact("Inspector", __version__),
        Fact("Python", platform.python_version()),
        Fact("system", f"{_name_of_system()}, {platform.machine()}"),
        Fact("processor", str(cpu.get("cpu") or "unknown")),
        Fact("cores", str(cpu.get("cores") or os.cpu_count()), _advice_on_cores(os.cpu_count() or 1)),
        _governor(),
        _load(os.getloadavg()[0], os.cpu_count() or 1),
        Fact("memory", f"{memory_gb:.1f} GB"),
    ]
    if platform.machine() not in {"x86_64", "AMD64"}:
        facts.append(
            Fact(
                "frame ring",
                "not possible here",
                "use an x86-64 machine: the ring rests on its order of stores",
            )
        )
    return facts


def realtime_facts() -> list[Fact]:
    """Return how far this user may ask for real time; the service's own limits may be higher. Never raises."""
    priority = resource.getrlimit(resource.RLIMIT_RTPRIO)[1]
    locked = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    root = os.geteuid() == 0
    allowed = "any (root)" if root else "none" if priority == 0 else _limit(priority)
    kernel = platform.version()
    facts = [
        Fact("kernel", f"{platform.release()}, {_preemption(kernel)}"),
        Fact(
            "highest real-time priority",
            allowed,
            ""
            if root or priority
            else "LimitRTPRIO= in the service (it is in the unit we ship), or /etc/security/limits.d",
        ),
        Fact(
            "memory that may be locked",
            "any (root)" if root else _limit(locked),
            ""
            if root or locked == resource.RLIM_INFINITY
            else "LimitMEMLOCK=infinity in the service: the ring is locked for the GPU",
        ),
    ]
    facts.append(_awake())
    if reserved := _read(_RESERVED):
        facts.append(
            Fact(
                "real time of each second", "all of it" if reserved == "-1" else f"{int(reserved) / 1e6:.0%}"
            )
        )
    return facts


def camera_facts(*named: Path) -> list[Fact]:
    """Return the GenTL producers found where the standard says they are, and whether those that a configuration names are there."""
    folders = [Path(each) for each in os.environ.get(_GENTL, "").split(os.pathsep) if each]
    found = sorted({path for folder in folders if folder.is_dir() for path in folder.glob("*.cti")})
    facts = [Fact("producer", str(path)) for path in found]
    if not folders:
        facts.append(
            Fact(
                _GENTL,
                "not set: no vendor's producer announces itself; camera.producer names the file all the same",
            )
        )
    elif not found:
        facts.append(
            Fact(
                _GENTL,
                os.pathsep.join(map(str, folders)),
                "no .cti file there: install the camera's software again",
            )
        )
    for path in named:
        there = path.is_file()
        facts.append(
            Fact(
                "camera.producer",
                f"{path}{'' if there else ' is not there'}",
                "" if there else "correct the path",
            )
        )
    ours = find_spec("genicam")
    if ours is not None and ours.origin is not None:
        facts += [
            Fact("virtual cameras", str(path)) for path in sorted(Path(ours.origin).parent.rglob("viky*.cti"))
        ]
    return facts


def disk_facts(*folders: Path) -> list[Fact]:
    """Return the free space where each of these folders is, or will be. Never raises."""
    facts = []
    for folder in folders:
        place = folder.absolute()
        while not place.exists():
            place = place.parent
        usage = shutil.disk_usage(place)
        low = usage.free / 1e9 < _FREE_GB
        facts.append(
            Fact(
                f"free at {place}",
                f"{usage.free / 1e9:.1f} of {usage.total / 1e9:.1f} GB",
                f"below {_FREE_GB:g} GB: clear it, or lower recorder.files" if low else "",
            )
        )
    return facts


def _governor() -> Fact:
    folder = Path("/sys/devices/system/cpu")
    found = sorted(
        {text for path in folder.glob("cpu[0-9]*/cpufreq/scaling_governor") if (text := _read(path))}
    )
    if not found:
        return Fact("clock governor", "none to be seen: a virtual machine, or the firmware decides")
    advice = (
        ""
        if found == ["performance"]
        else "sudo cpupower frequency-set -g performance: a core that slept clocks up too late"
    )
    return Fact("clock governor", ", ".join(found), advice)


def _awake() -> Fact:
    """Return whether this user may hold the CPUs awake, and how they sleep: waking takes the greater part of a part's way."""
    driver = _read(_IDLE_DRIVER)
    sleeps = "" if driver in {None, "none"} else f", they sleep by {driver}"
    if os.access(CPU_LATENCY, os.W_OK):
        return Fact("CPUs may be kept awake", f"yes{sleeps}")
    return Fact(
        "CPUs may be kept awake",
        f"not by this user{sleeps}",
        f"for realtime.stay_awake the unit we ship gives its user {CPU_LATENCY}",
    )


def _advice_on_cores(count: int) -> str:
    return "" if count >= 4 else "four or more keep camera, engine, PLC and log out of each other's way"


def _load(load: float, cores: int) -> Fact:
    advice = "end what else computes here: the station would wait for a core" if load > cores else ""
    return Fact("load of the last minute", f"{load:.1f} on {cores} cores", advice)


def _name_of_system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()


def _preemption(kernel: str) -> str:
    if "PREEMPT_RT" in kernel:
        return "real-time"
    return "preemptible" if "PREEMPT" in kernel else "not preemptible"


def _limit(value: int) -> str:
    return "no limit" if value == resource.RLIM_INFINITY else str(value)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return None
