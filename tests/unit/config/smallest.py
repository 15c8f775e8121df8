"""The smallest configuration file, and what reading it or another gives."""

from collections.abc import Callable
from pathlib import Path

import pytest

from inspector.config.loading import load
from inspector.config.schema import Config
from inspector.errors import ConfigError

SMALLEST = """\
station:
  name: cell-1
  budget_ms: 100
camera:
  producer: a.cti
  device:
    model: simcam
model:
  pack: pack
"""

Write = Callable[[str | bytes], Path]


def problems(path: Path, *, check_files: bool = False) -> list[str]:
    """Return the problems of the file, without its name."""
    with pytest.raises(ConfigError) as caught:
        load(path, check_files=check_files)
    assert all(problem.startswith(f"{path}:") for problem in caught.value.problems)
    assert all("\n" not in problem for problem in caught.value.problems)
    return [problem.removeprefix(f"{path}:") for problem in caught.value.problems]


def read(path: Path) -> Config:
    return load(path, check_files=False).config
