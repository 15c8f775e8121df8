import numpy as np
import pytest

from inspector.errors import ModelError
from inspector.model.whitening import Moments, whitening


def correlated(count: int = 5000, depth: int = 6) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((count, depth)) @ rng.standard_normal((depth, depth)) + 3).astype(np.float32)


def test_without_shrinkage_whitened_features_have_unit_covariance() -> None:
    features = correlated()
    white = whitening(Moments.of(features), shrinkage=0).apply(features)
    assert white.dtype == np.float32
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.eye(6), atol=1e-3)


def test_shrinkage_keeps_a_direction_without_variance_finite() -> None:
    features = correlated()
    features[:, 2] = 1.0
    plan = whitening(Moments.of(features), shrinkage=0.05)
    variances = np.linalg.eigvalsh(np.cov(features.T, bias=True))
    assert np.isfinite(plan.projection).all()
    assert np.linalg.norm(plan.projection, 2) == pytest.approx(1 / np.sqrt(0.05 * variances.mean()), rel=1e-3)


def test_moments_of_a_union_are_the_sum() -> None:
    features = correlated(100)
    both = Moments.of(features[:30]) + Moments.of(features[30:]) + Moments.empty(6)
    whole = Moments.of(features)
    assert both.count == whole.count == 100
    np.testing.assert_allclose(both.total, whole.total)
    np.testing.assert_allclose(both.outer, whole.outer)


def test_features_that_are_all_the_same_are_refused() -> None:
    with pytest.raises(ModelError, match="all the same"):
        whitening(Moments.of(np.ones((50, 4), np.float32)))
