"""Which patches of an example are its defect, and which examples a model may not see that judges another."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.engine.preprocess import Geometry
from inspector.model.bank import build_bank
from inspector.model.defects import DefectImages, Example
from inspector.model.evidence import Ground, ground
from inspector.model.examples import MOST_ALIKE, Eye, Looked, held_out_evidence, look, passes
from inspector.model.graph import features_graph, split_features
from inspector.model.images import read_image
from inspector.model.lite import lite0
from inspector.model.methods.base import Detector
from inspector.model.methods.nearest import NearestHead
from inspector.model.progress import uncounted
from inspector.model.scoring import compiled
from inspector.model.spec import ModelSpec, model_spec
from inspector.model.whitening import Moments, whitening

FRAME = 240, 180  # width and height
# The middle of the frame, so that a place in the frame is another one in the input.
GEOMETRY = Geometry(1, 64, 96, roi=(60, 40, 120, 80), frame=FRAME)
SPEC: ModelSpec = replace(model_spec(lite0(), 1, [(64, 96)], [("4", "7")]), framing=GEOMETRY)
BRANCH = SPEC.branches[0]


def frame(seed: int, blot: tuple[int, int] | None = None, grey: int = 250) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    stripes = 120 + 40 * np.sin(np.arange(FRAME[0]) / 7)[None, :] + np.zeros((FRAME[1], 1))
    image = np.clip(stripes + rng.normal(0, 10, FRAME[::-1]), 0, 255).astype(np.uint8)
    if blot is not None:
        cv2.circle(image, blot, 9, grey, -1)
    return image


@pytest.fixture(scope="module")
def eye() -> Iterator[Eye]:
    with compiled(features_graph(SPEC), SPEC.geometry) as engine:
        yield Eye(SPEC, engine)


@pytest.fixture(scope="module")
def good(eye: Eye) -> tuple[Detector, list[Ground]]:
    rows = [split_features(SPEC, eye.engine.score(frame(seed)).heatmap)[0] for seed in range(6)]
    moments = Moments.of(np.concatenate(rows))
    white = whitening(moments)
    bank = build_bank(white.apply(np.concatenate(rows)), 60, np.random.default_rng(0))
    return Detector((NearestHead(white, bank),)), [ground(moments)]


def examples(folder: Path, *, masks: bool) -> DefectImages:
    """Three bright blots in different places and three dark ones, 16 columns and 12 rows of the frame for a cell of the input."""
    found = []
    for kind, grey in enumerate((250, 5)):
        for index, blot in enumerate(((90, 60), (120, 80), (150, 100))):
            path = folder / f"{kind}-{index}.png"
            cv2.imwrite(str(path), frame(10 + 3 * kind + index, blot, grey))
            mask = np.zeros(FRAME[::-1], np.uint8)
            cv2.circle(mask, blot, 9, 255, -1)
            cv2.imwrite(str(path.with_suffix(".mask.png")), mask)
            found.append(Example(path, kind, path.with_suffix(".mask.png") if masks else None))
    return DefectImages(("bright", "dark"), tuple(found))


def test_patches_under_the_mask_are_taken_from_where_the_frame_shows_them(
    eye: Eye, good: tuple[Detector, list[Ground]], tmp_path: Path
) -> None:
    images = examples(tmp_path, masks=True)
    looked = look(eye, good[0], images, good[1], uncounted)
    features = split_features(SPEC, eye.engine.score(read_image(images.examples[1].path, 1)).heatmap)[0]
    grid = features.reshape(*BRANCH.grid, -1)
    # The frame's middle is the middle of the region: the corner of the four cells in the middle of the grid.
    rows, columns = BRANCH.grid
    middle = grid[rows // 2 - 1 : rows // 2 + 1, columns // 2 - 1 : columns // 2 + 1].reshape(4, -1)
    (patches,) = looked.patches[1]
    assert len(patches) == 4
    assert {patch.tobytes() for patch in patches} == {patch.tobytes() for patch in middle}


def test_without_masks_what_the_examples_share_is_found(
    eye: Eye, good: tuple[Detector, list[Ground]], tmp_path: Path
) -> None:
    with_masks = look(eye, good[0], examples(tmp_path, masks=True), good[1], uncounted)
    images = examples(tmp_path, masks=False)
    counted: list[int] = []
    without = look(eye, good[0], images, good[1], counted.append)
    assert sum(counted) == passes(images) * 6
    for (patches,), (under_mask,) in zip(without.patches, with_masks.patches, strict=True):
        assert len(patches) == MOST_ALIKE
        known = {patch.tobytes() for patch in under_mask}
        assert len(known & {patch.tobytes() for patch in patches}) >= 0.75 * len(known)


def test_held_out_examples_are_told_apart(
    eye: Eye, good: tuple[Detector, list[Ground]], tmp_path: Path
) -> None:
    images = examples(tmp_path, masks=False)
    looked = look(eye, good[0], images, good[1], uncounted)
    shown, broad = held_out_evidence(eye, looked, images.examples, good[1], uncounted)
    assert shown.shape == (6, 2)
    assert (broad < shown[np.arange(6), looked.kinds]).all()
    assert (shown.argmax(axis=1) == looked.kinds).sum() >= 5


def test_an_example_is_judged_without_its_family_but_never_without_its_class() -> None:
    none = np.zeros(5)
    looked = Looked(("a", "b"), none, (), np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 0, 0]))
    assert looked.left_out_with(0).tolist() == [True, True, False, False, False]
    assert looked.left_out_with(2).tolist() == [False, False, True, False, False]
    # All of class b are one family: then only the example itself is left out.
    assert looked.left_out_with(3).tolist() == [False, False, False, True, False]
