"""The cache of compiled plans beside a model pack: one plan for each runtime and GPU, each with a sidecar that says what it is.

    models/solar/            the pack, never written to
    models/solar.plans/      tensorrt_rtx-sm86.plan   tensorrt_rtx-sm86.json

A plan is executable content, so its hash is checked before anything reads it. That finds damage and mix-ups; whoever may write
to the folder can replace both files, so it needs the same permissions as the program.
"""

import contextlib
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pydantic

from inspector.engine.base import Signature
from inspector.errors import GraphError


class PlanKey(pydantic.BaseModel):
    """Everything a plan is tied to: built for another key, it is rebuilt."""

    model_config = pydantic.ConfigDict(frozen=True, strict=True, extra="forbid")

    graph_sha256: str
    runtime: str  # the package: tensorrt or tensorrt_rtx
    runtime_version: str
    compute_capability: str  # sm86
    gpu: str  # as the driver names it: a full TensorRT plan is tuned for one model of GPU


@dataclass(frozen=True, slots=True)
class Plan:
    """A serialised engine and its tensors, which cannot be read back from it without a GPU."""

    data: bytes
    inputs: Signature
    outputs: Signature


class _Sidecar(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, strict=True, extra="forbid")

    key: PlanKey
    plan_sha256: str
    inputs: dict[str, tuple[str, tuple[int, ...]]]
    outputs: dict[str, tuple[str, tuple[int, ...]]]


def plan_folder(graph: Path) -> Path:
    """Return the cache folder of the pack that holds `graph`."""
    pack = graph.absolute().parent
    return pack.with_name(pack.name + ".plans")


def read_plan(folder: Path, key: PlanKey) -> Plan | None:
    """Return the cached plan for `key`; None where there is none or it was built for another key.

    Raises GraphError where the sidecar cannot be read or the plan is not the one it describes: build it again.
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
    if sidecar.key != key:
        return None
    try:
        data = plan_path.read_bytes()
    except OSError as error:
        raise GraphError(
            f"{plan_path}: {error.strerror}, but its description is there: delete that"
        ) from error
    found = sha256(data)
    if found != sidecar.plan_sha256:
        raise GraphError(
            f"{plan_path}: expected sha256 {sidecar.plan_sha256[:12]}, found {found[:12]} in {len(data)} bytes: "
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
    _replace(plan_path, plan.data)
    _replace(sidecar_path, sidecar.model_dump_json(indent=1).encode())


def sha256(data: bytes) -> str:
    """Return the hash in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _paths(folder: Path, key: PlanKey) -> tuple[Path, Path]:
    stem = f"{key.runtime}-{key.compute_capability}"
    return folder / f"{stem}.plan", folder / f"{stem}.json"


def _replace(path: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
