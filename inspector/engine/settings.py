"""With which settings the CPU engine runs a graph here: probed once for a graph and a machine, kept beside the pack, else what was measured.

The file says what was tried and what it took, for people; only `taken` is used, and only for the very graph, CPU and OpenVINO that it
was found with.
"""

import logging
import os
import platform
from functools import cache
from pathlib import Path
from typing import Literal

import pydantic

from inspector.engine.plan import plan_folder, replace, sha256

log = logging.getLogger(__name__)

_FILE = "openvino.json"


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True, extra="forbid", frozen=True)


class Settings(_Strict):
    """`threads` 0: one for each physical core. `pinned`: each thread stays on its core."""

    precision: Literal["f32", "bf16", "f16"] = "f32"
    threads: int = 0
    pinned: bool = False


# Measured on two cores with AVX-512 BF16: what OpenVINO chooses by itself may be the slow precision (1.7 to 2 times), and pinned threads
# triple their latency as soon as anything else runs on their core.
FALLBACK = Settings()


class Tried(_Strict):
    """What one choice took: the median of runs alone and beside a busy thread, ms; `worst`, by how much a score was another one.

    In shares of the threshold; None for float32, which the others are held against.
    """

    settings: Settings
    alone_ms: float
    beside_ms: float
    worst: float | None


class Here(_Strict):
    """What an answer holds for."""

    graph_sha256: str
    openvino: str
    cpu: str
    cpus: int


class Probed(_Strict):
    """The answer, and what it rests on."""

    here: Here
    taken: Settings
    tried: tuple[Tried, ...]


def here(graph: Path) -> Here:
    """Return this graph, runtime and machine."""
    import openvino

    return Here(
        graph_sha256=sha256(graph.read_bytes()),
        openvino=openvino.__version__,
        cpu=cpu_name(),
        cpus=len(os.sched_getaffinity(0)),
    )


def read_probed(graph: Path) -> Probed | None:
    """Return what was probed for this graph here, None where nothing was. What cannot be read is logged, and probed again."""
    path = plan_folder(graph) / _FILE
    try:
        probed = Probed.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, pydantic.ValidationError) as error:
        log.warning("probe_refused", extra={"path": str(path), "why": type(error).__name__})
        return None
    return probed if probed.here == here(graph) else None


def write_probed(graph: Path, probed: Probed) -> None:
    """Keep an answer beside the pack, whole or not at all. Raises OSError."""
    folder = plan_folder(graph)
    folder.mkdir(parents=True, exist_ok=True)
    replace(folder / _FILE, probed.model_dump_json(indent=1).encode())


@cache
def cpu_name() -> str:
    """Return what this CPU calls itself, its architecture where it does not say."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
