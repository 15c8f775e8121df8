"""Where a part lies: known shifts and turns are found again, and what lies too far is refused."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from inspector.engine.alignment import Alignment, look_at, look_shape, move, rotation
from inspector.engine.place import Affine, apply, compose, invert, shift
from inspector.engine.preprocess import Geometry, prepare, to_input
from inspector.errors import EngineInputError, PoseError

WIDTH, HEIGHT = 480, 360
WHOLE = (0, 0, WIDTH, HEIGHT)


def part() -> NDArray[np.uint8]:
    """Return a plate with holes on a dark belt."""
    image = np.full((HEIGHT, WIDTH), 40, np.uint8)
    cv2.rectangle(image, (140, 110), (340, 250), 150, -1)
    cv2.circle(image, (190, 150), 18, 60, -1)
    cv2.circle(image, (300, 200), 10, 220, -1)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 1.5), np.uint8)


def pose(dx: float, dy: float, degrees: float) -> Affine:
    return compose(shift(dx, dy), rotation(degrees, (WIDTH / 2, HEIGHT / 2)))


def seen_at(true: Affine, gain: float = 1.0) -> NDArray[np.uint8]:
    """Return the frame in which the part of the reference lies at `true`, with a camera's noise."""
    noise = np.random.default_rng(3).normal(0, 3, (HEIGHT, WIDTH))
    return np.clip(move(part(), invert(true), WHOLE) * gain + noise, 0, 255).astype(np.uint8)


def alignment(limit_px: float = 60, limit_deg: float = 8) -> Alignment:
    return Alignment(look_at(part()).astype(np.uint8), (WIDTH, HEIGHT), limit_px, limit_deg)


@settings(max_examples=25, deadline=None)
@given(dx=st.floats(-30, 30), dy=st.floats(-30, 30), degrees=st.floats(-7, 7), gain=st.floats(0.6, 1.3))
def test_known_shifts_and_turns_are_found_to_a_part_of_a_pixel(
    dx: float, dy: float, degrees: float, gain: float
) -> None:
    true = pose(dx, dy, degrees)
    found = alignment().find(seen_at(true, gain))
    for x, y in ((140, 110), (340, 110), (140, 250), (340, 250)):
        assert math.dist(apply(found, x, y), apply(true, x, y)) < 0.35


def test_the_graph_sees_a_moved_part_as_it_sees_the_reference() -> None:
    geometry = Geometry(1, 96, 128, roi=(120, 90, 240, 180), frame=(WIDTH, HEIGHT), alignment=alignment())
    usual = to_input(part(), geometry).astype(float)
    out = np.empty(geometry.input_shape, np.uint8)
    true = pose(21.3, -14.6, 5.2)
    to_frame = prepare(seen_at(true), geometry, out)
    apart = np.abs(out - usual)
    assert np.quantile(apart, 0.99) < 14, "noise of 3 grey levels, and edges a part of a pixel apart"
    assert apart.mean() < 3
    centre = apply(to_frame, 64, 48)
    assert centre == pytest.approx(apply(true, 240, 180), abs=0.5)


@pytest.mark.parametrize(
    "true", [pose(25, 0, 0), pose(0, -25, 0), pose(16, 16, 0), pose(0, 0, 4), pose(3, 3, -4)]
)
def test_a_part_beyond_the_limit_is_refused_with_where_it_lies(true: Affine) -> None:
    with pytest.raises(PoseError, match=r"the part lies .* 20 and 3 are allowed"):
        alignment(20, 3).find(seen_at(true))
    alignment(30, 5).find(seen_at(true))


def test_another_picture_or_none_is_refused() -> None:
    rng = np.random.default_rng(0)
    other = cv2.GaussianBlur(rng.uniform(0, 255, (HEIGHT, WIDTH)).astype(np.float32), (0, 0), 6)
    stretched = np.clip((other - other.mean()) * 6 + 128, 0, 255).astype(np.uint8)
    with pytest.raises(PoseError, match="no part like the reference"):
        alignment().find(stretched)
    with pytest.raises(PoseError, match="of one grey"):
        alignment().find(np.full((HEIGHT, WIDTH), 90, np.uint8))


def test_what_is_not_watched_does_not_pull() -> None:
    """A label that sits elsewhere on each part: unwatched, the pose is that of the part."""
    labelled = part()
    labelled[200:240, 230:300] = 255
    watched = np.full(look_shape((WIDTH, HEIGHT)), 255, np.uint8)
    ys, xs = (
        slice(round(a * watched.shape[0] / HEIGHT), round(b * watched.shape[0] / HEIGHT))
        for a, b in ((190, 250), (215, 315))
    )
    watched[ys, xs] = 0
    plain = Alignment(look_at(labelled).astype(np.uint8), (WIDTH, HEIGHT), 60, 8)
    blind = Alignment(look_at(labelled).astype(np.uint8), (WIDTH, HEIGHT), 60, 8, watched)
    moved = part()
    moved[204:244, 218:288] = 255
    apart = [math.dist(apply(each.find(moved), 240, 180), (240, 180)) for each in (plain, blind)]
    assert apart[1] < 0.2 < apart[0]


def test_an_impossible_alignment_is_refused() -> None:
    with pytest.raises(EngineInputError, match="the reference is"):
        Alignment(np.zeros((10, 10), np.uint8), (WIDTH, HEIGHT), 10, 5)
    with pytest.raises(EngineInputError, match="limit above 0 pixels and of 0 to 45 degrees"):
        alignment(limit_px=0)
    with pytest.raises(EngineInputError, match="needs the size of the frame"):
        Geometry(1, 8, 8, alignment=alignment())
