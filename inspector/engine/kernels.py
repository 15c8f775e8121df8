"""The preprocessing kernel as a GPU's own code: compiled by nvcc, kept beside the plans for several GPUs at once.

This is pycuda's SourceModule in its two halves, so that the first can be done on a machine without a GPU, and the second without nvcc:
nvcc makes a fatbin, `module_from_buffer` loads it. What is loaded is executable, so its hash is checked first, as a plan's is.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pydantic

from inspector.engine.base import one_line
from inspector.engine.plan import replace, sha256
from inspector.engine.preparation import SOURCE
from inspector.errors import EngineUnavailableError

FATBIN, SIDECAR = "prepare.fatbin", "prepare.json"
ENTRY = "prepare"  # the kernel's name
_COMPILE_LIMIT_S = 120  # two seconds are usual


class _Sidecar(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, strict=True, extra="forbid")

    source_sha256: str
    fatbin_sha256: str
    compute_capabilities: tuple[str, ...]


def kernel_for(folder: Path, capability: str) -> bytes:
    """Return the fatbin for e.g. "sm86": that kept in `folder`, or one compiled here and kept there.

    Raises EngineUnavailableError where there is none and no compiler either, or the compiler does not know this GPU.
    """
    kept = _kept(folder)
    if kept is not None and capability in kept[1]:
        return kept[0]
    return keep_kernel(folder, [*(kept[1] if kept else ()), capability])


def keep_kernel(folder: Path, capabilities: list[str]) -> bytes:
    """Compile for these, keep it where the folder can be written, return it. Raises EngineUnavailableError."""
    capabilities = list(dict.fromkeys(capabilities))
    fatbin = compile_kernel(capabilities)
    sidecar = _Sidecar(
        source_sha256=sha256(SOURCE.read_bytes()),
        fatbin_sha256=sha256(fatbin),
        compute_capabilities=tuple(capabilities),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace(folder / FATBIN, fatbin)
        replace(folder / SIDECAR, sidecar.model_dump_json(indent=1).encode())
    except OSError:
        return fatbin  # good as it is; the next start compiles again
    return fatbin


def compile_kernel(capabilities: list[str]) -> bytes:
    """Return a fatbin with machine code for each of these GPUs. Raises EngineUnavailableError."""
    nvcc = find_nvcc()
    if nvcc is None:
        raise EngineUnavailableError(
            "no nvcc in CUDA_ROOT, CUDA_HOME, /usr/local/cuda or PATH: install the CUDA toolkit, or build the pack on a machine with it"
        )
    figures = [capability.removeprefix("sm") for capability in capabilities]
    targets = [f"-gencode=arch=compute_{each},code=sm_{each}" for each in figures]
    with tempfile.TemporaryDirectory(prefix="inspector-kernel-") as folder:
        out = Path(folder) / FATBIN
        command = [nvcc, "-fatbin", "-O3", *targets, "-o", str(out), str(SOURCE)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=_COMPILE_LIMIT_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EngineUnavailableError(f"{nvcc} does not compile: {one_line(error)}") from error
        if done.returncode or not out.is_file():
            told = one_line(Exception(done.stderr or done.stdout))
            raise EngineUnavailableError(f"{nvcc} cannot compile for {', '.join(capabilities)}: {told}")
        return out.read_bytes()


def find_nvcc() -> str | None:
    """Return the CUDA compiler: of the toolkit that the environment names, else where it usually is."""
    for variable in ("CUDA_ROOT", "CUDA_HOME"):
        if root := os.environ.get(variable):
            path = Path(root) / "bin" / "nvcc"
            return str(path) if path.is_file() else None
    usual = Path("/usr/local/cuda/bin/nvcc")
    return str(usual) if usual.is_file() else shutil.which("nvcc")


def _kept(folder: Path) -> tuple[bytes, tuple[str, ...]] | None:
    """Return (fatbin, GPUs) as kept; None where there is none, it is of another source, or it is not what its sidecar says."""
    try:
        sidecar = _Sidecar.model_validate_json((folder / SIDECAR).read_bytes())
        fatbin = (folder / FATBIN).read_bytes()
    except (OSError, pydantic.ValidationError):
        return None
    if sidecar.source_sha256 != sha256(SOURCE.read_bytes()) or sidecar.fatbin_sha256 != sha256(fatbin):
        return None
    return fatbin, sidecar.compute_capabilities
