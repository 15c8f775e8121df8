"""Many images by several engines: in order, the same as one by one, and an image that does not fit is named."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inspector.errors import ImagesError
from inspector.model import scoring
from inspector.model.graph import features_graph
from inspector.model.images import list_images
from inspector.model.lite import lite0
from inspector.model.scoring import compiled, score_all, score_files
from inspector.model.spec import model_spec
from tests.support.plates import part, write

SPEC = model_spec(lite0(), 1, [(64, 64)], [("4",)])
GRAPH = features_graph(SPEC)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twelve plates, each of another brightness."""
    folder, rng = tmp_path_factory.mktemp("plates"), np.random.default_rng(0)
    for index in range(12):
        write(folder / f"{index:02}.png", part(rng) * (0.4 + index / 20))
    return list_images(folder)


@pytest.fixture(autouse=True)
def _more_than_one_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_WORTH_ONE", 3)


def test_answers_come_in_order_and_are_those_of_one_engine(paths: list[Path]) -> None:
    with compiled(GRAPH, SPEC.geometry) as engine:
        expected = list(score_files(engine, paths, 1))
    found = list(score_all(GRAPH, SPEC.geometry, paths, 1))
    np.testing.assert_allclose([answer.value for answer in found], [one.value for one in expected], rtol=1e-5)
    for answer, one in zip(found, expected, strict=True):
        np.testing.assert_allclose(answer.heatmap, one.heatmap, atol=1e-4)


def test_nothing_of_it_is_left_when_no_more_answers_are_wanted(paths: list[Path]) -> None:
    before = threading.active_count()
    answers = score_all(GRAPH, SPEC.geometry, paths, 1)
    next(answers)
    assert threading.active_count() > before
    answers.close()
    assert threading.active_count() == before


def test_an_image_that_does_not_fit_is_named(paths: list[Path]) -> None:
    strict = replace(SPEC.geometry, aspect=2.0)
    with pytest.raises(ImagesError, match=r"00.png: expected frames of width = 2.000 x height"):
        list(score_all(GRAPH, strict, paths, 1))
    with pytest.raises(ImagesError, match=r"missing.png: cannot be read"):
        list(score_all(GRAPH, SPEC.geometry, [*paths, paths[0].with_name("missing.png")], 1))
