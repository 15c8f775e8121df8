"""Lists that people write by hand for a tool: faults, schedules."""

from pathlib import Path
from typing import Any

import yaml


def read_entries(path: Path, what: str, error: type[Exception]) -> Any:
    """Return what the YAML or JSON file `path` holds. Raises `error`, one line, where it is no readable `what`."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as cause:
        raise error(f"{path}: expected a readable {what}, got: {cause.strerror}") from cause
    except (yaml.YAMLError, UnicodeDecodeError) as cause:
        raise error(f"{path}: expected YAML or JSON, got: {str(cause).splitlines()[0]}") from cause
