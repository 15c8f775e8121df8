"""What evaluating times is of the same images throughout, so that a part never takes longer than the whole."""

from pathlib import Path
from typing import cast

import numpy as np

from inspector.engine.base import Engine, Score
from inspector.engine.preprocess import Geometry
from inspector.model.judged import _Run
from tests.support.plates import write

IMAGES = 250


class AnEngine:
    """Answers at once."""

    def score(self, image: object) -> Score:
        del image
        return Score(1.0, np.zeros((1, 1), np.float32))


def test_the_whole_and_its_stages_are_timed_on_every_image(tmp_path: Path) -> None:
    file = tmp_path / "part.png"
    write(file, np.full((32, 32), 128.0))
    run = _Run(cast("Engine", AnEngine()), (Geometry(1, 32, 32),), IMAGES)
    run.add([file] * IMAGES, lambda _: None)
    times = {stage: np.array(run.times_ms[stage]) for stage in ("read", "preprocess", "graph", "engine")}
    assert {stage: len(values) for stage, values in times.items()} == dict.fromkeys(times, IMAGES)
    assert (times["graph"] <= times["engine"]).all()
    assert np.median(times["graph"]) <= np.median(times["engine"])
