"""The fused graph computes what its parts say, and keeps the engine's contract."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.errors import ModelError
from inspector.model.bank import Bank, build_bank
from inspector.model.graph import features_graph, fused_graph, head_graph, split_features
from inspector.model.lite import lite0
from inspector.model.methods.base import Detector, Scale
from inspector.model.methods.nearest import NearestHead
from inspector.model.score_nodes import Exposure
from inspector.model.scoring import compiled, compiled_head
from inspector.model.spec import ModelSpec, model_spec
from inspector.model.whitening import Moments, Whitening, whitening

BACKBONE = lite0()
SPEC = model_spec(BACKBONE, 1, [(64, 96)])
BRANCH = SPEC.branches[0]


def features_of(image: NDArray[np.uint8], spec: ModelSpec = SPEC) -> list[NDArray[np.float32]]:
    """Return each branch's feature vectors (cells, depth)."""
    with compiled(features_graph(spec), spec.geometry) as engine:
        return split_features(spec, engine.score(image).heatmap)


@pytest.fixture(scope="module")
def images() -> list[NDArray[np.uint8]]:
    """Eight views of one striped texture, with noise."""
    rng = np.random.default_rng(0)
    stripes = 120 + 40 * np.sin(np.arange(96) / 5)[None, :] + np.zeros((64, 1))
    return [np.clip(stripes + rng.normal(0, 12, (64, 96)), 0, 255).astype(np.uint8) for _ in range(8)]


@pytest.fixture(scope="module")
def features(images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    with compiled(features_graph(SPEC), SPEC.geometry) as engine:
        return np.stack([split_features(SPEC, engine.score(image).heatmap)[0] for image in images])


@pytest.fixture(scope="module")
def detector(features: NDArray[np.float32]) -> Detector:
    return Detector((head_of(features[:6].reshape(-1, BRANCH.depth), 40),))


def head_of(flat: NDArray[np.float32], bank: int) -> NearestHead:
    white = whitening(Moments.of(flat))
    return NearestHead(white, build_bank(white.apply(flat), bank, np.random.default_rng(0)))


def expected_heatmap(features: NDArray[np.float32], white: Whitening, bank: Bank) -> NDArray[np.float32]:
    """Whiten, measure, take the least, blur: each step in the plainest way."""
    patches = white.apply(features)
    distances = np.linalg.norm(patches[:, None] - bank.entries[None], axis=2) / bank.spacing
    plane = distances.min(axis=1).reshape(SPEC.grid).astype(np.float32)
    kernel = np.outer([1, 2, 1], [1, 2, 1]).astype(np.float32) / 16
    blurred: NDArray[np.float32] = cv2.filter2D(plane, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    return blurred


def test_the_graph_computes_what_its_parts_say(
    images: list[NDArray[np.uint8]], features: NDArray[np.float32], detector: Detector
) -> None:
    (head,) = detector.heads
    assert isinstance(head, NearestHead)
    with compiled(fused_graph(SPEC, detector), SPEC.geometry) as engine:
        for image, of_image in zip(images[4:], features[4:], strict=True):
            score = engine.score(image)
            expected = expected_heatmap(of_image, head.whitening, head.bank)
            np.testing.assert_allclose(score.heatmap, expected, rtol=1e-3, atol=2e-3)
            assert score.value == pytest.approx(float(score.heatmap.max()))


def test_features_are_pooled_taps_on_one_grid(features: NDArray[np.float32]) -> None:
    assert SPEC.grid == (4, 6)
    assert features.shape == (8, 24, 80 + 112 + 192)


def test_a_defect_shows_where_it_is(images: list[NDArray[np.uint8]], detector: Detector) -> None:
    scratched = images[7].copy()
    scratched[36:44, 68:76] = 255
    with compiled(fused_graph(SPEC, detector), SPEC.geometry) as engine:
        good, bad = engine.score(images[7]), engine.score(scratched)
    assert bad.value > 1.5 * good.value
    # Within a cell: at the border a neighbourhood is smaller, and the defect is more of it.
    row, column = divmod(int(bad.heatmap.argmax()), SPEC.grid[1])
    assert max(abs(row - 2), abs(column - 4)) <= 1


def test_a_weaker_lamp_changes_nothing_and_darkness_is_odd(
    images: list[NDArray[np.uint8]], detector: Detector
) -> None:
    with compiled(fused_graph(SPEC, detector), SPEC.geometry) as engine:
        usual = engine.score(images[6]).value
        dimmed = engine.score(np.rint(images[6] * 0.6 + 10).astype(np.uint8)).value
        dark = engine.score(np.zeros((64, 96), np.uint8)).value
    assert dimmed == pytest.approx(usual, rel=0.05)
    assert dark > 1.5 * usual


def test_a_failed_lamp_rejects_though_noise_looks_like_noise() -> None:
    """A part without any structure: only its brightness can tell a good image from a dark one."""
    spec = model_spec(BACKBONE, 1, [(64, 64)], [("4", "7")])
    rng = np.random.default_rng(0)

    def photograph(brightness: float) -> NDArray[np.uint8]:
        return np.clip(brightness + rng.normal(0, 5, (64, 64)), 0, 255).astype(np.uint8)

    with compiled(features_graph(spec), spec.geometry) as engine:
        rows = [engine.score(photograph(120)).heatmap for _ in range(20)]
    flat = np.concatenate([split_features(spec, row)[0] for row in rows])
    detector = Detector((head_of(flat, 200),))
    plain, guarded = (
        fused_graph(spec, detector, exposure) for exposure in (None, Exposure(110, 130, limit=50.0))
    )
    with compiled(plain, spec.geometry) as engine:
        usual, dark = engine.score(photograph(120)).value, engine.score(photograph(25)).value
        assert dark < 1.5 * usual, "without exposure darkness would pass: this is what it is for"
    with compiled(guarded, spec.geometry) as engine:
        assert engine.score(photograph(112)).value == pytest.approx(usual, rel=0.3)
        assert engine.score(photograph(55)).value == pytest.approx(50, rel=0.01)
        assert engine.score(photograph(192.5)).value == pytest.approx(50, rel=0.01)
        assert engine.score(photograph(25)).value > 70
        assert (engine.score(photograph(25)).heatmap > 70).all()


@pytest.mark.parametrize(("taps", "grid"), [(("7", "10", "14"), (4, 6)), (("4",), (8, 12))])
def test_other_taps_in_colour(taps: tuple[str, ...], grid: tuple[int, int]) -> None:
    spec = model_spec(BACKBONE, 3, [(64, 96)], [taps])
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3)).astype(np.uint8)
    (found,) = features_of(image, spec)
    assert spec.grid == grid
    assert found.shape == (grid[0] * grid[1], spec.branches[0].depth)


def test_red_and_blue_are_not_swapped_or_mixed() -> None:
    spec = model_spec(BACKBONE, 3, [(64, 64)], [("4",)])
    image = np.zeros((64, 64, 3), np.uint8)
    image[16:48, 16:48, 0] = 200
    (red,), (blue,) = features_of(image, spec), features_of(np.ascontiguousarray(image[..., ::-1]), spec)
    assert np.abs(red - blue).max() > 0.1 * np.abs(red).max()


def test_a_size_that_cuts_the_grid_is_refused() -> None:
    with pytest.raises(ModelError, match="steps of 32 pixels, got 100 x 64"):
        model_spec(BACKBONE, 1, [(64, 100)])


def test_the_head_alone_says_the_same_of_features_that_were_kept(
    images: list[NDArray[np.uint8]], features: NDArray[np.float32], detector: Detector
) -> None:
    with (
        compiled(fused_graph(SPEC, detector), SPEC.geometry) as engine,
        compiled_head(head_graph(SPEC, detector)) as head,
    ):
        whole, half = engine.score(images[7]), head.score(features[7])
    np.testing.assert_allclose(half.heatmap, whole.heatmap, rtol=1e-4)
    assert half.value == pytest.approx(whole.value, rel=1e-4)


def test_pooling_is_the_power_mean_of_the_heat_map(features: NDArray[np.float32], detector: Detector) -> None:
    spec = model_spec(BACKBONE, 1, [(64, 96)], pooling=4.0)
    with compiled_head(head_graph(spec, detector)) as head:
        score = head.score(features[7])
    assert score.value == pytest.approx(float((score.heatmap**4).mean() ** 0.25), rel=1e-4)
    assert score.value < 0.99 * score.heatmap.max()


def test_a_pooling_below_the_mean_is_refused() -> None:
    with pytest.raises(ModelError, match=r"exponent of 1 or more, got 0\.5"):
        model_spec(BACKBONE, 1, [(64, 96)], pooling=0.5)


def test_two_scales_are_combined_as_standardised_logarithms(images: list[NDArray[np.uint8]]) -> None:
    """Each branch alone, then the formula in NumPy; both branches have the finer one's grid only after a resize."""
    spec = model_spec(BACKBONE, 1, [(64, 96), (128, 192)], [("7",), ("4", "7")])
    assert (spec.height, spec.width, spec.grid) == (128, 192, (8, 12))
    flat = [np.concatenate(parts) for parts in zip(*(features_of(i, spec) for i in images[:4]), strict=True)]
    heads = tuple(head_of(part, 30) for part in flat)
    scales = (Scale(0.3, 0.2), Scale(0.1, 0.6))
    row = np.concatenate([part.reshape(-1) for part in features_of(images[7], spec)])
    standard = []
    for branch, head, scale, part in zip(
        spec.branches, heads, scales, split_features(spec, row), strict=True
    ):
        with compiled_head(head_graph(spec.alone(branch), Detector((head,)))) as engine:
            logarithm = np.log(engine.score(part).heatmap)
        plane = (logarithm - np.float32(scale.mean)) / np.float32(scale.deviation)
        standard.append(cv2.resize(plane, spec.grid[::-1], interpolation=cv2.INTER_LINEAR))
    expected = np.exp((standard[0] + standard[1]) / 2 * 0.4)
    with compiled(fused_graph(spec, Detector(heads, scales)), spec.geometry) as engine:
        score = engine.score(images[7])
    np.testing.assert_allclose(score.heatmap, expected, rtol=2e-3)


def test_a_smaller_branch_sees_the_image_averaged() -> None:
    """A pattern of single pixels is nearly gone at 0.4 of the size, not aliased."""
    spec = model_spec(BACKBONE, 1, [(64, 96), (160, 240 - 16)], [("4",)])
    rng = np.random.default_rng(0)
    coarse = np.kron(rng.integers(60, 200, (10, 14)), np.ones((16, 16)))
    fine = coarse + 25 * (-1) ** np.add.outer(np.arange(160), np.arange(224))
    (plain, _), (patterned, _) = (
        features_of(np.clip(image, 0, 255).astype(np.uint8), spec) for image in (coarse, fine)
    )
    assert np.corrcoef(plain.ravel(), patterned.ravel())[0, 1] > 0.95
