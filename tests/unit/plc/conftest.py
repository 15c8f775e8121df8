"""A scripted PLC, a scripted desk, and no thread left behind."""

from collections.abc import Iterator

import pytest

from tests.unit.plc.link_rig import ENABLED, FakeDesk, Link
from tests.unit.plc.scripted import PATIENCE_S, ScriptedPlc


@pytest.fixture(autouse=True)
def no_thread_outlives_its_test() -> Iterator[None]:
    yield
    while Link.made:
        link = Link.made.pop()
        if link._thread.is_alive():
            link.stop(PATIENCE_S)


@pytest.fixture
def plc() -> Iterator[ScriptedPlc]:
    with ScriptedPlc() as plc:
        plc.set_control(ENABLED)
        yield plc


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()
