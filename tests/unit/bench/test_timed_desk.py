"""The desk that stands in the station's desk's place while parts are timed."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from inspector.bench.timed_desk import StagedEngine, TimedDesk
from inspector.clock import ManualClock
from inspector.engine.base import Score
from inspector.engine.preprocess import Geometry, to_input


def test_a_job_is_the_frame_that_has_just_come() -> None:
    """As the engine thread asks for it: one that is found at the next tick only has waited for that."""
    frames = [SimpleNamespace(t_arrival_ns=5)]
    pixels = np.zeros((2, 2), np.uint8)
    reader: Any = SimpleNamespace(
        new_frames=lambda: [frames.pop()] if frames else [], pixels=lambda _frame: pixels
    )
    engine: Any = SimpleNamespace()
    desk = TimedDesk(reader, engine, ManualClock(), 1)
    job = desk.next_job()
    assert job is not None
    assert job.pixels is pixels
    assert desk.next_job() is None


@pytest.mark.parametrize("count", [1, 2])
def test_all_views_are_prepared_before_they_are_scored(count: int) -> None:
    views = [Geometry(1, 16, 16, roi=(8 * n, 0, 24, 24)) for n in range(count)]
    image = np.random.default_rng(1).integers(0, 256, (32, 48), np.uint8)
    scored: list[Any] = []

    def score_prepared(prepared: Any) -> Score:
        scored.append(prepared.copy())
        return Score(1.0, np.zeros((2, 2), np.float32))

    engine: Any = SimpleNamespace(name="x", score_prepared=score_prepared)
    StagedEngine(engine, views, ManualClock()).score(image, "Mono8")
    np.testing.assert_array_equal(scored[0], to_input(image, views, "Mono8"))
