"""`python tools/bench NAME ...` is what `tools/bench/NAME` runs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.launch import interruptible, main_of

MODULES = {
    "accuracy": "accuracy", "bank": "bank", "calibration": "calibration", "engine": "engine_speed", "fit": "fit_scale",
    "known": "known_defects", "modbus": "modbus_latency", "path": "path", "peer": "peer", "rate": "rate", "views": "views",
}  # fmt: skip

if __name__ == "__main__":
    name = sys.argv.pop(1)
    sys.argv[0] = f"tools/bench/{name}"
    sys.exit(interruptible(main_of(f"tools.bench.{MODULES[name]}", name), name))
