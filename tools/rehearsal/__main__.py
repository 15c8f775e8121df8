"""`python tools/rehearsal ...` is what `tools/rehearse` runs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

try:
    from tools.rehearsal.cli import main
except ModuleNotFoundError as error:
    print(f"rehearse: expected the package {error.name}; run `sh tools/setup` first", file=sys.stderr)
    sys.exit(2)

if __name__ == "__main__":
    sys.exit(main())
