"""The cache of compiled plans beside a model pack: one plan for each runtime and GPU, each with a sidecar that says what it is.

    models/solar/            the pack, never written to
    models/solar.plans/      tensorrt_rtx-sm86.plan   tensorrt_rtx-sm86.json   precision.json   prepare.fatbin

A plan is executable content, so its hash is checked before anything reads it. That finds damage and mix-ups; whoever may write
to the folder can replace both files, so it needs the same permissions as the program.
"""

import contextlib
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pydantic

from inspector.engine.base import Signature
from inspector.errors import GraphError

PRECISION = "precision.json"
_READABLE = 0o644


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class Precision(_Strict):
    """Whether the convolutions of a graph are computed in half precision, and what that rests on.

    `worst` is the largest difference of a score from float32, as a share of the threshold, on `images` images; half is taken
    only where it is at most `bound`. `rules`: the version of half.py.
    """

    graph_sha256: str
    rules: int
    taken: Literal["half", "float32"]
    bound: float
    worst: float | None  # None: not measured
    images: int
    why: str


class PlanKey(_Strict):
    """Everything a plan is tied to: built for another key, it is rebuilt."""

    graph_sha256: str
    runtime: str  # the package: tensorrt or tensorrt_rtx
    runtime_version: str
    compute_capability: str  # sm86
    gpu: str  # as the driver names it: a full TensorRT plan is tuned for one model of GPU; empty with RTX, which settles there
    precision: Literal["half", "float32"]
    rules: int  # of half.py


@dataclass(frozen=True, slots=True)
class Plan:
    """A serialised engine and its tensors, which cannot be read back from it without a GPU."""

    data: bytes
    inputs: Signature
    outputs: Signature


class _Sidecar(_Strict):
    key: PlanKey
    plan_sha256: str
    inputs: dict[str, tuple[str, tuple[int, ...]]]
    outputs: dict[str, tuple[str, tuple[int, ...]]]


def plan_folder(graph: Path) -> Path:
    """Return the cache folder of the pack that holds `graph`."""
    pack = graph.absolute().parent
    return pack.with_name(pack.name + ".plans")


def read_plan(folder: Path, key: PlanKey) -> Plan | None:
    """Return the cached plan for `key`; None where there is none.

    Raises GraphError where it was built for another key, the sidecar cannot be read, or the plan is not the one it describes:
    build it again. Nothing of a plan is looked at before its hash is right.
    """
    plan_path, sidecar_path = _paths(folder, key)
    try:
        sidecar = _Sidecar.model_validate_json(sidecar_path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, pydantic.ValidationError) as error:
        raise GraphError(
            f"{sidecar_path}: not the description of a plan ({type(error).__name__}): delete it"
        ) from error
    for name, wanted in key.model_dump().items():
        if (found := getattr(sidecar.key, name)) != wanted:
            raise GraphError(
                f"{plan_path}: expected a plan for {name} {_short(wanted)}, this one is for {_short(found)}: build it again"
            )
    try:
        data = plan_path.read_bytes()
    except OSError as error:
        raise GraphError(
            f"{plan_path}: {error.strerror}, but its description is there: delete that"
        ) from error
    digest = sha256(data)
    if digest != sidecar.plan_sha256:
        raise GraphError(
            f"{plan_path}: expected sha256 {sidecar.plan_sha256[:12]}, found {digest[:12]} in {len(data)} bytes: "
            "the plan is damaged or replaced, delete it"
        )
    return Plan(data, sidecar.inputs, sidecar.outputs)


def write_plan(folder: Path, key: PlanKey, plan: Plan) -> None:
    """Store the plan, then its sidecar, each atomically: a crash between them leaves a pair that read_plan refuses. Raises OSError."""
    plan_path, sidecar_path = _paths(folder, key)
    folder.mkdir(parents=True, exist_ok=True)
    sidecar = _Sidecar(
        key=key, plan_sha256=sha256(plan.data), inputs=dict(plan.inputs), outputs=dict(plan.outputs)
    )
    replace(plan_path, plan.data)
    replace(sidecar_path, sidecar.model_dump_json(indent=1).encode())


def read_precision(folder: Path, graph_sha256: str, rules: int) -> Precision | None:
    """Return what was settled for this graph by these rules; None where nothing was. Raises GraphError where it cannot be read."""
    path = folder / PRECISION
    try:
        settled = Precision.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, pydantic.ValidationError) as error:
        raise GraphError(f"{path}: says nothing of precision ({type(error).__name__}): delete it") from error
    return settled if (settled.graph_sha256, settled.rules) == (graph_sha256, rules) else None


def write_precision(folder: Path, precision: Precision) -> None:
    """Store what was settled, atomically. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    replace(folder / PRECISION, precision.model_dump_json(indent=1).encode())


def sha256(data: bytes) -> str:
    """Return the hash in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _paths(folder: Path, key: PlanKey) -> tuple[Path, Path]:
    stem = f"{key.runtime}-{key.compute_capability}"
    return folder / f"{stem}.plan", folder / f"{stem}.json"


def _short(value: object) -> str:
    return str(value)[:24] or "no particular one"


def replace(path: Path, data: bytes) -> None:
    """Write the file whole or not at all; what was there stays until then. Raises OSError.

    Everybody may read it: who builds a pack is seldom the user that the station runs as.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), _READABLE)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
