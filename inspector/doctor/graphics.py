"""The GPUs as `nvidia-smi` tells of them: it comes with every driver, needs no package, and is what support asks for."""

import contextlib
import csv
import io
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from inspector.doctor.facts import Fact

# What is asked of nvidia-smi, and what it is called here. Older drivers do not know all of it: what they refuse is left out.
_ASKED: Final = {
    "name": "GPU",
    "driver_version": "driver",
    "compute_cap": "compute capability",
    "memory.total": "memory",
    "memory.used": "memory in use",
    "persistence_mode": "persistence mode",
    "compute_mode": "compute mode",
    "display_active": "display on it",
    "pstate": "performance state",
    "clocks.sm": "clock now",
    "clocks.max.sm": "clock at most",
    "clocks.mem": "memory clock now",
    "clocks.max.mem": "memory clock at most",
    "power.limit": "power limit",
    "power.default_limit": "power limit by default",
    "power.draw": "power now",
    "temperature.gpu": "temperature, C",
    "pcie.link.gen.max": "PCIe generation",
    "pcie.link.width.current": "PCIe lanes now",
    "pcie.link.width.max": "PCIe lanes",
    "clocks_throttle_reasons.sw_power_cap": "held back by the power limit",
    "clocks_throttle_reasons.hw_thermal_slowdown": "held back by heat",
}
_PACKAGES: Final = ("tensorrt", "tensorrt-rtx-cu13", "pycuda", "cuda-bindings")
_LIMIT_S: Final = 20  # without persistence mode the driver is loaded for each call: seconds
_UNKNOWN_FIELD = re.compile(r'Field "([^"]+)" is not a valid field')


def gpu_facts() -> list[Fact]:
    """Return what there is to say of GPUs: one fact where there is none. Never raises."""
    asked = _ask()
    if isinstance(asked, Fact):
        return [asked]
    several = len(asked) > 1
    facts = []
    for number, gpu in enumerate(asked):
        prefix = f"GPU {number}: " if several else ""
        facts += [Fact(prefix + _ASKED[name], value, _advice(name, gpu)) for name, value in gpu.items()]
    if several:
        facts.append(Fact("GPU in use", "the first"))
    return facts


def runtime_facts() -> list[Fact]:
    """Return the versions of what would run on a GPU, and which engine `auto` takes here, and why. Never raises."""
    from inspector.engine.gpu import require_device
    from inspector.engine.kernels import find_nvcc
    from inspector.errors import EngineError

    facts = [Fact(name, _version(name)) for name in ("openvino", *_PACKAGES)]
    facts.append(Fact("nvcc", find_nvcc() or "none"))
    try:
        trt, cuda = require_device()
    except EngineError as error:
        facts.append(Fact("engine: auto", f"openvino, since TensorRT cannot run here: {error}"))
    else:
        driver = cuda.get_driver_version()
        facts.append(Fact("CUDA of the driver", f"{driver // 1000}.{driver % 1000 // 10}"))
        facts.append(Fact("engine: auto", f"tensorrt, by {trt.__name__} {trt.__version__}"))
    return facts


def _ask() -> list[dict[str, str]] | Fact:
    """Return what nvidia-smi says of each GPU, or the one fact that says why it says nothing."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return Fact(
            "GPU",
            "none: no nvidia-smi, so no NVIDIA driver is installed; OpenVINO runs the models on the CPU",
        )
    fields = list(_ASKED)
    while fields:
        command = [program, f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LIMIT_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            return Fact(
                "GPU",
                f"nvidia-smi does not answer ({type(error).__name__})",
                "look at dmesg for Xid errors, restart",
            )
        refused = _UNKNOWN_FIELD.search(done.stdout + done.stderr)
        if refused is not None and refused[1] in fields:
            fields.remove(refused[1])
            continue
        if done.returncode:
            told = " ".join((done.stdout + done.stderr).split())[:200]
            return Fact(
                "GPU", f"nvidia-smi failed: {told}", "install the driver that fits the kernel, restart"
            )
        rows = csv.reader(io.StringIO(done.stdout), skipinitialspace=True)
        return [dict(zip(fields, row, strict=False)) for row in rows if row]
    return Fact("GPU", "nvidia-smi knows none of what is asked of it", "install a driver of this decade")


def _advice(name: str, gpu: dict[str, str]) -> str:
    """Return what to change about one answer; empty where nothing needs to be."""
    value = gpu[name]
    if name == "persistence_mode" and value == "Disabled":
        return "sudo nvidia-smi -pm 1, or enable nvidia-persistenced: without it the driver unloads, and a start takes seconds longer"
    if name == "compute_mode" and value not in {"Default", "Exclusive_Process"}:
        return "sudo nvidia-smi -c DEFAULT: in this mode no program may use the GPU"
    if name == "display_active" and value == "Enabled":
        return "put the display on another output: drawing takes turns with the engine"
    if name == "power.limit" and _is_below(value, gpu.get("power.default_limit", "")):
        return "sudo nvidia-smi -pl with the default limit: the clocks cannot reach what they are made for"
    if name == "pcie.link.width.current" and _is_below(value, gpu.get("pcie.link.width.max", "")):
        return "fewer lanes than the card has: try another slot; upload takes longer"
    if name == "temperature.gpu" and (_number(value) or 0) >= 85:
        return "look at fans and filters: near its limit the GPU slows down"
    if name.startswith("clocks_throttle_reasons") and value == "Active":
        return "the GPU is slower than it could be: see power limit and temperature"
    total, used = _number(gpu.get("memory.total", "")), _number(value)
    if name == "memory.used" and total is not None and used is not None and used > 0.8 * total:
        return "another program fills the GPU's memory: nvidia-smi names it"
    return ""


def _is_below(value: str, whole: str) -> bool:
    """Return whether both are numbers, and the first is the smaller one: cards leave out what they do not know."""
    found, wanted = _number(value), _number(whole)
    return found is not None and wanted is not None and found < wanted


def _number(value: str) -> float | None:
    with contextlib.suppress(ValueError, IndexError):
        return float(value.split(maxsplit=1)[0])
    return None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
