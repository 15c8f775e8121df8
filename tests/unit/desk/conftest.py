"""The rig of the desk's tests: as it starts, and when it decides."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.desk.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.close()


@pytest.fixture
def ready(rig: Rig) -> Rig:
    rig.ready()
    return rig
