"""`python tools/faultproxy ...` runs the proxy."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.faultproxy.cli import main

if __name__ == "__main__":
    sys.exit(main())
