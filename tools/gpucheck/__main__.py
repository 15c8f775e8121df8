"""`python tools/gpucheck ...` is what `tools/gpu-check` runs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

try:
    from tools.gpucheck.cli import main
except ModuleNotFoundError as error:
    print(f"gpu-check: expected the package {error.name}; run `sh tools/setup dev` first", file=sys.stderr)
    sys.exit(2)

if __name__ == "__main__":
    sys.exit(main())
