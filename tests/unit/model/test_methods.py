"""Every method keeps the promises of methods/base.py; each one's nodes compute what its definition says."""

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from inspector.errors import ModelError
from inspector.model.backbone import Tap
from inspector.model.graph import head_graph
from inspector.model.lite import lite0
from inspector.model.methods.base import Detector, Head, method_named
from inspector.model.methods.gaussian import GaussianHead, PositionHead
from inspector.model.methods.reconstruction import ReconstructionHead
from inspector.model.onnx_nodes import Nodes
from inspector.model.options import METHODS
from inspector.model.positions import GatheredPositions
from inspector.model.progress import uncounted
from inspector.model.scoring import compiled_head
from inspector.model.spec import Branch, ModelSpec
from inspector.model.training import Gathered, Training

BRANCH = Branch(64, 96, (Tap("any", 12, 4, 6),))
SPEC = ModelSpec(1, 64, 96, (BRANCH,), lite0())
BARRED = np.zeros(2, np.bool_)
Patches = NDArray[np.float32]


def image(rng: np.random.Generator) -> Patches:
    """Return the features (24, 12) of a good part: five directions of variation, and a mean that differs by place."""
    mixing = np.linspace(-1, 1, 60).reshape(5, 12)
    place = np.linspace(0, 30, 24)[:, None] * np.linspace(-1, 1, 12)
    features = place + rng.normal(size=(24, 5)) @ mixing + 0.1 * rng.normal(size=(24, 12))
    return features.astype(np.float32)


@pytest.fixture(scope="module")
def training() -> Training:
    """Forty good images in two groups."""
    rng = np.random.default_rng(0)
    gathered = Gathered(BRANCH, 2, 40, 0, positions=GatheredPositions(BRANCH, 2, seed=0))
    for index in range(40):
        gathered.add(image(rng), index % 2, rng)
    return gathered.without(BARRED)


def distances(head: Head, features: Patches) -> NDArray[np.float32]:
    """Return the plane (4, 6) before it is blurred."""
    nodes = Nodes()
    plane = nodes.add("Identity", head.add(nodes, "x", BRANCH))
    model = nodes.model("head", {"x": (1, 12, 4, 6)}, {plane: (1, 1, 4, 6)})
    grid = features.T.reshape(1, 12, 4, 6)
    (found,) = ReferenceEvaluator(model).run(None, {"x": grid})
    return np.array(found, np.float32).reshape(4, 6)


@pytest.mark.parametrize("name", METHODS)
def test_good_parts_are_near_one_and_odd_ones_far(name: str, training: Training) -> None:
    head = method_named(name, bank=300, seed=0).fit(training, uncounted)
    rng = np.random.default_rng(1)
    good = distances(head, image(rng))
    odd = image(rng)
    odd[8] += 3 * np.float32((-1) ** np.arange(12))
    bad = distances(head, odd)
    assert head.size > 0
    assert 0.2 < np.median(good) < 2.5
    assert bad[1, 2] > 2 * good.max()
    assert np.delete(bad.ravel(), 8).max() < bad[1, 2] / 1.5


@pytest.mark.parametrize("name", METHODS)
def test_the_engine_gives_a_finite_score_for_any_features(name: str, training: Training) -> None:
    head = method_named(name, bank=100, seed=0).fit(training, uncounted)
    with compiled_head(head_graph(SPEC, Detector((head,)))) as engine:
        for features in (np.zeros((24, 12)), np.full((24, 12), 1e4), image(np.random.default_rng(2))):
            score = engine.score(features.astype(np.float32))
            assert score.value >= 0
            assert score.heatmap.shape == (4, 6)


@pytest.mark.parametrize("name", METHODS)
def test_progress_is_counted_to_the_end(name: str, training: Training) -> None:
    steps: list[int] = []
    method = method_named(name, bank=50, seed=0)
    method.fit(training, steps.append)
    assert sum(steps) == method.steps


def test_gaussian_is_the_distance_of_mahalanobis(training: Training) -> None:
    head = method_named("gaussian", bank=0, seed=0).fit(training, uncounted)
    assert isinstance(head, GaussianHead)
    features = image(np.random.default_rng(3))
    precision = head.whitening.projection @ head.whitening.projection.T
    centred = features - training.moments.total / training.moments.count
    expected = np.sqrt(np.einsum("ij,jk,ik->i", centred, precision, centred) / 12)
    np.testing.assert_allclose(distances(head, features).ravel(), expected, rtol=1e-3)


def test_gaussian_position_knows_each_place(training: Training) -> None:
    """The patch of one place, seen at another, is odd there, though it is a good patch."""
    place, anywhere = (
        method_named(f"gaussian{kind}", bank=0, seed=0).fit(training, uncounted) for kind in ("-position", "")
    )
    assert isinstance(place, PositionHead)
    good = image(np.random.default_rng(4))
    moved = good.copy()
    moved[0] = good[23]
    assert distances(place, moved)[0, 0] > 10 * distances(place, good)[0, 0]
    assert distances(anywhere, moved)[0, 0] < 3 * distances(anywhere, good).max()
    low = (good - place.mean @ place.basis.T) @ place.basis
    white = np.einsum("ij,ijk->ik", low, place.whitening)
    expected = np.linalg.norm(white, axis=1) / place.size**0.5
    np.testing.assert_allclose(distances(place, good).ravel(), expected, rtol=1e-3)


def test_the_sums_of_each_place_give_its_covariance() -> None:
    rng = np.random.default_rng(5)
    images = [image(rng) for _ in range(30)]
    gathered = GatheredPositions(BRANCH, 2, seed=0)
    for index, features in enumerate(images):
        gathered.add(features, index % 2)
    positions = gathered.without(np.array([False, True]))
    assert positions is not None
    mean, covariance = positions.moments.mean_and_covariance()
    low = np.stack([features @ positions.basis for features in images[::2]])
    np.testing.assert_allclose(mean + positions.moments.centre, low.mean(axis=0), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(covariance[7], np.cov(low[:, 7].T, bias=True), rtol=1e-2, atol=1e-3)


def test_reconstruction_is_what_the_subspace_leaves(training: Training) -> None:
    head = method_named("reconstruction", bank=0, seed=0).fit(training, uncounted)
    assert isinstance(head, ReconstructionHead)
    moments = training.moments
    mean = moments.total / moments.count
    covariance = moments.outer / moments.count - np.outer(mean, mean)
    spread = np.sqrt(np.diag(covariance))
    components = np.linalg.eigh(covariance / np.outer(spread, spread))[1][:, -head.kept :]
    features = image(np.random.default_rng(6))

    def residual(patches: NDArray[np.float64]) -> NDArray[np.float64]:
        unit = (patches - mean) / spread
        left: NDArray[np.float64] = np.linalg.norm(unit - unit @ components @ components.T, axis=1)
        return left

    expected = residual(features.astype(np.float64))
    found = distances(head, features).ravel()
    np.testing.assert_allclose(found / found[0], expected / expected[0], rtol=1e-3)
    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(1, abs=0.5)


@pytest.mark.parametrize("name", ["nearest", "gaussian", "reconstruction"])
def test_parts_that_differ_in_nothing_are_refused(name: str) -> None:
    rng = np.random.default_rng(0)
    gathered = Gathered(BRANCH, 1, 2, 0)
    for _ in range(2):
        gathered.add(np.ones((24, 12), np.float32), 0, rng)
    with pytest.raises(ModelError, match="differ in something"):
        method_named(name, bank=10, seed=0).fit(gathered.without(None), uncounted)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ModelError, match=r"among nearest, .*, got 'guess'"):
        method_named("guess", bank=10, seed=0)
