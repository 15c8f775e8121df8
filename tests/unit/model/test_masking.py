"""Masks: what is ignored has no influence whatever, and what lies beside it keeps its own."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from inspector.engine.base import Engine, Score
from inspector.engine.preprocess import Geometry, to_input
from inspector.errors import ImagesError, ModelError
from inspector.model.backbone import Backbone, open_backbone
from inspector.model.bank import build_bank
from inspector.model.graph import features_graph, fused_graph
from inspector.model.masking import Watched, cells_watched, filled_only, project, read_mask
from inspector.model.methods.base import Detector
from inspector.model.methods.nearest import NearestHead
from inspector.model.score_nodes import Exposure
from inspector.model.scoring import compiled
from inspector.model.spec import ModelSpec, model_spec
from inspector.model.whitening import Moments, whitening

FRAME = 230, 180  # of the raw frames here, width and height
GEOMETRY = Geometry(1, 64, 96, roi=(10, 20, 200, 150), picture=(85, 64), frame=FRAME)


def mask() -> Watched:
    """Return a raw mask that ignores a disc and a strip at the region's edge."""
    watched = np.ones(FRAME[::-1], np.uint8)
    cv2.circle(watched, (90, 80), 25, 0, -1)
    watched[:, 190:] = 0
    return watched > 0


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    backbone: Backbone = open_backbone("lite0")
    plain = model_spec(backbone, 1, [(64, 96)])
    return dataclasses.replace(plain, framing=GEOMETRY, watched=project(mask(), GEOMETRY))


def frame(seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    stripes = 120 + 40 * np.sin(np.arange(FRAME[0]) / 9)[None, :] + np.zeros((FRAME[1], 1))
    return np.clip(stripes + rng.normal(0, 12, FRAME[::-1]), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def detector(spec: ModelSpec) -> Detector:
    with compiled(features_graph(spec), spec.geometry) as engine:
        features = np.concatenate(
            [engine.score(frame(seed)).heatmap.reshape(-1, spec.branches[0].depth) for seed in range(6)]
        )
    white = whitening(Moments.of(features))
    return Detector((NearestHead(white, build_bank(white.apply(features), 60, np.random.default_rng(0))),))


def score_of(engine: Engine, image: NDArray[np.uint8]) -> Score:
    return engine.score(image)


def test_what_is_ignored_leaves_score_and_heat_map_bit_by_bit(spec: ModelSpec, detector: Detector) -> None:
    ignored = ~mask()
    with compiled(fused_graph(spec, detector, Exposure(100, 140, 10.0)), spec.geometry) as engine:
        usual = engine.score(frame(7))
        for seed, content in enumerate((0, 255, None, None)):
            changed = frame(7)
            other = np.random.default_rng(seed).integers(0, 256, changed.shape, np.uint8)
            changed[ignored] = other[ignored] if content is None else content
            found = engine.score(changed)
            assert found.value == usual.value
            np.testing.assert_array_equal(found.heatmap, usual.heatmap)
        watched = frame(7)
        watched[120:135, 130:145] = 255
        assert engine.score(watched).value > 1.3 * usual.value


def test_cells_without_anything_watched_are_zero(spec: ModelSpec, detector: Detector) -> None:
    cells = spec.cells(spec.grid)
    assert cells is not None
    assert 0 < cells.sum() < cells.size
    with compiled(fused_graph(spec, detector), spec.geometry) as engine:
        heatmap = engine.score(frame(8)).heatmap
    assert (heatmap[cells == 0] == 0).all()
    assert (heatmap[cells == 1] > 0).all()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_watched_pixel_of_the_input_sees_anything_ignored(data: Any) -> None:
    """Whatever the scale, region and pixel format: random content under the mask changes no watched pixel of the input."""
    width, height = data.draw(st.integers(40, 200)), data.draw(st.integers(40, 160))
    x, y = data.draw(st.integers(0, width - 30)), data.draw(st.integers(0, height - 30))
    roi = (x, y, data.draw(st.integers(30, width - x)), data.draw(st.integers(30, height - y)))
    picture = data.draw(st.integers(8, 96)), data.draw(st.integers(8, 96))
    name = data.draw(st.sampled_from(["Mono8", "BayerRG8", "BayerGB8"]))
    geometry = Geometry(data.draw(st.sampled_from([1, 3])), 96, 96, roi=roi, picture=picture)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    watched = np.ones((height, width), np.bool_)
    left, top = rng.integers(0, width), rng.integers(0, height)
    watched[top : top + rng.integers(1, 60), left : left + rng.integers(1, 60)] = False
    try:
        kept = project(watched, geometry)
    except ModelError:
        return  # nothing is left
    image = rng.integers(0, 256, (height, width), np.uint8)
    other = np.where(watched, image, rng.integers(0, 256, image.shape, np.uint8))
    before, after = (to_input(each, geometry, name)[0][kept] for each in (image, other))
    np.testing.assert_array_equal(before, after)


def test_little_more_than_the_mask_is_ignored() -> None:
    geometry = Geometry(1, 100, 100)
    watched = np.ones((400, 400), np.bool_)
    watched[100:200, 100:200] = False
    ignored = ~project(watched, geometry)
    assert ignored[25:50, 25:50].all()
    rows, columns = np.nonzero(ignored)
    assert rows.min() >= 22
    assert columns.max() <= 52


def test_only_the_picture_is_watched_of_a_larger_input() -> None:
    assert filled_only(Geometry(1, 64, 96)) is None
    watched = filled_only(GEOMETRY)
    assert watched is not None
    assert watched[:64, :85].all()
    assert not watched[:, 85:].any()
    np.testing.assert_array_equal(cells_watched(watched, (4, 6)), np.ones((4, 6)))
    np.testing.assert_array_equal(cells_watched(watched, (4, 12))[:, -1:], np.zeros((4, 1)))


def test_polygons_and_pictures_say_the_same(tmp_path: Path) -> None:
    drawn = np.full((60, 80), 255, np.uint8)
    drawn[10:20, 30:50] = 0
    cv2.imwrite(str(tmp_path / "mask.png"), drawn)
    (tmp_path / "mask.json").write_text(json.dumps([[[30, 10], [50, 10], [50, 20], [30, 20]]]))
    of_picture = read_mask(tmp_path / "mask.png", (80, 60))
    of_polygon = read_mask(tmp_path / "mask.json", (80, 60))
    assert not of_picture[10:20, 30:50].any()
    assert (of_polygon <= of_picture).all(), "at least what the polygon holds is ignored"
    assert (of_picture & ~of_polygon).sum() <= 2 * (10 + 20) + 4


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[[1, 2], [3, 4]]]", "expected polygons as in"),
        ("{", "expected polygons as in"),
        ("[[[1, 2], [3, 4], [5, NaN]]]", "expected polygons as in"),
        ('["abc"]', "expected polygons as in"),
        ("[[[-1, -1], [99, -1], [99, 99], [-1, 99]]]", "ignores everything"),
    ],
)
def test_a_file_that_is_no_mask_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "mask.json").write_text(text)
    with pytest.raises(ImagesError, match=told):
        read_mask(tmp_path / "mask.json", (80, 60))


def test_a_mask_of_another_size_or_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "mask.png"), np.full((60, 80), 255, np.uint8))
    with pytest.raises(
        ImagesError, match="expected a mask of 81 x 60 pixels like the images, it has 80 x 60"
    ):
        read_mask(tmp_path / "mask.png", (81, 60))
    watched = np.ones(FRAME[::-1], np.bool_)
    watched[20:170, 10:210] = False
    with pytest.raises(ModelError, match="leaves nothing of the region"):
        project(watched, GEOMETRY)


def test_a_mask_that_leaves_no_patch_is_refused() -> None:
    watched = np.zeros((64, 96), np.bool_)
    watched[20:23, 20:23] = True  # 9 of a cell's 256 pixels
    with pytest.raises(ModelError, match="leaves less to watch than a patch"):
        cells_watched(watched, (4, 6))
