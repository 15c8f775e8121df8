"""The table of an evaluation keeps its order whatever one of two packs lacks, and says which pack a warning is of."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from inspector.model.evaluate_table import labels, show
from inspector.model.pack import Pack

FORESAW = "- as the pack foresaw"


def a_pack(name: str, interval: tuple[float, float] | None, *warnings: str) -> Pack:
    """Return what the table reads of a pack."""
    manifest = SimpleNamespace(held_out=SimpleNamespace(interval=interval), warnings=warnings)
    return cast("Pack", SimpleNamespace(path=Path("models") / name, manifest=manifest))


def figures(*warnings: str, **more: object) -> dict[str, Any]:
    """Return what evaluating gives, as far as the table needs it."""
    share = {"false_reject_rate": 0.05, "false_reject_rate_interval": (0.01, 0.1)}
    times = {"p50": 2.0, "p99": 3.0}
    return {
        "images": {"good": 20, "bad": 10},
        "engine": "openvino",
        "auroc": 0.9,
        "auroc_interval": (0.8, 0.95),
        **share,
        "recall": 0.6,
        "recall_interval": (0.3, 0.8),
        "recall_by_defect": {"crack": 0.6},
        "recall_by_defect_interval": {"crack": (0.3, 0.8)},
        "stage_ms": {"read": times, "preprocess": times, "graph": times},
        "engine_ms": times,
        "warnings": list(warnings),
        **more,
    }


def rows(shown: str) -> list[list[str]]:
    """Return the cells of all rows that rich drew."""
    lines = [line for line in shown.splitlines() if line.startswith("\N{BOX DRAWINGS LIGHT VERTICAL}")]
    return [[cell.strip() for cell in line.split("\N{BOX DRAWINGS LIGHT VERTICAL}")[1:-1]] for line in lines]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ((["a", "b", "c"], ["a", "x", "b", "c"]), ["a", "x", "b", "c"]),
        ((["a", "x", "b"], ["a", "b", "c"]), ["a", "x", "b", "c"]),
        ((["b"], ["a", "b"]), ["a", "b"]),
        ((["a", "b"], []), ["a", "b"]),
        ((["a", "x", "c"], ["a", "y", "c"]), ["a", "y", "x", "c"]),
    ],
)
def test_labels_keep_their_common_order(columns: tuple[list[str], ...], expected: list[str]) -> None:
    assert labels([dict.fromkeys(column, "") for column in columns]) == expected


def test_what_only_the_other_pack_foresaw_stands_below_the_good_parts_rejected(
    capsys: pytest.CaptureFixture[str],
) -> None:
    difference = {
        "auroc_difference": 0.0,
        "auroc_difference_interval": (0.0, 0.0),
        "auroc_difference_p": 1.0,
        "false_rejects": {"only_this": 0, "only_other": 0, "p": 1.0},
        "recalled": {"only_this": 0, "only_other": 0, "p": 1.0},
    }
    result = figures("few images", against=figures("near-copies", **difference))
    one, other = a_pack("one", None, "one batch"), a_pack("other", (0.0, 0.03), "two batches")
    show(one, other, result)
    shown = capsys.readouterr().out
    found = rows(shown)
    names = [row[0] for row in found]
    assert found[0] == ["", "this: models/one", "other: models/other"]
    assert names[names.index("good parts rejected") + 1] == FORESAW
    assert found[names.index(FORESAW)][1:] == ["", "0.0% to 3.0%"]
    for said in ("this: one batch", "this: few images", "other: two batches", "other: near-copies"):
        assert f"warning: {said}" in shown


def test_one_pack_needs_no_names(capsys: pytest.CaptureFixture[str]) -> None:
    show(a_pack("one", (0.0, 0.03), "one batch"), None, figures("few images"))
    shown = capsys.readouterr().out
    names = [row[0] for row in rows(shown)]
    assert names[names.index("good parts rejected") + 1] == FORESAW
    assert names[names.index("bad parts rejected") + 1] == "- crack"
    assert names[-4:] == [
        "ms to read the file",
        "ms to scale and crop it",
        "ms to run the model",
        "ms from image to score",
    ]
    assert "warning: one batch" in shown


def test_how_many_a_share_is_of_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    named = {"named_right": 0.75, "named_right_interval": (0.4, 0.9), "named_right_of": 8}
    show(a_pack("one", None), None, figures(**named, confusion={"crack": {"crack": 6, "none of them": 2}}))
    shown = capsys.readouterr().out
    assert ["rejected known defects named right", "75.0% (40.0% to 90.0%), 6 of 8"] in rows(shown)
    assert ["crack", "6", "2"] in rows(shown)
