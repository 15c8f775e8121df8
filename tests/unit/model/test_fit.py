"""What `fit` refuses before it looks at an image."""

from dataclasses import replace
from pathlib import Path

import pytest

from inspector.errors import InspectorError, ModelError
from inspector.model.fit import fit
from inspector.model.options import FitOptions

PLAIN = FitOptions()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (replace(PLAIN, bank=9), "expected a bank of at least 10"),
        (replace(PLAIN, seed=-1), "expected a seed of at least 0"),
        (replace(PLAIN, sizes=(256, 32)), "expected a size of 64 to 2048 pixels, got 32"),
        (replace(PLAIN, method="imported", precision="int8"), "whose network stays as it is, got int8"),
    ],
)
def test_options_that_cannot_be_are_one_line_each(options: FitOptions, told: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=told) as caught:
        fit(tmp_path / "no-images", tmp_path / "pack", options)
    assert "\n" not in str(caught.value)
    assert "; " in str(caught.value)  # what to do next


def test_what_they_say_comes_before_what_the_folder_says(tmp_path: Path) -> None:
    with pytest.raises(InspectorError, match="no-images"):
        fit(tmp_path / "no-images", tmp_path / "pack", PLAIN)
