"""The list of further recipes: what each must say, and where a wrong one stands."""

from pathlib import Path

import pytest

from inspector.config.loading import load
from inspector.errors import ConfigError, PackError
from tests.unit.config.smallest import SMALLEST, Write, problems, read

TWO = "recipes:\n  - number: 2\n    pack: bolt\n"


def test_a_recipe_needs_a_number_and_a_pack(write: Write) -> None:
    config = read(write(SMALLEST + TWO + "  - {number: 3, pack: nut, threshold_factor: 2}\n"))
    assert [(r.number, r.pack, r.threshold_factor) for r in config.all_recipes] == [
        (1, "pack", 1.0),
        (2, "bolt", 1.0),
        (3, "nut", 2.0),
    ]


@pytest.mark.parametrize(
    ("recipes", "problem"),
    [
        ("recipes:\n  - pack: bolt\n", "11:5: recipes[0].number: expected a whole number, came nothing"),
        ("recipes:\n  - number: 2\n", "11:5: recipes[0].pack: expected text, came nothing"),
        ("recipes:\n  - {number: 0, pack: x}\n", "11:6: recipes[0].number: expected at least 1, came 0"),
        (
            "recipes:\n  - {number: 2, pack: x, pak: y}\n",
            "11:26: recipes[0].pak: unknown key in recipes[0]; did you mean pack?",
        ),
        ("recipes: {number: 2}\n", "10:1: recipes: expected a list"),
        (
            TWO.replace("2", "1"),
            "11:5: recipes[0].number: expected a number that no other recipe has, came 1, as in model.recipe",
        ),
        (
            TWO + "  - number: 2\n    pack: nut\n",
            "13:5: recipes[1].number: expected a number that no other recipe has, came 2, as in recipes[0].number",
        ),
        (
            TWO + "    features:\n      Gain: 3\n",
            "14:7: recipes[0].features.Gain: expected a feature that camera.features sets as well, came Gain",
        ),
    ],
)
def test_a_wrong_recipe_is_a_problem_at_its_place(write: Write, recipes: str, problem: str) -> None:
    assert problems(write(SMALLEST + recipes))[0].startswith(problem)


def test_every_pack_is_asked_for_and_told_what_frames_will_come(write: Write) -> None:
    text = SMALLEST.replace("  device:", "  features: {Width: 640, Height: 480, Gain: 1}\n  device:")
    path = write(text + TWO + "    features: {Width: 320}\n")
    (path.parent / "a.cti").touch()
    assert "11:3: recipes[0].pack" not in "".join(problems(path, check_files=True)[0])
    missing = problems(path, check_files=True)
    assert [line.split(": ")[1] for line in missing] == ["model.pack", "recipes[0].pack"]
    for name in ("pack", "bolt"):
        (path.parent / name).mkdir()
    asked: list[tuple[str, tuple[int, int] | None]] = []

    def check_pack(pack: Path, size: tuple[int, int] | None) -> None:
        asked.append((pack.name, size))
        if pack.name == "bolt":
            raise PackError("bolt: damaged")

    with pytest.raises(ConfigError) as caught:
        load(path, check_pack=check_pack)
    assert asked == [("pack", (640, 480)), ("bolt", (320, 480))]
    assert [problem.removeprefix(f"{path}:") for problem in caught.value.problems] == [
        "13:5: recipes[0].pack: bolt: damaged"
    ]
