import re

import pytest

from inspector import errors
from inspector.errors import ConfigError, InspectorError, error_number


def tree(root: type[InspectorError] = InspectorError) -> list[type[InspectorError]]:
    return [root] + [found for child in root.__subclasses__() for found in tree(child)]


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [error.code for error in tree()]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[A-Z]{3}-\d{3}", code) for code in codes)


def test_the_drawing_shows_every_error_with_its_code() -> None:
    drawing = errors.__doc__ or ""
    for error in tree():
        assert re.search(rf"{error.__name__}\b.*{error.code}", drawing), error.__name__


def test_all_problems_of_a_configuration_are_kept() -> None:
    error = ConfigError(["a:1:1: x", "a:2:1: y"])
    assert error.problems == ["a:1:1: x", "a:2:1: y"]
    assert str(error) == "a:1:1: x\na:2:1: y"


@pytest.mark.parametrize(
    ("text", "number"),
    [("CAM-003: gone", 303), ("ENG-005", 505), ("SVC-001: x", 701), ("something else", 999), ("CAM-x", 999)],
)
def test_a_code_becomes_the_number_that_the_plc_shows(text: str, number: int) -> None:
    assert error_number(text) == number
