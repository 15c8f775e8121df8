"""`python tools/gpucheck ...` is what `tools/gpu-check` runs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.launch import main_of

if __name__ == "__main__":
    sys.exit(main_of("tools.gpucheck.cli", "gpu-check", "dev")())
