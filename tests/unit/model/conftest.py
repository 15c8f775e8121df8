"""Plates to fit on, for several of these tests."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.plates import part, write


@pytest.fixture(scope="session")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Thirty plates; by their order three batches of ten."""
    root, rng = tmp_path_factory.mktemp("plates"), np.random.default_rng(0)
    found = [root / f"{index:02}.png" for index in range(30)]
    for path in found:
        write(path, part(rng))
    return found
