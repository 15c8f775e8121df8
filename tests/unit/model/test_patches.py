"""Held out means held out: nothing of a fold reaches the model that judges it."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.model.detector import fit_detector
from inspector.model.folds import Folds
from inspector.model.graph import fused_graph
from inspector.model.images import read_image
from inspector.model.lite import lite0
from inspector.model.manifest import SearchEntry
from inspector.model.methods.base import Detector, method_named
from inspector.model.methods.nearest import NearestHead
from inspector.model.patches import PatchModel, fit_patches
from inspector.model.progress import silent, uncounted
from inspector.model.score_nodes import Exposure
from inspector.model.scoring import compiled, score_files
from inspector.model.spec import ModelSpec, model_spec

METHOD = method_named("nearest", bank=30, seed=0)
ONE_SCALE = model_spec(lite0(), 1, [(64, 64)], [("4", "7")])
TWO_SCALES = model_spec(lite0(), 1, [(64, 64), (96, 96)], [("4", "7")])


def apart(fold_of: NDArray[np.int64]) -> Folds:
    return Folds(fold_of, fold_of, np.eye(int(fold_of.max()) + 1, dtype=np.bool_))


def fitted(spec: ModelSpec, paths: list[Path], fold_of: NDArray[np.int64]) -> PatchModel:
    return fit_patches(spec, METHOD, paths, apart(fold_of), seed=0, progress=silent)


def graph_without(model: PatchModel, fold: int | None) -> bytes:
    barred = None if fold is None else np.arange(2) == fold
    detector = fit_detector(model.spec, METHOD, model.collected.without(barred), uncounted)
    serialised: bytes = fused_graph(model.spec, detector).SerializeToString()
    return serialised


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four images of upright stripes, then four of a chequer that no stripe resembles."""
    folder = tmp_path_factory.mktemp("textures")
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :64]
    stripes, chequer = 60.0 * (columns // 4 % 2), 60.0 * ((rows // 8 + columns // 8) % 2)
    found = []
    for index, texture in enumerate([stripes] * 4 + [chequer] * 4):
        found.append(folder / f"{index}.png")
        cv2.imwrite(str(found[-1]), (texture + 80 + rng.normal(0, 6, (64, 64))).astype(np.uint8))
    return found


FOLD_OF: NDArray[np.int64] = np.array([0] * 4 + [1] * 4)


def test_a_model_without_a_fold_is_the_model_of_the_others(paths: list[Path]) -> None:
    of_all, of_stripes = fitted(ONE_SCALE, paths, FOLD_OF), fitted(ONE_SCALE, paths[:4], FOLD_OF[:4])
    assert graph_without(of_all, 1) == graph_without(of_stripes, None)
    assert graph_without(of_all, None) != graph_without(of_stripes, None)


@pytest.mark.parametrize("spec", [ONE_SCALE, TWO_SCALES])
def test_an_image_is_judged_by_a_model_that_never_saw_its_fold(spec: ModelSpec, paths: list[Path]) -> None:
    model = fitted(spec, paths, FOLD_OF)
    held_out = model.held_out(paths, apart(FOLD_OF), silent).scores
    graph, kept = model.fused(Exposure(0, 255, limit=1.0), silent)
    with compiled(graph, spec.geometry) as engine:
        known = np.array([score.value for score in score_files(engine, paths, 1)])
    assert kept == 30 * len(spec.branches)
    assert held_out.min() > 2 * known.max()


def test_mean_grey_levels_come_with_the_features(paths: list[Path]) -> None:
    expected = [read_image(path, 1).mean() for path in paths]
    np.testing.assert_allclose(fitted(ONE_SCALE, paths, FOLD_OF).grey, expected, rtol=1e-5)


def test_the_manifest_says_what_searching_the_bank_costs(paths: list[Path]) -> None:
    model = fitted(ONE_SCALE, paths, FOLD_OF).completed(silent)
    assert model.whole is not None
    assert model.facts()["search"] is None
    (head,) = model.whole.heads
    assert isinstance(head, NearestHead)
    searched = replace(model, whole=Detector((replace(head, searched_from=0),)))
    entry = SearchEntry.model_validate(searched.facts()["search"])
    assert entry.patches > 0
    assert entry.largest_error is not None
    assert entry.bound is not None
    assert entry.largest_error <= entry.bound
