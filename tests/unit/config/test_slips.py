"""Each slip of the writer is named in its own line, with what was probably meant."""

import re
from pathlib import Path

import pytest

from tests.unit.config.smallest import SMALLEST, Write, problems

EXAMPLE = Path(__file__).parents[3] / "config" / "station.example.yaml"
LINES = EXAMPLE.read_text().splitlines()
KEYS = [i for i, line in enumerate(LINES) if re.match(r"\s*\w+: *[^\s#]", line)]
SECTIONS = [i for i, line in enumerate(LINES) if re.match(r"\s*\w+:\s*(#|$)", line)]


def with_line(number: int, line: str) -> str:
    return "\n".join([*LINES[:number], line, *LINES[number + 1 :]])


@pytest.mark.parametrize("number", KEYS)
def test_a_key_without_its_colon_and_space_is_named_in_its_own_line(write: Write, number: int) -> None:
    slip = (" ", ":", " = ")[number % 3]
    first, *_ = problems(write(with_line(number, re.sub(r": +", slip, LINES[number], count=1))))
    assert first.startswith(f"{number + 1}:")
    assert "behind the" in first


@pytest.mark.parametrize("number", SECTIONS)
def test_a_section_without_its_colon_is_named_in_its_own_line(write: Write, number: int) -> None:
    first, *_ = problems(write(with_line(number, LINES[number].replace(":", "", 1))))
    name = LINES[number].split(":")[0].strip()
    assert first.startswith(f"{number + 1}:")
    assert f"expected a colon behind the key, as in `{name}:`" in first


@pytest.mark.parametrize(
    ("number", "line", "place", "said"),
    [
        (1, "\tname: cell-1", "2:1", "came a tab"),
        (1, '  name: "cell-1', "2:3", 'expected a closing "'),
        (1, "  name: it's: a", "2:3", "expected quotes around such a value"),
        (1, "  name: *cell", "2:3", "expected quotes around such a value"),
        (1, "  name: @cell", "2:3", "expected quotes around such a value"),
        (2, "    budget_ms: 100", "3:5", "expected the indentation of the line above, 2 spaces, came 4"),
        (
            6,
            "      user_defined_name: a\n    serial_number: 3\n    model: m",
            "7:7",
            "expected the indentation of the lines below it, 4 spaces, came 6",
        ),
        (
            8,
            "  pack: pack\nrecipes: []\n  - number: 2\n    pack: pack",
            "10:1",
            "expected `recipes:` above its entries, came `recipes: []`: remove the []",
        ),
        (8, "  pack: pack\nrecipes: []\n- number: 2\n  pack: pack", "10:1", "remove the []"),
        (2, " budget_ms: 100", "3:2", "expected the indentation of a line above it, 0 or 2 spaces, came 1"),
        (2, "budget_ms: 100", "3:1", "it is a key of station: see the indentation"),
        (2, "  budget_ms:\u00a0100", "3:3", "came a no-break space"),
        (2, "\u00a0\u00a0budget_ms: 100", "1:1", "expected a number, came nothing"),
        (2, "  budget_ms\uff1a 100", "3:3", "came a wide colon"),
        (2, "  budget-ms: 100", "3:3", "did you mean budget_ms?"),
        (1, "  name: 'cell' 1", "2:16", "no valid YAML"),
        (
            1,
            '  name: "cell # 1"\n   simulated: true',
            "3:4",
            "expected the indentation of the line above, 2 spaces",
        ),
        (
            8,
            "  pack: pack\nchallenge:\n  sequence:\n    - good\n    - bad\n   every_parts: 9",
            "14:4",
            "expected the indentation of a line above it, 0 or 2 or 4 spaces",
        ),
        (2, "  budget_ms: 100,5", "3:3", "came the text '100,5'; write 100.5, without anything else"),
        (2, '  budget_ms: "100"', "3:3", "write 100, without anything else"),
        (2, "<<<<<<< HEAD", "3:1", "leftovers of a merge"),
        (4, '  producer: "C:\\images"', "5:3", "write it between single quotes"),
        (5, "  device: {model: simcam", "6:3", "expected a closing }"),
        (
            8,
            "  pack: pack\nrecipes:\n  -number: 2\n   pack: pack",
            "11:3",
            "expected a space behind the dash",
        ),
        (8, "  pack pack", "9:3", "as in `pack: pack`"),
        (8, "  - pack: pack", "8:1", "without dashes, came a list"),
        (8, "  pack: pack\n}", "10:1", "expected no } here"),
        (8, "  pack: pack\n---", "10:1", "expected one document"),
        (8, "  pack: pack\nrealtime:\n  cpus: 2, 3", "11:3", "expected a list, as in [2, 3]"),
        (8, "  pack: pack\nrecipes:\n  number: 2", "10:1", "each entry begun by a dash"),
    ],
)
def test_a_slip_is_told_where_it_is(write: Write, number: int, line: str, place: str, said: str) -> None:
    lines = SMALLEST.splitlines()
    first, *_ = problems(write("\n".join([*lines[:number], line, *lines[number + 1 :]]) + "\n"))
    assert first.startswith(f"{place}: ")
    assert said in first


def test_a_misspelt_key_is_not_missing_as_well(write: Write) -> None:
    assert len(problems(write(SMALLEST.replace("budget_ms", "budget-ms")))) == 1
