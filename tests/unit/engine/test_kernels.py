"""The kernel's fatbin: compiled for real where there is an nvcc, kept, and never taken on trust."""

import json
import subprocess
from pathlib import Path

import pytest

from inspector.engine import kernels
from inspector.engine.kernels import FATBIN, SIDECAR, compile_kernel, find_nvcc, kernel_for
from inspector.errors import EngineUnavailableError

needs_nvcc = pytest.mark.skipif(find_nvcc() is None, reason="no nvcc: install the CUDA toolkit")


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was compiled, by a compiler that is none."""
    calls: list[list[str]] = []

    def compile_kernel(capabilities: list[str]) -> bytes:
        calls.append(capabilities)
        return ("fatbin of " + " ".join(capabilities)).encode()

    monkeypatch.setattr(kernels, "compile_kernel", compile_kernel)
    return calls


@needs_nvcc
def test_the_source_compiles_for_every_gpu_that_plans_are_built_for() -> None:
    fatbin = compile_kernel(["sm80", "sm86", "sm89", "sm90", "sm120"])
    assert fatbin[:4] == bytes.fromhex("50ed55ba"), "the magic of a fatbin, little-endian"
    assert fatbin.count(b"\x7fELF") >= 5


@needs_nvcc
def test_a_gpu_that_the_compiler_does_not_know_is_named_in_one_line() -> None:
    with pytest.raises(EngineUnavailableError, match=r"cannot compile for sm11: .*compute_11") as caught:
        compile_kernel(["sm11"])
    assert "\n" not in str(caught.value)


def test_what_was_compiled_is_kept_and_taken_again(tmp_path: Path, compiled: list[list[str]]) -> None:
    first = kernel_for(tmp_path / "plans", "sm86")
    assert kernel_for(tmp_path / "plans", "sm86") == first
    assert compiled == [["sm86"]]


def test_another_gpu_is_added_to_those_before(tmp_path: Path, compiled: list[list[str]]) -> None:
    kernel_for(tmp_path, "sm86")
    assert kernel_for(tmp_path, "sm120") == b"fatbin of sm86 sm120"
    assert kernel_for(tmp_path, "sm86") == b"fatbin of sm86 sm120"
    assert compiled == [["sm86"], ["sm86", "sm120"]]


@pytest.mark.parametrize("what", ["fatbin", "source", "sidecar", "gone"])
def test_what_is_altered_or_of_another_source_is_compiled_again(
    what: str, tmp_path: Path, compiled: list[list[str]]
) -> None:
    kernel_for(tmp_path, "sm86")
    if what == "fatbin":
        (tmp_path / FATBIN).write_bytes(b"something else")
    elif what == "gone":
        (tmp_path / FATBIN).unlink()
    elif what == "sidecar":
        (tmp_path / SIDECAR).write_text("{")
    else:
        sidecar = json.loads((tmp_path / SIDECAR).read_text())
        (tmp_path / SIDECAR).write_text(json.dumps(sidecar | {"source_sha256": "ab" * 32}))
    assert kernel_for(tmp_path, "sm86") == b"fatbin of sm86"
    assert len(compiled) == 2


def test_a_folder_that_cannot_be_written_does_no_harm(tmp_path: Path, compiled: list[list[str]]) -> None:
    (tmp_path / "plans").write_text("a file where the folder should be")
    assert kernel_for(tmp_path / "plans", "sm86") == b"fatbin of sm86"


def test_without_a_compiler_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kernels, "find_nvcc", lambda: None)
    with pytest.raises(
        EngineUnavailableError, match=r"no nvcc .*install the CUDA toolkit, or build the pack"
    ):
        kernel_for(tmp_path, "sm86")


def test_a_compiler_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("nvcc", 120)

    monkeypatch.setattr(kernels, "find_nvcc", lambda: "/opt/cuda/bin/nvcc")
    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(EngineUnavailableError, match=r"/opt/cuda/bin/nvcc does not compile: .*120 seconds"):
        compile_kernel(["sm86"])


def test_the_toolkit_that_the_environment_names_is_the_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_ROOT", str(tmp_path))
    assert find_nvcc() is None
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nvcc").write_text("")
    assert find_nvcc() == str(tmp_path / "bin" / "nvcc")
