"""Arguments of `inspector fit` that are no numbers are told as such, in one line."""

import argparse
import re

import pytest

from inspector.errors import ModelError
from inspector.model.fit_arguments import add_arguments, grow_options, options_of
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
    both = ViewOptions("pins", (1, 2, 30, 40)), ViewOptions("label", (0, 0, 5, 6))
    assert options_of(parsed("--view", "pins=1,2,30,40", "--view", "label = 0,0,5,6")).views == both
    assert options_of(parsed("--view", "pins=1,2,30,40", "label=0,0,5,6")).views == both
    assert options_of(parsed("--views", "pins=1,2,30.0,40", "label=0,0,5,6", "--seed", "1")).views == both
    assert options_of(parsed()).views == ()


def test_the_score_is_near_the_maximum_unless_it_is_to_be_that() -> None:
    assert options_of(parsed()).pooling == FitOptions().pooling == 48
    assert options_of(parsed("--pooling", "max")).pooling == MAXIMUM
    assert options_of(parsed("--pooling", "8")).pooling == 8


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("--roi", "0,0,nan,5"),
            "expected whole pixels, got 'nan' in '0,0,nan,5'; write X,Y,W,H as in 100,50,640,480",
        ),
        (("--roi", "0,0,1e999,5"), "expected whole pixels, got '1e999'"),
        (("--roi", "0.6,0,9,5"), "expected whole pixels, got '0.6'"),
        (("--tiles", "inf,64"), "expected 2 numbers as in 512,64, got 'inf,64'"),
        (("--align", "20"), "expected 2 numbers as in 20,5, got '20'"),
        (("--roi", "0,0,0,5"), "expected a width and height of at least 1 pixel, got 0 x 5 in '0,0,0,5'"),
        (("--taps", "4,,7"), "expected names of taps"),
        (
            ("--view", "1,2,3,4"),
            "expected a name and '=' before the region, got none in '1,2,3,4'; write NAME=X,Y,W,H as in pins=100,50,200,200",
        ),
        (("--view", "=1,2,3,4"), "expected a name and '=' before the region, got none in '=1,2,3,4'"),
        (
            ("--view", "pins=1,2,3"),
            "expected 4 numbers of a region, got 3 in 'pins=1,2,3'; write NAME=X,Y,W,H",
        ),
        (("--view", "pins="), "expected 4 numbers of a region, got 1 in 'pins='"),
        (("--view", "pins=1,2,3,x"), "expected a number of pixels, got 'x' in 'pins=1,2,3,x'"),
        (("--view", "pins=1,2,3,4.5"), "expected whole pixels, got '4.5' in 'pins=1,2,3,4.5'"),
        (("--view", "pins=-1,2,3,4"), "expected X and Y of at least 0, got -1 and 2 in"),
        (("--view", "pins=1,2,3,0"), "expected a width and height of at least 1 pixel, got 3 x 0 in"),
    ],
)
def test_what_is_none_is_refused_with_an_example(arguments: tuple[str, str], told: str) -> None:
    with pytest.raises(argparse.ArgumentError, match=told):
        parsed(*arguments)


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (["--seed", "5"], "got --seed; leave it out"),
        (["--bank", "9", "--tune", "--roi", "1,2,30,40"], "got --tune, --roi; leave them out"),
    ],
)
def test_what_a_growing_bank_has_no_use_for_is_named(arguments: list[str], given: str) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(["--add", "more", "--pack", "old", "--out", "new", *arguments])
    with pytest.raises(ModelError, match=re.escape(given)):
        grow_options(args)


def test_what_a_growing_bank_may_have_is_taken() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(["--add", "more", "--pack", "old", "--out", "new", "--bank", "50"])
    *_, wanted = grow_options(args)
    assert wanted == {"bank": 50, "false_reject_rate": None, "backbone": None}
