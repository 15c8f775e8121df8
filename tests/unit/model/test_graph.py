"""The fused graph computes what its parts say, and keeps the engine's contract."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.errors import ModelError
from inspector.model.backbone import Weights, read_backbone
from inspector.model.bank import Bank, build_bank
from inspector.model.graph import Exposure, FeatureSpec, features_graph, fused_graph
from inspector.model.scoring import compiled
from inspector.model.whitening import Moments, Whitening, whitening

SPEC = FeatureSpec(channels=1, height=64, width=96, taps=(4, 7, 10))


@pytest.fixture(scope="module")
def weights() -> Weights:
    return read_backbone()


@pytest.fixture(scope="module")
def images() -> list[NDArray[np.uint8]]:
    """Eight views of one striped texture, with noise."""
    rng = np.random.default_rng(0)
    stripes = 120 + 40 * np.sin(np.arange(96) / 5)[None, :] + np.zeros((64, 1))
    return [np.clip(stripes + rng.normal(0, 12, (64, 96)), 0, 255).astype(np.uint8) for _ in range(8)]


@pytest.fixture(scope="module")
def features(weights: Weights, images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    with compiled(features_graph(SPEC, weights), SPEC) as engine:
        return np.stack([engine.score(image).heatmap for image in images])


@pytest.fixture(scope="module")
def head(features: NDArray[np.float32]) -> tuple[Whitening, Bank]:
    flat = features[:6].reshape(-1, SPEC.depth)
    white = whitening(Moments.of(flat))
    return white, build_bank(white.apply(flat), 40, np.random.default_rng(0))


def expected_heatmap(features: NDArray[np.float32], white: Whitening, bank: Bank) -> NDArray[np.float32]:
    """Whiten, measure, take the least, blur: each step in the plainest way."""
    patches = white.apply(features)
    distances = np.linalg.norm(patches[:, None] - bank.entries[None], axis=2) / bank.spacing
    plane = distances.min(axis=1).reshape(SPEC.grid).astype(np.float32)
    kernel = np.outer([1, 2, 1], [1, 2, 1]).astype(np.float32) / 16
    blurred: NDArray[np.float32] = cv2.filter2D(plane, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    return blurred


def test_the_graph_computes_what_its_parts_say(
    weights: Weights,
    images: list[NDArray[np.uint8]],
    features: NDArray[np.float32],
    head: tuple[Whitening, Bank],
) -> None:
    with compiled(fused_graph(SPEC, weights, *head), SPEC) as engine:
        for image, of_image in zip(images[4:], features[4:], strict=True):
            score = engine.score(image)
            expected = expected_heatmap(of_image, *head)
            np.testing.assert_allclose(score.heatmap, expected, rtol=1e-3, atol=2e-3)
            assert score.value == pytest.approx(float(score.heatmap.max()))


def test_features_are_pooled_taps_on_one_grid(features: NDArray[np.float32]) -> None:
    assert SPEC.grid == (4, 6)
    assert features.shape == (8, 24, 40 + 80 + 112)


def test_a_defect_shows_where_it_is(
    weights: Weights, images: list[NDArray[np.uint8]], head: tuple[Whitening, Bank]
) -> None:
    scratched = images[7].copy()
    scratched[36:44, 68:76] = 255
    with compiled(fused_graph(SPEC, weights, *head), SPEC) as engine:
        good, bad = engine.score(images[7]), engine.score(scratched)
    assert bad.value > 1.5 * good.value
    assert divmod(int(bad.heatmap.argmax()), SPEC.grid[1]) == (2, 4)


def test_a_weaker_lamp_changes_nothing_and_darkness_is_odd(
    weights: Weights, images: list[NDArray[np.uint8]], head: tuple[Whitening, Bank]
) -> None:
    with compiled(fused_graph(SPEC, weights, *head), SPEC) as engine:
        usual = engine.score(images[6]).value
        dimmed = engine.score(np.rint(images[6] * 0.6 + 10).astype(np.uint8)).value
        dark = engine.score(np.zeros((64, 96), np.uint8)).value
    assert dimmed == pytest.approx(usual, rel=0.05)
    assert dark > 1.5 * usual


def test_a_failed_lamp_rejects_though_noise_looks_like_noise(weights: Weights) -> None:
    """A part without any structure: only its brightness can tell a good image from a dark one."""
    spec = FeatureSpec(channels=1, height=64, width=64, taps=(4, 7))
    rng = np.random.default_rng(0)

    def photograph(brightness: float) -> NDArray[np.uint8]:
        return np.clip(brightness + rng.normal(0, 5, (64, 64)), 0, 255).astype(np.uint8)

    with compiled(features_graph(spec, weights), spec) as engine:
        flat = np.concatenate([engine.score(photograph(120)).heatmap for _ in range(20)])
    white = whitening(Moments.of(flat))
    bank = build_bank(white.apply(flat), 200, np.random.default_rng(0))
    plain, guarded = (
        fused_graph(spec, weights, white, bank, exposure)
        for exposure in (None, Exposure(110, 130, limit=50.0))
    )
    with compiled(plain, spec) as engine:
        usual, dark = engine.score(photograph(120)).value, engine.score(photograph(25)).value
        assert dark < 1.5 * usual, "without exposure darkness would pass: this is what it is for"
    with compiled(guarded, spec) as engine:
        assert engine.score(photograph(112)).value == pytest.approx(usual, rel=0.3)
        assert engine.score(photograph(55)).value == pytest.approx(50, rel=0.01)
        assert engine.score(photograph(192.5)).value == pytest.approx(50, rel=0.01)
        assert engine.score(photograph(25)).value > 70
        assert (engine.score(photograph(25)).heatmap > 70).all()


@pytest.mark.parametrize(("taps", "grid"), [((7, 10, 14), (4, 6)), ((4,), (8, 12))])
def test_other_taps_in_colour(weights: Weights, taps: tuple[int, ...], grid: tuple[int, int]) -> None:
    spec = FeatureSpec(channels=3, height=64, width=96, taps=taps)
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3)).astype(np.uint8)
    with compiled(features_graph(spec, weights), spec) as engine:
        found = engine.score(image).heatmap
    assert spec.grid == grid
    assert found.shape == (grid[0] * grid[1], spec.depth)


def test_red_and_blue_are_not_swapped_or_mixed(weights: Weights) -> None:
    spec = FeatureSpec(channels=3, height=64, width=64, taps=(4,))
    image = np.zeros((64, 64, 3), np.uint8)
    image[16:48, 16:48, 0] = 200
    with compiled(features_graph(spec, weights), spec) as engine:
        red, blue = engine.score(image).heatmap, engine.score(np.ascontiguousarray(image[..., ::-1])).heatmap
    assert np.abs(red - blue).max() > 0.1 * np.abs(red).max()


def test_a_size_that_cuts_the_grid_is_refused() -> None:
    with pytest.raises(ModelError, match="steps of 32 pixels, got 100 x 64"):
        FeatureSpec(channels=1, height=64, width=100, taps=(4,))
