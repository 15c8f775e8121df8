"""The table of pixel formats agrees with the naming convention and with what harvesters calls them."""

import pytest
from harvesters.util.pfnc import dict_by_ints

from inspector.errors import CameraError, FeatureError
from inspector.pixels import PIXEL_FORMATS, pixel_format


def test_harvesters_knows_every_one_by_our_name() -> None:
    assert set(PIXEL_FORMATS) <= set(dict_by_ints.values())


def test_bits_in_memory_are_those_of_the_convention() -> None:
    """A PFNC number holds the bits a pixel takes in its third byte."""
    numbers = {name: number for number, name in dict_by_ints.items()}
    for form in PIXEL_FORMATS.values():
        size, pixels = form.group
        assert size * 8 == pixels * (numbers[form.name] >> 16 & 0xFF), form


@pytest.mark.parametrize(
    ("name", "width", "size"),
    [("Mono8", 7, 7), ("RGB8", 7, 21), ("Mono10", 7, 14), ("Mono10p", 8, 10), ("BayerGB12p", 6, 9)],
)
def test_bytes_of_a_line(name: str, width: int, size: int) -> None:
    assert pixel_format(name).line_bytes(width) == size


def test_a_line_that_ends_within_a_byte_is_refused_with_the_step_to_take() -> None:
    with pytest.raises(FeatureError, match="a Width of 6 cuts the last group; set a Width in steps of 4"):
        pixel_format("Mono10p").line_bytes(6)


def test_an_unknown_name_is_refused_with_what_is_known() -> None:
    with pytest.raises(CameraError, match="YUV422_8 is not one that the engine takes: Mono, BayerRG"):
        pixel_format("YUV422_8")
