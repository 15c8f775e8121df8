"""From raw frame to graph input: what is cut, converted, scaled and refused."""

import dataclasses
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from inspector.camera.encoding import encode
from inspector.engine.place import apply
from inspector.engine.preprocess import Geometry, copy_prepared, prepare, to_input
from inspector.engine.resize import resize
from inspector.errors import EngineInputError
from inspector.pixels import PIXEL_FORMATS, pixel_format


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(4).integers(0, 256, shape, np.uint8)


def test_a_frame_of_the_right_size_passes_byte_by_byte() -> None:
    mono, colour = noise(32, 64), noise(32, 64, 3)
    np.testing.assert_array_equal(to_input(mono, Geometry(1, 32, 64))[0, :, :, 0], mono)
    np.testing.assert_array_equal(to_input(colour, Geometry(3, 32, 64))[0], colour)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(32, 64), (100, 100), (20, 30), (70, 90, 3), (32, 64, 3)])
def test_the_result_is_what_the_graph_takes(channels: int, shape: tuple[int, ...]) -> None:
    geometry = Geometry(channels, 32, 64)
    result = to_input(noise(*shape), geometry)
    assert result.shape == (1, 32, 64, channels)
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("pixel_format", [None, "BayerRG8"])
@pytest.mark.parametrize("shape", [(32, 64), (90, 120)])
def test_the_result_is_written_where_it_is_wanted(
    channels: int, pixel_format: str | None, shape: tuple[int, int]
) -> None:
    geometry = Geometry(channels, 32, 64)
    out = np.zeros(geometry.input_shape, np.uint8)
    image = noise(*shape)
    assert to_input(image, geometry, pixel_format, out) is out
    np.testing.assert_array_equal(out, to_input(image, geometry, pixel_format))
    assert out.any()


def test_the_region_is_cut_before_the_size_is_changed() -> None:
    image = noise(200, 300)
    geometry = Geometry(1, 32, 64, roi=(30, 41, 150, 99))
    inside = to_input(image, geometry)
    np.testing.assert_array_equal(inside[0, :, :, 0], resize(image[41:140, 30:180], 32, 64))
    outside = np.full_like(image, 255)
    outside[41:140, 30:180] = image[41:140, 30:180]
    np.testing.assert_array_equal(to_input(outside, geometry), inside)


def test_mono_is_repeated_and_colour_weighted() -> None:
    mono = noise(32, 64)
    np.testing.assert_array_equal(to_input(mono, Geometry(3, 32, 64))[0], np.stack([mono] * 3, axis=-1))
    colour = noise(32, 64, 3)
    luminance = colour @ np.array([0.299, 0.587, 0.114])
    assert np.abs(to_input(colour, Geometry(1, 32, 64))[0, :, :, 0] - luminance).max() <= 1


def bayer(colour: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return what a BayerRG8 sensor sees: red at even rows and columns, blue at odd ones."""
    raw = colour[:, :, 1].copy()
    raw[::2, ::2] = colour[::2, ::2, 0]
    raw[1::2, 1::2] = colour[1::2, 1::2, 2]
    return raw


@pytest.mark.parametrize("roi", [None, (0, 0, 64, 32), (3, 5, 20, 22), (2, 5, 20, 22), (61, 29, 3, 3)])
def test_bayer_keeps_its_colours_wherever_the_region_starts(roi: tuple[int, int, int, int] | None) -> None:
    colour = np.broadcast_to(np.array([200, 90, 20], np.uint8), (32, 64, 3))
    geometry = Geometry(3, 16, 16, roi=roi)
    np.testing.assert_array_equal(to_input(bayer(colour), geometry, "BayerRG8")[0], colour[:16, :16])


@settings(max_examples=60, deadline=None)
@given(data=st.data(), channels=st.sampled_from([1, 3]))
def test_cutting_bayer_first_equals_cutting_it_last(data: Any, channels: int) -> None:
    raw = noise(24, 30)
    x, y = data.draw(st.integers(0, 27)), data.draw(st.integers(0, 21))
    width, height = data.draw(st.integers(2, 30 - x)), data.draw(st.integers(2, 24 - y))
    code = cv2.COLOR_BayerRGGB2RGB if channels == 3 else cv2.COLOR_BayerRGGB2GRAY
    whole = cv2.cvtColor(raw, code)[y : y + height, x : x + width].reshape(1, height, width, channels)
    geometry = Geometry(channels, height, width, roi=(x, y, width, height))
    np.testing.assert_array_equal(to_input(raw, geometry, "BayerRG8"), whole)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.float32),
        np.zeros((8, 8, 1), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros(64, np.uint8),
    ],
    ids=["floats", "one channel", "four channels", "flat"],
)
def test_what_is_no_frame_is_refused(image: NDArray[np.uint8]) -> None:
    with pytest.raises(
        EngineInputError, match=r"an image is uint8 or uint16, \(H, W\) or \(H, W, 3\), this one is"
    ):
        to_input(image, Geometry(1, 8, 8))


@pytest.mark.parametrize(
    ("pixel_format", "shape"), [("Mono8", (8, 8, 3)), ("RGB8", (8, 8)), ("BayerRG8", (8, 8, 3))]
)
def test_a_frame_of_another_format_than_agreed_is_refused(pixel_format: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(EngineInputError, match=f"{pixel_format} was agreed"):
        to_input(noise(*shape), Geometry(1, 8, 8), pixel_format)


def test_a_bayer_frame_too_small_to_have_colours_is_refused() -> None:
    with pytest.raises(EngineInputError, match="at least 3 pixels a side"):
        to_input(noise(2, 30), Geometry(1, 8, 8), "BayerRG8")


@pytest.mark.parametrize("roi", [(0, 0, 31, 20), (0, 0, 30, 21), (30, 0, 1, 1), (25, 15, 6, 1)])
def test_a_region_outside_the_frame_is_refused_with_both_sizes(roi: tuple[int, int, int, int]) -> None:
    with pytest.raises(EngineInputError, match="does not fit in a frame of 30 x 20 pixels"):
        to_input(noise(20, 30), Geometry(1, 8, 8, roi=roi))


@pytest.mark.parametrize(
    "out",
    [np.zeros((1, 8, 8, 3), np.uint8), np.zeros((1, 8, 8, 1)), np.zeros((1, 8, 16, 1), np.uint8)[:, :, ::2]],
    ids=["channels", "float", "not contiguous"],
)
def test_a_place_that_does_not_fit_is_refused(out: Any) -> None:
    with pytest.raises(EngineInputError, match="out is contiguous uint8"):
        to_input(noise(8, 8), Geometry(1, 8, 8), out=out)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"channels": 2}, "channels is 1"),
        ({"height": 0}, "at least 1 x 1"),
        ({"roi": (-1, 0, 4, 4)}, "roi is x, y >= 0"),
        ({"roi": (0, 0, 4, 0)}, "roi is x, y >= 0"),
        ({"bits": 7}, "bits is 8 to 16"),
        ({"bits": 17}, "bits is 8 to 16"),
        ({"picture": (9, 8)}, "a picture of 9 x 8 pixels does not fit in the input of 8 x 8"),
        ({"picture": (8, 0)}, "a picture of 8 x 0"),
    ],
)
def test_an_impossible_geometry_is_refused(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(EngineInputError, match=told):
        Geometry(**{"channels": 1, "height": 8, "width": 8} | arguments)


def test_a_format_that_nobody_knows_is_refused() -> None:
    with pytest.raises(EngineInputError, match=r"got 'RGBa8'; correct camera\.features"):
        to_input(noise(8, 8), Geometry(1, 8, 8), "RGBa8")


@pytest.mark.parametrize("name", sorted(set(PIXEL_FORMATS) - {"RGB8"}))
def test_every_format_becomes_the_eight_bits_of_the_same_scene(name: str) -> None:
    """A scene of 8 bits, sent in any format, comes out as if sent in 8."""
    form = pixel_format(name)
    scene = noise(24, 40, 3) if form.bayer else noise(24, 40)
    sent = encode(scene, form).reshape(24, form.line_bytes(40))
    eight = dataclasses.replace(form, bits=8, layout="bytes")
    geometry = Geometry(3, 8, 8, roi=(5, 7, 16, 16))
    wanted = to_input(
        encode(scene, eight).reshape(24, 40), geometry, f"Bayer{form.bayer}8" if form.bayer else "Mono8"
    )
    # Scaling rounds, in 8 bits to whole levels and in more to parts of one; the demosaicing rounds too.
    assert np.abs(to_input(sent, geometry, name).astype(int) - wanted.astype(int)).max() <= 1


def test_images_of_sixteen_bits_are_scaled_before_they_are_cut_to_eight() -> None:
    """Their mean is nearer to 63 of 8 bits; each of them cut off is 62."""
    levels = np.tile(
        np.array([[1000, 1003], [1001, 1004]], np.uint16), (8, 8)
    )  # their mean of 4096 is 62.6 of 256
    whole = to_input(levels, Geometry(1, 8, 8, bits=12))
    assert (whole == 63).all()
    assert (to_input((levels >> 4).astype(np.uint8), Geometry(1, 8, 8)) == 62).all()
    assert (to_input(np.full((8, 8), 4095, np.uint16), Geometry(3, 8, 8, bits=12)) == 255).all()


def test_the_picture_keeps_its_corner_and_its_edge_repeats() -> None:
    image = noise(40, 60)
    result = to_input(image, Geometry(1, 32, 64, picture=(60, 30)))[0, :, :, 0]
    np.testing.assert_array_equal(result[:30, :60], resize(image, 30, 60))
    assert (result[:30, 60:] == result[:30, 59:60]).all()
    assert (result[30:] == result[29]).all()


@pytest.mark.parametrize(
    ("geometry", "told"),
    [
        ({"frame": (60, 41)}, "expected frames of 60 x 41 pixels, this one has 60 x 40"),
        (
            {"frame": (60, 40), "aspect": 1.2},
            "expected frames of width = 1.200 x height, this one has 60 x 40",
        ),
    ],
)
def test_a_frame_of_another_size_or_aspect_than_fitted_is_refused(
    geometry: dict[str, Any], told: str
) -> None:
    with pytest.raises(EngineInputError, match=told):
        to_input(noise(40, 60), Geometry(1, 8, 8, **geometry))


def test_a_frame_of_nearly_the_aspect_is_taken() -> None:
    assert to_input(noise(40, 60), Geometry(1, 8, 8, aspect=1.55, frame=(60, 40))).any()


@pytest.mark.parametrize("name", [None, "BayerGB8"])
def test_a_place_of_the_input_is_found_again_in_the_frame(name: str | None) -> None:
    """A bright spot in the raw frame is where the map says it is."""
    image = np.zeros((200, 300), np.uint8)
    image[120:124, 200:204] = 255  # its centre is (202, 122)
    geometry = Geometry(1, 40, 60, roi=(100, 60, 180, 120), picture=(54, 36))
    out = np.empty(geometry.input_shape, np.uint8)
    to_frame = prepare(image, geometry, out, name)
    seen = out[0, :36, :54, 0].astype(float)
    rows, columns = np.indices(seen.shape)
    spot = ((columns + 0.5) * seen).sum() / seen.sum(), ((rows + 0.5) * seen).sum() / seen.sum()
    assert apply(to_frame, *spot) == pytest.approx((202, 122), abs=0.6)


def test_what_was_prepared_elsewhere_must_be_the_graphs_input() -> None:
    prepared, out = noise(1, 8, 8, 1), np.zeros((1, 8, 8, 1), np.uint8)
    copy_prepared(prepared, out)
    np.testing.assert_array_equal(out, prepared)
    with pytest.raises(EngineInputError, match="fit the pack again"):
        copy_prepared(noise(1, 8, 8, 3), out)
