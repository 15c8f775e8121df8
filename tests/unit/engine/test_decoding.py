"""Unpacking and demosaicing: what a camera sends comes back, wherever the region lies."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from inspector.camera.encoding import encode
from inspector.engine.decoding import decode
from inspector.pixels import PIXEL_FORMATS, PixelFormat, pixel_format

GREY = [form for form in PIXEL_FORMATS.values() if form.channels == 1 and not form.bayer]
MOSAICS = [form for form in PIXEL_FORMATS.values() if form.bayer]


def sent(image: NDArray[Any], form: PixelFormat) -> NDArray[np.uint8]:
    return encode(image, form).reshape(image.shape[0], form.line_bytes(image.shape[1]))


@settings(max_examples=80, deadline=None)
@given(data=st.data(), form=st.sampled_from(GREY))
def test_every_sample_comes_back_from_any_region(data: Any, form: PixelFormat) -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 2**form.bits, (9, 20)).astype(np.uint8 if form.bits == 8 else np.uint16)
    x, y = data.draw(st.integers(0, 19)), data.draw(st.integers(0, 8))
    width, height = data.draw(st.integers(1, 20 - x)), data.draw(st.integers(1, 9 - y))
    found = decode(sent(image, form), form, (x, y, width, height), grey=True)
    np.testing.assert_array_equal(found, image[y : y + height, x : x + width])


@pytest.mark.parametrize(
    ("name", "data", "samples"),
    [
        ("Mono12p", [0xBC, 0xFA, 0xDE], [0xABC, 0xDEF]),
        ("Mono12Packed", [0xAB, 0xFC, 0xDE], [0xABC, 0xDEF]),
        ("Mono10p", [0xFF, 0x03, 0x00, 0xC0, 0xFF], [0x3FF, 0x000, 0x000, 0x3FF]),
        ("Mono12", [0xBC, 0x0A, 0xEF, 0x0D], [0xABC, 0xDEF]),
    ],
)
def test_bytes_as_the_naming_convention_draws_them(name: str, data: list[int], samples: list[int]) -> None:
    form = pixel_format(name)
    lines = np.array([data], np.uint8)
    np.testing.assert_array_equal(decode(lines, form, (0, 0, len(samples), 1), grey=True), [samples])
    np.testing.assert_array_equal(encode(np.array([samples], np.uint16), form), data)


@pytest.mark.parametrize("form", MOSAICS, ids=lambda form: form.name)
@pytest.mark.parametrize("region", [(0, 0, 32, 24), (3, 5, 11, 8), (4, 1, 6, 7)])
def test_every_mosaic_keeps_its_colours(form: PixelFormat, region: tuple[int, int, int, int]) -> None:
    colour = np.broadcast_to(np.array([200, 90, 20], np.uint8), (24, 32, 3))
    found = decode(sent(colour, form), form, region, grey=False)
    assert found.shape == (region[3], region[2], 3)
    np.testing.assert_array_equal(
        found, np.broadcast_to(colour[0, 0].astype(int) << (form.bits - 8), found.shape)
    )


def test_a_mosaic_for_a_mono_graph_is_weighted_to_luminance() -> None:
    form = dataclasses.replace(pixel_format("BayerGR8"))
    colour = np.broadcast_to(np.array([200, 90, 20], np.uint8), (24, 32, 3))
    found = decode(sent(colour, form), form, (4, 4, 8, 8), grey=True)
    assert np.abs(found.astype(float) - (0.299 * 200 + 0.587 * 90 + 0.114 * 20)).max() <= 1
