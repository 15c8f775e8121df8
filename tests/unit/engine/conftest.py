"""The desk of the engine thread's tests."""

import os
from collections.abc import Iterator

import pytest

from tests.unit.engine.worker_rig import FakeDesk


@pytest.fixture
def desk() -> Iterator[FakeDesk]:
    desk = FakeDesk()
    yield desk
    os.close(desk.doorbell_fd)
