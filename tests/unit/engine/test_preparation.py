"""The preprocessing kernel against the CPU path (OpenCV): its own source, compiled for the host."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from inspector.engine.alignment import Alignment
from inspector.engine.preparation import BLOCK, FLOAT_NCHW, HALF_NCHW, Preparation, preparation
from inspector.engine.preprocess import Geometry, Views, prepare, prepare_views, to_input
from inspector.errors import EngineInputError
from inspector.pixels import PIXEL_FORMATS
from tests.unit.engine.host_kernel import by_kernel, compiler, launch

pytestmark = pytest.mark.skipif(
    compiler() is None, reason="no C compiler and no ziglang: the kernel's source cannot be compiled here"
)


def frame_of(name: str, width: int, height: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Random bytes as a camera would send them; of words, only the bits that carry light."""
    form = PIXEL_FORMATS[name]
    width -= width % form.group[1]
    if form.channels == 3:
        return rng.integers(0, 256, (height, width, 3), np.uint8)
    if form.layout == "words":
        return rng.integers(0, 2**form.bits, (height, width), np.uint16).view(np.uint8).reshape(height, -1)
    return rng.integers(0, 256, (height, form.line_bytes(width)), np.uint8)


def apart(image: NDArray[Any], geometry: Views, pixel_format: str | None = None) -> int:
    """The largest difference between kernel and CPU path, in grey levels."""
    kernel = by_kernel(image, geometry, pixel_format).astype(int)
    return int(np.abs(kernel - to_input(image, geometry, pixel_format)).max())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", sorted(PIXEL_FORMATS))
def test_every_format_comes_out_as_on_the_cpu(name: str, channels: int) -> None:
    """7.5 and 4.7 times smaller: halved, a whole step, and a rest."""
    rng = np.random.default_rng(len(name))
    image = frame_of(name, 480, 300, rng)
    assert apart(image, Geometry(channels, 64, 64), name) <= 1


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_any_sizes_regions_and_formats_are_within_one_grey_level(data: st.DataObject) -> None:
    """One view, or several in one run: each with a way of its own of changing the size, and so tables of other lengths."""
    draw = data.draw
    name = draw(st.sampled_from(sorted(PIXEL_FORMATS)))
    count = draw(st.sampled_from([1, 1, 2, 3, 4]))
    most = 200 if count == 1 else 120
    width, height = draw(st.integers(4, most)), draw(st.integers(3, most))
    width -= width % 4
    image = frame_of(name, width, height, np.random.default_rng(draw(st.integers(0, 99))))
    out_width, out_height = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    channels = draw(st.sampled_from([1, 3]))
    views = []
    for _ in range(count):
        roi = picture = None
        if draw(st.booleans()):
            left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
            roi = (left, top, draw(st.integers(1, width - left)), draw(st.integers(1, height - top)))
        if draw(st.booleans()):
            picture = draw(st.integers(1, out_width)), draw(st.integers(1, out_height))
        views.append(Geometry(channels, out_height, out_width, roi=roi, picture=picture))
    assert apart(image, views, name) <= 1


@pytest.mark.parametrize(
    ("size", "to"),
    [
        ((64, 64), (64, 64)),  # as it is
        ((512, 512), (64, 64)),  # halvings alone
        ((480, 320), (80, 64)),  # halvings and a whole step
        ((300, 300), (256, 256)),  # linear, 1.17
        ((100, 80), (150, 120)),  # enlarged
        ((97, 61), (31, 23)),  # area, nothing divides
        ((40, 390), (64, 96)),  # one way larger, the other smaller
    ],
)
def test_each_way_of_changing_the_size(size: tuple[int, int], to: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    for shape in ((size[1], size[0]), (size[1], size[0], 3)):
        image = rng.integers(0, 256, shape, np.uint8)
        assert (
            apart(
                image,
                Geometry(len(shape) - 1 or 1, to[1], to[0]) if len(shape) == 2 else Geometry(3, to[1], to[0]),
            )
            <= 1
        )


def test_the_fixed_point_of_the_cpu_path_is_followed_to_the_bit_but_for_ties() -> None:
    """With shares that are not rounded as OpenCV rounds them, one pixel in six is another one."""
    image, geometry = np.random.default_rng(2).integers(0, 256, (283, 299), np.uint8), Geometry(1, 241, 256)
    assert (by_kernel(image, geometry) != to_input(image, geometry)).mean() < 1e-3


@pytest.mark.parametrize("value", [0, 1, 127, 128, 254, 255])
def test_a_flat_frame_stays_at_its_level(value: int) -> None:
    image = np.full((61, 97), value, np.uint8)
    assert (by_kernel(image, Geometry(1, 23, 31)) == value).all()


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_files_of_more_than_eight_bits(bits: int) -> None:
    image = np.random.default_rng(1).integers(0, 2**bits, (90, 130), np.uint16)
    assert apart(image, Geometry(1, 40, 52, bits=bits)) <= 1
    colour = np.random.default_rng(1).integers(0, 2**bits, (90, 130, 3), np.uint16)
    assert apart(colour, Geometry(3, 40, 52, bits=bits)) <= 1


def test_the_brightest_of_ten_bits_does_not_become_black() -> None:
    image = np.full((8, 8), 1023, np.uint16).view(np.uint8).reshape(8, -1)
    assert (by_kernel(image, Geometry(1, 8, 8), "Mono10") == 255).all()


def test_beyond_the_picture_its_edge_repeats() -> None:
    image = np.random.default_rng(1).integers(0, 256, (40, 40), np.uint8)
    made = by_kernel(image, Geometry(3, 32, 48, picture=(20, 16)))[0]
    assert (made[:, 20:] == made[:, 19:20]).all()
    assert (made[16:] == made[15:16]).all()


def test_every_pixel_of_the_input_is_written_by_whole_blocks_or_not() -> None:
    """A side that no block divides."""
    geometry = Geometry(1, BLOCK[1] + 1, BLOCK[0] + 1)
    image = np.zeros((BLOCK[1] + 1, BLOCK[0] + 1), np.uint8)
    how = preparation(image, geometry, None)
    assert how.grid == (2, 2, 1)
    assert not launch(how, image).any()


def test_the_place_in_the_frame_is_that_of_the_cpu_path() -> None:
    geometry = Geometry(1, 32, 48, roi=(4, 6, 90, 50), picture=(40, 30))
    image = np.zeros((80, 120), np.uint8)
    out = np.empty(geometry.input_shape, np.uint8)
    assert preparation(image, geometry, None).input_to_frame == (prepare(image, geometry, out),)


# -- several views ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [HALF_NCHW, FLOAT_NCHW])
def test_planes_of_several_views_lie_one_behind_the_other(kind: int) -> None:
    image = np.random.default_rng(4).integers(0, 256, (70, 90, 3), np.uint8)
    views = [Geometry(3, 32, 40, roi=roi) for roi in ((0, 0, 90, 70), (50, 30, 40, 32))]
    affine = np.array([1, 1, 1, 0, 0, 0], np.float32)
    made = launch(preparation(image, views, None, kind), image, affine)
    np.testing.assert_array_equal(made, by_kernel(image, views).transpose(0, 3, 1, 2))


def test_each_view_knows_its_place_in_the_frame() -> None:
    views = [Geometry(1, 32, 48, roi=roi) for roi in ((4, 6, 90, 50), (0, 40, 24, 16))]
    image = np.zeros((80, 120), np.uint8)
    out = np.empty((2, 32, 48, 1), np.uint8)
    assert preparation(image, views, None).input_to_frame == prepare_views(image, views, out)


@pytest.mark.parametrize(
    ("name", "rois", "lines"),
    [
        ("Mono8", [(0, 10, 8, 5), (3, 40, 9, 20)], (10, 60)),
        ("Mono12p", [(0, 11, 8, 5)], (11, 16)),
        ("BayerRG8", [(0, 11, 8, 5)], (10, 17)),  # the neighbours of its first and last line
        ("BayerRG8", [(0, 12, 8, 5)], (10, 18)),  # from an even line on, which keeps the pattern
        ("BayerRG8", [(0, 0, 8, 70)], (0, 70)),
        ("BayerRG8", [(0, 69, 8, 1)], (0, 70)),  # two lines are no mosaic
    ],
)
def test_only_the_lines_that_the_views_need_are_asked_for(
    name: str, rois: list[tuple[int, int, int, int]], lines: tuple[int, int]
) -> None:
    image = frame_of(name, 48, 70, np.random.default_rng(1))
    views = [Geometry(1, 16, 16, roi=roi) for roi in rois]
    assert preparation(image, views, name).lines == lines
    assert apart(image, views, name) <= 1


# -- other outputs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [HALF_NCHW, FLOAT_NCHW])
def test_planes_of_scaled_numbers(kind: int) -> None:
    image = np.random.default_rng(4).integers(0, 256, (70, 90, 3), np.uint8)
    geometry = Geometry(3, 32, 40)
    affine = np.array([1 / 128, 0.02, -0.5, -127 / 128, 3, 0.25], np.float32)
    made = launch(preparation(image, geometry, None, kind), image, affine)
    grey = by_kernel(image, geometry)[0].transpose(2, 0, 1).astype(np.float32)
    expected = grey * affine[:3, None, None] + affine[3:, None, None]
    np.testing.assert_allclose(made[0], expected, rtol=1e-3 if kind == HALF_NCHW else 1e-6, atol=1e-6)


def as_half(values: NDArray[np.float32]) -> NDArray[np.float16]:
    """float32 -> float16 by the kernel: of an image of zeros, each offset is a pixel's value."""
    image, geometry = np.zeros((1, 1), np.uint8), Geometry(1, 1, 1)
    how = preparation(image, geometry, None, HALF_NCHW)
    made = [launch(how, image, np.array([1, value], np.float32)).ravel()[0] for value in values]
    return np.array(made, np.float16)


@given(st.lists(st.floats(width=32, allow_nan=True), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_half_precision_is_that_of_numpy(values: list[float]) -> None:
    numbers = np.array(values, np.float32)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(as_half(numbers), numbers.astype(np.float16))


def test_half_precision_at_its_edges() -> None:
    edges = np.array(
        [65503, 65519.996, 65520, 1e5, 6.1e-5, 5.9e-8, 2.98e-8, 2.9e-8, 1 + 2**-11, 1 + 3 * 2**-11],
        np.float32,
    )
    with np.errstate(over="ignore"):
        expected = edges.astype(np.float16)
    np.testing.assert_array_equal(as_half(edges).view(np.uint16), expected.view(np.uint16))


# -- what does not fit -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "name", "told"),
    [
        (np.zeros((8, 8), np.float32), None, "dense images"),
        (np.zeros((8, 8, 4), np.uint8), None, "dense images"),
        (np.zeros((8, 16), np.uint8)[:, ::2], None, "dense images"),
        (np.zeros((8, 8), np.uint8), "Mono9", "not Mono9"),
        (np.zeros((8, 8), np.uint16), "Mono16", "as cameras send them"),
        (np.zeros((2, 8), np.uint8), "BayerRG8", "at least 3 pixels"),
        (np.zeros((4, 4), np.uint8), "Mono8", "does not fit in a frame"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(image: NDArray[Any], name: str | None, told: str) -> None:
    with pytest.raises(EngineInputError, match=told) as caught:
        preparation(image, Geometry(1, 8, 8, roi=(0, 0, 8, 1)), name)
    assert "\n" not in str(caught.value)


def test_a_part_that_moves_is_left_to_the_cpu() -> None:
    reference = np.random.default_rng(1).integers(0, 256, (64, 64), np.uint8)
    aligned = Geometry(1, 32, 32, frame=(64, 64), alignment=Alignment(reference, (64, 64), 8.0, 5.0, None))
    with pytest.raises(EngineInputError, match="does not align"):
        preparation(np.zeros((64, 64), np.uint8), aligned, None)


def test_the_parameters_are_those_of_the_struct() -> None:
    """As many as the struct has members, in its order: the source is read, so that one cannot change alone."""
    from inspector.engine.preparation import SOURCE

    body = SOURCE.read_text().split("typedef struct {")[1].split("}")[0]
    members = [
        name.strip()
        for line in body.splitlines()
        for name in line.split(";")[0].replace("int", "").split(",")
        if name.strip()
    ]
    how: Preparation = preparation(np.zeros((40, 60), np.uint8), Geometry(1, 16, 20), None)
    assert len(members) == how.parameters.shape[1]
    assert members[-6:] == [
        "at_first_y",
        "at_weights_y",
        "out_width",
        "out_height",
        "out_channels",
        "out_kind",
    ]
