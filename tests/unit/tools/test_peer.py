"""The comparison with anomalib: sides that answer in turn, and figures relative to ours. The peer itself needs an environment of its own."""

import sys
from pathlib import Path

import pytest

from inspector.errors import ModelError
from tools.bench.accuracy import Split
from tools.bench.peer import main, rows_of, side

# Answers every score with the number in the file's name, times a factor.
STUB = """
import json, sys
factor = float(sys.argv[1])
for line in sys.stdin:
    order = json.loads(line)
    if "fit" in order:
        print(json.dumps({"seconds": 2 * factor, "peak_rss_mb": 100 * factor}), flush=True)
    else:
        print(json.dumps({"score": factor * int(order["score"]), "ms": 5 * factor}), flush=True)
"""


def stub(factor: float) -> list[str]:
    return [sys.executable, "-c", STUB, str(factor)]


def test_each_side_is_measured_on_every_image_and_against_ours() -> None:
    split = Split("numbers", 0, Path(), [Path("0")], [Path("1"), Path("4")], [Path("3"), Path("5")])
    with side("ours", stub(1)) as ours, side("peer", stub(-3)) as peer:
        first, second = rows_of(split, [ours, peer])
    assert (first["model"], first["auroc"], first["image_ratio"], first["memory_ratio"]) == (
        "ours",
        0.75,
        1,
        1,
    )
    assert (second["model"], second["auroc"], second["image_ms"]) == ("peer", 0.25, -15)
    assert (second["image_ratio"], second["fit_ratio"], second["memory_ratio"]) == (-3, -3, -3)


def test_a_side_that_ends_is_told() -> None:
    with (
        side("peer", [sys.executable, "-c", "raise SystemExit(3)"]) as peer,
        pytest.raises(ModelError, match="expected an answer from peer, its process ended"),
    ):
        peer.ask(fit=[])


def test_without_a_set_there_is_nothing_to_compare(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 1
    assert "expected --tiles DIR or --solar" in capsys.readouterr().err
