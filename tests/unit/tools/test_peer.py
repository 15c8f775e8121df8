"""The comparison with anomalib: sides that answer in turn, and figures relative to ours. The peer itself needs an environment of its own."""

import contextlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from inspector.errors import ModelError
from tools.bench import anomalib_env
from tools.bench.accuracy import Split
from tools.bench.peer import INT8, claims_of, main, missed, ratio_with_error, rows_of, side

# Answers every score with the number in the file's name, times a factor; ten images at a time at most.
STUB = """
import json, sys
factor = float(sys.argv[1])
for line in sys.stdin:
    order = json.loads(line)
    if "fit" in order:
        print(json.dumps({"seconds": 2 * factor, "peak_rss_mb": 100 * factor}), flush=True)
    else:
        assert len(order["score"]) <= 10
        scores = [factor * int(path) for path in order["score"]]
        print(json.dumps({"scores": scores, "ms": [5 * factor] * len(scores)}), flush=True)
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
    assert second["auroc_difference"] == 0.5
    assert all(not isinstance(value, dict | list) for value in second.values())


def test_sides_take_turns_of_ten_images_and_are_compared_with_each_of_ours() -> None:
    numbers = [Path(str(number)) for number in range(25)]
    split = Split("numbers", 0, Path(), numbers[:1], numbers[:12], numbers[12:])
    with side("inspector", stub(1)) as ours, side(INT8, stub(0.5)) as int8, side("peer", stub(-3)) as peer:
        *_, row = rows_of(split, [ours, int8, peer])
    assert (row["auroc"], row["good"], row["bad"]) == (0, 12, 13)
    assert (row["image_ratio"], row["image_ratio_int8"], row["fit_ratio_int8"]) == (-3, -6, -6)


def test_the_error_of_a_ratio_is_that_of_repeated_measurements() -> None:
    rng = np.random.default_rng(0)
    draws = [ratio_with_error(rng.normal(10, 1, 80), rng.normal(50, 8, 80)) for _ in range(60)]
    ratios, errors = np.array(draws).T
    assert ratios.mean() == pytest.approx(5, rel=0.02)
    assert np.mean(errors) == pytest.approx(ratios.std(), rel=0.35)


def row(**changes: float) -> dict[str, Any]:
    seen = {"image_ratio": 6.0, "fit_ratio": 6.0, "memory_ratio": 2.5, "auroc_difference": -0.01}
    return {"set": "tiles", "model": "peer", "auroc_difference_se": 0.02, **seen, **changes}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        ({"image_ratio": 4.9}, ["asked at least 5 times faster per image, got 4.90"]),
        ({"fit_ratio": 1.0}, ["asked at least 5 times faster to fit, got 1.00"]),
        ({"memory_ratio": 1.5}, ["asked at least 2 times less memory, got 1.50"]),
        ({"auroc_difference": -0.03}, ["ours is 0.030 +- 0.020 lower"]),
    ],
)
def test_what_was_asked_and_not_seen_is_named(changes: dict[str, float], words: list[str]) -> None:
    told = list(missed(row(**changes)))
    assert len(told) == len(words)
    assert all(word in line for word, line in zip(words, told, strict=True))


def test_a_peer_that_does_not_run_at_all_is_a_claim_that_fails(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'no such module' >&2\nexit 3\n")
    python.chmod(0o755)
    assert claims_of(str(python)) == [
        {"claim": "it runs in this environment", "holds": False, "came": "no such module"}
    ]


def test_claims_come_as_they_were_written(tmp_path: Path) -> None:
    claims = [{"claim": "it fits", "holds": True, "came": "it does"}]
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho '{json.dumps(claims)}' > $4\n")
    python.chmod(0o755)
    assert claims_of(str(python)) == claims


def test_a_side_that_ends_is_told() -> None:
    with (
        side("peer", [sys.executable, "-c", "raise SystemExit(3)"]) as peer,
        pytest.raises(ModelError, match="expected an answer from peer, its process ended"),
    ):
        peer.ask(fit=[])


def test_without_a_set_there_is_nothing_to_compare(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 1
    assert "expected --tiles DIR or --solar" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--solar", "tri"], "expected mono, poly or both, as in mono,poly, got 'tri'"),
        (["--peers", "patchcor"], "expected patchcore, padim or both"),
        (["--ours", "int8"], "expected float32, auto, gaussian-position or all"),
        (["--sola"], "expected --tiles DIR or --solar"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_installed(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.bench.anomalib_env.python_of", pytest.fail)
    monkeypatch.setattr("tools.bench.peer.solar", lambda *_: [])
    with contextlib.suppress(SystemExit):
        assert main(arguments) == 1
    assert words in capsys.readouterr().err


def test_help_installs_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("tools.bench.anomalib_env.python_of", pytest.fail)
    with pytest.raises(SystemExit):
        main(["-h"])
    assert "about 2 GB" in capsys.readouterr().out


def test_what_is_installed_and_where_is_said_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], **_: object) -> SimpleNamespace:
        assert f"into {tmp_path / 'env'}: about 2 GB" in (said := capsys.readouterr().out) or asked, said
        asked.append(command)
        (tmp_path / "env").mkdir(exist_ok=True)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr("tools.bench.anomalib_env.subprocess.run", run)
    for _ in range(2):  # the second one finds it there
        assert anomalib_env.python_of(tmp_path / "env") == str(tmp_path / "env" / "bin" / "python")
    assert [command[-1] for command in asked[:3]] == [
        str(tmp_path / "env"),
        "torch==2.13.0",
        "torchvision==0.28.0",
    ]
    assert len(asked) == 4


def test_an_installation_that_fails_says_why_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = SimpleNamespace(returncode=1, stderr="no network\n")
    monkeypatch.setattr("tools.bench.anomalib_env.subprocess.run", lambda *_, **__: failed)
    for _ in range(2):
        with pytest.raises(ModelError, match="it said: no network"):
            anomalib_env.python_of(tmp_path / "env")
