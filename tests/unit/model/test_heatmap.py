import numpy as np
import pytest

from inspector.model.heatmap import overlay


@pytest.mark.parametrize("shape", [(60, 80), (60, 80, 3)])
def test_only_what_is_odd_is_coloured(shape: tuple[int, ...]) -> None:
    image = np.full(shape, 100, np.uint8)
    heatmap = np.full((6, 8), 0.1, np.float32)
    heatmap[1, 6] = 4.0
    drawn = overlay(image, heatmap, threshold=1.0)
    assert drawn.shape == (60, 80, 3)
    assert drawn.dtype == np.uint8
    assert (drawn[40:, :40] == 100).all(), "a calm place keeps its pixels"
    assert np.ptp(drawn[15, 65]) > 50, "an odd place is coloured"
    assert (drawn == 255).all(axis=2).any(), "what is above the threshold has an outline"
    assert (image == 100).all(), "the image itself is not touched"


def test_nothing_odd_nothing_drawn() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    np.testing.assert_array_equal(overlay(image, np.full((4, 4), 0.5, np.float32), 1.0), image[..., ::-1])
