"""Change of size: right on the average, no aliasing, and always the size that was asked for."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from inspector.engine.resize import resize, whole_step


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize(
    ("size", "target", "step"),
    [
        (1920, 256, 6),
        (1200, 256, 4),
        (512, 256, 2),
        (511, 256, 1),
        (256, 256, 1),
        (100, 256, 1),
        (997, 64, 1),
    ],
)
def test_thewhole_step_divides_the_size_and_leaves_the_target(size: int, target: int, step: int) -> None:
    assert whole_step(size, target) == step


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("step", [(2, 2), (3, 3), (4, 6), (1, 5)])
def testwhole_steps_are_the_mean_of_their_pixels(step: tuple[int, int], channels: tuple[int, ...]) -> None:
    down, across = step
    image = noise(20 * down, 30 * across, *channels)
    mean = image.reshape(20, down, 30, across, *channels).mean(axis=(1, 3))
    # a half for each rounding: halving first rounds twice
    assert np.abs(resize(image, 20, 30).astype(float) - mean).max() <= 1.01


@pytest.mark.parametrize("factor", [1.2, 1.5, 1.9, 2.3, 5.6])
def test_stripes_finer_than_the_result_can_show_become_grey(factor: float) -> None:
    size = round(128 * factor)
    stripes = np.tile(np.array([[0, 255]], np.uint8), (size, (size + 1) // 2))[:, :size]
    left = resize(stripes, 128, 128).astype(float).std() / stripes.std()
    reference = (
        cv2.resize(stripes, (128, 128), interpolation=cv2.INTER_AREA).astype(float).std() / stripes.std()
    )
    assert left <= max(0.6, reference + 0.1)
    if factor > 1.25:
        assert left < 0.5


def test_nothing_moves() -> None:
    """A bright spot stays at its relative place, to a fifth of a pixel of the result."""
    image = np.zeros((600, 900), np.uint8)
    image[432:444, 162:180] = 255
    small = resize(image, 128, 150).astype(float)
    rows, columns = np.indices(small.shape)
    assert (rows * small).sum() / small.sum() + 0.5 == pytest.approx(438 / 600 * 128, abs=0.2)
    assert (columns * small).sum() / small.sum() + 0.5 == pytest.approx(171 / 900 * 150, abs=0.2)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    colour=st.booleans(),
    height=st.integers(1, 80),
    width=st.integers(1, 80),
)
def test_any_size_becomes_any_other_within_the_range_of_the_image(
    shape: tuple[int, int], colour: bool, height: int, width: int
) -> None:
    image = np.clip(noise(*shape, *((3,) if colour else ())), 40, 200)
    before = image.copy()
    out = np.zeros((height, width, *image.shape[2:]), np.uint8)
    result = resize(image, height, width, out)
    assert np.shares_memory(result, out)
    np.testing.assert_array_equal(out, resize(image, height, width))
    assert out.min() >= image.min()
    assert out.max() <= image.max()
    np.testing.assert_array_equal(image, before)
