"""Arguments of `inspector fit` that are no numbers are told as such, in one line."""

import argparse

import pytest

from inspector.model.fit_arguments import add_arguments, options_of
from inspector.model.options import MAXIMUM, FitOptions, ViewOptions


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_arguments(parser)
    return parser.parse_args(["--good", "parts", *arguments])


def test_what_is_chosen_arrives_in_the_options() -> None:
    options = options_of(
        parsed("--roi", "1,2,30,40", "--align", "20px,5deg", "--tiles", "256", "--size", "96,160")
    )
    assert options.frame.roi == (1, 2, 30, 40)
    assert options.frame.align == (20, 5)
    assert options.frame.tile == (256, 64)
    assert options.sizes == (96, 160)


def test_views_come_in_the_order_of_the_command() -> None:
    options = options_of(parsed("--view", "pins=1,2,30,40", "--view", "label = 0,0,5,6"))
    assert options.views == (ViewOptions("pins", (1, 2, 30, 40)), ViewOptions("label", (0, 0, 5, 6)))
    assert options_of(parsed()).views == ()


def test_the_score_is_near_the_maximum_unless_it_is_to_be_that() -> None:
    assert options_of(parsed()).pooling == FitOptions().pooling == 48
    assert options_of(parsed("--pooling", "max")).pooling == MAXIMUM
    assert options_of(parsed("--pooling", "8")).pooling == 8


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--roi", "0,0,nan,5"), "expected a region of 4 numbers as in 100,50,640,480, got '0,0,nan,5'"),
        (("--tiles", "inf,64"), "expected 2 numbers as in 512,64, got 'inf,64'"),
        (("--align", "20"), "expected 2 numbers as in 20,5, got '20'"),
        (("--roi", "0,0,0,5"), "expected a region of 4 numbers as in 100,50,640,480"),
        (("--taps", "4,,7"), "expected names of taps"),
        (("--view", "1,2,3,4"), "expected a named region as in pins=100,50,200,200, got '1,2,3,4'"),
        (("--view", "pins=1,2,3"), "expected a named region"),
        (("--view", "pins=1,2,3,nan"), "expected a named region"),
    ],
)
def test_what_is_none_is_refused_with_an_example(arguments: tuple[str, str], told: str) -> None:
    with pytest.raises(argparse.ArgumentError, match=told):
        parsed(*arguments)
