"""The environment that anomalib runs in: not ours, which has no training framework."""

import os
import subprocess
import sys
from pathlib import Path

from inspector.errors import ModelError

FOLDER = Path(__file__).resolve().parents[2] / ".venv" / "anomalib"
# torch for a CPU is 2 GB less where PIP_EXTRA_INDEX_URL names an index that has it. torchvision does not load beside it as it
# is: it comes without its dependencies, and anomalib_side.py declares the operators that it lacks.
PACKAGES = (
    ("torch==2.13.0",),
    ("--no-deps", "torchvision==0.28.0"),
    ("anomalib==2.7.0", "timm", "opencv-python-headless", "onnxruntime", "onnxscript"),
)


def folder() -> Path:
    """Return where it lies: PEER_ENV, or a folder in our own environment."""
    return Path(os.environ.get("PEER_ENV") or FOLDER)


def python_of(env: Path) -> str:
    """Return its interpreter; where it is not there, say so and install it. Raises ModelError with the installer's last word."""
    python = env / "bin" / "python"
    done = env / ".complete"
    if not done.is_file():
        packages = ", ".join(words[-1] if "--no-deps" in words else words[0] for words in PACKAGES)
        print(f"installing {packages} and what they need into {env}: about 2 GB, some minutes", flush=True)
        _run([sys.executable, "-m", "venv", "--clear", str(env)])
        for words in PACKAGES:
            _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words])
        done.touch()
    return str(python)


def _run(command: list[str]) -> None:
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if ended.returncode:
        said = ended.stderr.strip().splitlines()[-1:] or ["nothing"]
        raise ModelError(
            f"expected `{' '.join(command[1:])}` to work, it said: {said[0]}; PEER_ENV names another folder for it"
        )
