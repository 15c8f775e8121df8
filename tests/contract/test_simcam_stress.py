"""simcam under AddressSanitizer (with leak check), UndefinedBehaviorSanitizer and ThreadSanitizer."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.contract.simcam_rig import write_pnm
from tests.support.producers import SIMCAM

SECONDS = 2


def _build(target: Path, sanitizer: str) -> None:
    """Build the stress test; skip where the compiler has no runtime for the sanitizer."""
    compiler = next(filter(None, map(shutil.which, ("gcc", "clang"))), None)
    if compiler is None:
        pytest.skip("no gcc or clang: the compiler of the wheel ziglang has no sanitizer runtimes")
    options = [compiler, f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all"]
    probe = target.with_name("probe.c")
    probe.write_text("int main(void) { return 0; }\n")
    if subprocess.run(
        [*options, probe, "-o", target], capture_output=True, check=False, timeout=60
    ).returncode:
        pytest.skip(f"{compiler} has no runtime for -fsanitize={sanitizer}")
    flags = ["-std=c11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    sources = sorted(map(str, SIMCAM.glob("*.c")))
    subprocess.run(
        [*options, *flags, *sources, "-o", target, "-lpthread", "-lm", "-ldl"], check=True, timeout=280
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("sanitizer", ["address,undefined", "thread"])
def test_nothing_is_reported_under_stress(tmp_path: Path, sanitizer: str) -> None:
    pixels = np.random.default_rng(1)
    for device in ("left", "right"):
        for n in range(4):
            colour = (3,) if n % 2 else ()
            write_pnm(
                tmp_path / device / f"{n:04d}.p{'pg'[not n % 2]}m",
                pixels.integers(0, 256, (260, 300, *colour), np.uint8),
            )
        (tmp_path / device / "0009.pgm").write_bytes(b"P5 900 900 255\ntruncated")
    _build(tmp_path / "stress", sanitizer)
    result = subprocess.run(
        [tmp_path / "stress", str(SECONDS)],
        env={"SIMCAM_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    counts = dict(re.findall(r"(\w+)=(\d+)", result.stdout))
    # It did happen: devices were opened and closed, frames came, bad handles were recognised.
    assert int(counts["cycles"]) >= 8
    assert int(counts["frames"]) >= 20
    assert int(counts["refusals"]) >= 100
