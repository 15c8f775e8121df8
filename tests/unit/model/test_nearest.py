"""Held out means held out: nothing of a fold reaches the model that judges it."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.model.backbone import read_backbone
from inspector.model.graph import FeatureSpec
from inspector.model.images import read_image
from inspector.model.nearest import Plan, collect, fused, held_out_scores
from inspector.model.scoring import compiled, score_files


def nobody(steps: int) -> None:
    """No progress bar."""


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan(FeatureSpec(channels=1, height=64, width=64, taps=(4, 7)), read_backbone(), bank=30, seed=0)


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


def test_a_model_without_a_fold_is_the_model_of_the_others(plan: Plan, paths: list[Path]) -> None:
    of_all = collect(plan, paths, FOLD_OF, nobody)
    of_stripes = collect(plan, paths[:4], FOLD_OF[:4], nobody)
    without, _ = fused(plan, of_all, nobody, without=1)
    only, _ = fused(plan, of_stripes, nobody)
    assert without.SerializeToString() == only.SerializeToString()


def test_an_image_is_judged_by_a_model_that_never_saw_its_fold(plan: Plan, paths: list[Path]) -> None:
    patches = collect(plan, paths, FOLD_OF, nobody)
    held_out = held_out_scores(plan, patches, paths, FOLD_OF, nobody)
    model, bank = fused(plan, patches, nobody)
    with compiled(model, plan.spec) as engine:
        known = np.array([score.value for score in score_files(engine, paths, 1)])
    assert bank == 30
    assert held_out.min() > 2 * known.max()


def test_mean_grey_levels_come_with_the_features(plan: Plan, paths: list[Path]) -> None:
    expected = [read_image(path, 1).mean() for path in paths]
    np.testing.assert_allclose(collect(plan, paths, FOLD_OF, nobody).grey, expected, rtol=1e-5)
