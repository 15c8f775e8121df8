"""The engine thread with an engine for each of several recipes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from inspector.clock import SystemClock
from inspector.engine import worker
from inspector.engine.worker import EngineThread, Job, Load
from inspector.errors import EngineError, GraphError
from inspector.part import Deciding, Reason
from tests.unit.engine.worker_rig import PATIENCE_S, FakeDesk, FakeEngine, job


@pytest.fixture(autouse=True)
def quick_reopening(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "REOPEN_MS", 1.0)


class Kitchen:
    """Opens an engine for each recipe, or fails as the test says."""

    def __init__(self) -> None:
        self.engines: dict[int, FakeEngine] = {}
        self.failures: dict[int, list[EngineError]] = {}

    def open(self, recipe: int) -> FakeEngine:
        if failures := self.failures.get(recipe):
            raise failures.pop(0)
        engine = self.engines[recipe] = FakeEngine(*[float(recipe)] * 9)
        return engine


@contextmanager
def serving(desk: FakeDesk, kitchen: Kitchen) -> Iterator[EngineThread]:
    thread = EngineThread(kitchen.open, desk, desk.doorbell_fd, SystemClock())
    thread.start()
    try:
        yield thread
    finally:
        thread.stop(PATIENCE_S)


def of_recipe(frame_id: int, recipe: int) -> Job:
    return replace(job(frame_id), deciding=Deciding(recipe=recipe))


def test_each_frame_goes_to_the_engine_of_its_recipe(desk: FakeDesk) -> None:
    kitchen = Kitchen()
    desk.loads = [Load(1), Load(2)]
    with serving(desk, kitchen):
        desk.wait_for(lambda: desk.warm == {1, 2})
        desk.file_jobs(of_recipe(1, 2), of_recipe(2, 1), of_recipe(3, 2))
        desk.wait_for(lambda: len(desk.answers) == 3)
    assert desk.answers == {1: 2.0, 2: 1.0, 3: 2.0}
    assert all(engine.closed == 1 for engine in kitchen.engines.values())


def test_an_engine_makes_room_before_the_next_is_opened(desk: FakeDesk) -> None:
    kitchen = Kitchen()
    desk.loads = [Load(1)]
    with serving(desk, kitchen):
        desk.wait_for(lambda: desk.warm == {1})
        desk.load(Load(2, close=(1,)))
        desk.wait_for(lambda: desk.warm == {2})
        assert kitchen.engines[1].closed == 1
        desk.file_jobs(of_recipe(1, 1), of_recipe(2, 2))
        desk.wait_for(lambda: len(desk.answers) == 2)
    assert desk.answers == {1: Reason.NOT_READY, 2: 2.0}


def test_an_engine_that_cannot_be_opened_leaves_the_others_open(desk: FakeDesk) -> None:
    kitchen = Kitchen()
    kitchen.failures = {2: [GraphError("damaged"), GraphError("damaged")]}
    desk.loads = [Load(1)]
    with serving(desk, kitchen):
        desk.wait_for(lambda: desk.warm == {1})
        desk.load(Load(2))
        desk.wait_for(lambda: (False, "ENG-003: damaged") in desk.engine)
        desk.file_jobs(of_recipe(1, 1))
        desk.wait_for(lambda: bool(desk.answers) and desk.warm == {1, 2})  # and it is tried again
    assert desk.answers == {1: 1.0}
    assert kitchen.engines[1].closed == 1
