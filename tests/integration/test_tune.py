"""Tuning from the command line: what was tried is shown, recorded, and decides."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from inspector.engine.base import Engine, Score
from inspector.engine.decoding import Samples
from inspector.engine.preprocess import Geometry
from inspector.errors import ModelError
from inspector.model import choosing, sample, scoring, trials, tune
from inspector.model.batches import find_batches
from inspector.model.folds import choose_folds
from inspector.model.images import list_images, survey
from inspector.model.options import FitOptions, FrameOptions
from inspector.model.pack import load_pack
from tests.support.commands import inspector
from tests.support.plates import SIDE, write_batches


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two batches of twelve plates."""
    root, rng = tmp_path_factory.mktemp("plates"), np.random.default_rng(0)
    write_batches(root, rng, each=12, batches=("monday", "tuesday"))
    return root


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the search as small as it can be and still take every turn."""
    monkeypatch.setattr(tune, "SIZES", (64, 96))
    monkeypatch.setattr(tune, "BETWEEN", {})
    monkeypatch.setattr(tune, "TAPS", {"efficientnet-lite0": (("4", "7"), (("4", "7", "10"),))})
    monkeypatch.setattr(trials, "TIMED", 3)
    monkeypatch.setattr(sample, "EACH", 2)
    monkeypatch.setattr(choosing, "PAIRS", 1)


def test_the_pack_is_of_the_best_trial_and_says_what_was_tried(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert inspector("fit", "--good", good, "--out", tmp_path / "pack", "--bank", "100", "--tune") == 0
    manifest = load_pack(tmp_path / "pack").manifest
    assert manifest.tuning is not None
    assert manifest.tuning.budget_ms is None
    tried = manifest.tuning.tried
    assert {one.sizes for one in tried} == {(64,), (96,), (64, 96)}
    assert {one.method for one in tried} == {"nearest", "gaussian", "reconstruction"}
    assert all(one.engine_ms > 0 and one.auroc for one in tried)
    (chosen,) = (one for one in tried if one.chosen)
    assert chosen.method == manifest.method
    assert tuple(branch.taps for branch in manifest.branches) == chosen.taps
    assert max(branch.height for branch in manifest.branches) == max(chosen.sizes)
    shown = capsys.readouterr().out
    assert "64+96" in shown
    assert "gaussian" in shown


def test_the_same_seed_tries_and_finds_the_same(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "SIZES", (64,))
    monkeypatch.setattr(tune, "METHODS", ())
    monkeypatch.setattr(tune, "TAPS", {"efficientnet-lite0": (("4", "7"), (("4",),))})
    paths = list_images(good)
    found = survey(paths)
    folds = choose_folds(find_batches(paths, good, found.thumbnails), np.random.default_rng(0))

    def told(seed: int) -> list[tuple[FitOptions, dict[str, float] | None]]:
        tuning = tune.tune(paths, folds, replace(FitOptions(), bank=100, seed=seed), found)
        return [
            (trial.candidate, trial.outcome.by_kind if trial.outcome else None) for trial in tuning.trials
        ]

    first = told(3)
    assert len(first) == 2
    assert first == told(3)


def test_the_time_of_an_image_begins_with_the_frame_as_it_comes(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Region, pose and scaling of a large frame take their share of the budget."""
    monkeypatch.setattr(tune, "SIZES", (64,))
    monkeypatch.setattr(tune, "METHODS", ())
    seen: set[tuple[object, tuple[int, ...]]] = set()

    class Recording:
        def __init__(self, engine: Engine, geometry: Geometry) -> None:
            self._engine, self._geometry = engine, geometry

        def score(self, image: Samples) -> Score:
            seen.add((self._geometry.roi, image.shape))
            return self._engine.score(image)

    @contextmanager
    def recorded(graph: onnx.ModelProto, geometry: Geometry) -> Iterator[Recording]:
        with scoring.compiled(graph, geometry) as engine:
            yield Recording(engine, geometry)

    monkeypatch.setattr(trials, "compiled", recorded)
    paths = list_images(good)
    found = survey(paths)
    folds = choose_folds(find_batches(paths, good, found.thumbnails), np.random.default_rng(0))
    roi = 10, 10, 60, 60
    tune.tune(paths, folds, FitOptions(bank=100, frame=FrameOptions(roi=roi)), found)
    assert (roi, (SIDE, SIDE)) in seen


def test_a_budget_that_nothing_keeps_is_one_line_and_leaves_nothing(good: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="raise --budget-ms to at least") as raised:
        inspector("fit", "--good", good, "--out", tmp_path / "pack", "--tune", "--budget-ms", "0.001")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "pack").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tune", "--budget-ms", "0"], "above 0 ms"),
        (["--tune", "--budget-ms", "nan"], "above 0 ms"),
        (["--budget-ms", "20"], "--tune beside --budget-ms"),
        (["--tune", "--size", "128"], "--size chose already"),
        (["--tune", "--method", "gaussian", "--pooling", "8"], "--method, --pooling chose already"),
        (["--tune", "--tiles", "256"], "--tiles chose already"),
    ],
)
def test_what_does_not_go_together_is_one_line(
    good: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    with pytest.raises(ModelError, match=message) as raised:
        inspector("fit", "--good", good, "--out", tmp_path / "pack", *arguments)
    assert "\n" not in str(raised.value)
