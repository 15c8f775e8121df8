"""The two GenTL producers of the tests: simcam, which is ours, and viky, which nobody here wrote."""

import functools
import importlib.util
import subprocess
from pathlib import Path

SIMCAM = Path(__file__).parents[2] / "tools" / "simcam"


@functools.cache
def simcam_cti() -> Path:
    """Return simcam's producer, built if a source is newer."""
    built = subprocess.run(
        ["sh", str(SIMCAM / "build")], check=True, capture_output=True, text=True, timeout=100
    )
    return Path(built.stdout.strip())


def viky_cti() -> Path:
    """Return the producer that ships with the genicam wheel, without importing that."""
    spec = importlib.util.find_spec("genicam")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).with_name("viky.cti")
