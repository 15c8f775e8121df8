"""An interrupted fit goes on where it was, and ends in the very same model."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from inspector.model import checkpoint, sample, trials, tune
from inspector.model.fit import fit
from inspector.model.options import FitOptions
from inspector.model.pack import CALIBRATION, GRAPH, Pack
from inspector.model.progress import FEATURES, HELD_OUT, TUNING
from tests.support.plates import part, scratched, write

OPTIONS = FitOptions(sizes=(64,), bank=60, taps=(("4",),), false_reject_rate=0.05)
IMAGES = 24


@pytest.fixture(autouse=True)
def _always_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what is done after each image, as a slow machine would."""
    monkeypatch.setattr(checkpoint.Checkpoint, "due", lambda *_: True)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three batches of eight plates, and beside them bad/ with four scratched ones."""
    root = tmp_path_factory.mktemp("plates")
    rng = np.random.default_rng(0)
    for index in range(IMAGES):
        write(root / "good" / f"day-{index % 3}" / f"{index}.png", part(rng))
    for index in range(4):
        write(root / "bad" / "scratch" / f"{index}.png", scratched(rng)[0])
    return root / "good"


class Interrupted:
    """Progress that ends in Ctrl-C when a stage is so far, and remembers how often each stage advanced."""

    def __init__(self, stage: str, after: int) -> None:
        self._stage, self._after = stage, after

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage == self._stage and done >= self._after:
            raise KeyboardInterrupt


def content(pack: Pack) -> Iterator[bytes]:
    for name in (GRAPH, CALIBRATION):
        yield (pack.path / name).read_bytes()


def test_the_model_is_the_one_of_a_fit_that_was_never_interrupted(good: Path, tmp_path: Path) -> None:
    bad = good.parent / "bad"
    whole = fit(good, tmp_path / "whole", OPTIONS, defects=bad).pack
    said: list[str] = []
    for stage, after in ((FEATURES, 2), (FEATURES, 17), (HELD_OUT, 126), (HELD_OUT, 260)):
        with pytest.raises(KeyboardInterrupt):
            fit(good, tmp_path / "pack", OPTIONS, Interrupted(stage, after), defects=bad, tell=said.append)
    resumed = fit(good, tmp_path / "pack", OPTIONS, defects=bad, tell=said.append).pack
    assert list(content(resumed)) == list(content(whole))
    assert resumed.threshold == whole.threshold
    assert sum(line.startswith(f"{FEATURES}: going on") for line in said) == 4
    assert sum(line.startswith(f"{HELD_OUT}: going on") for line in said) == 2
    assert not checkpoint.unfinished(tmp_path / "pack").exists()


def test_what_is_done_is_not_done_again(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(good, tmp_path / "pack", OPTIONS, Interrupted(FEATURES, 17))
    begun: list[int] = []
    fit(
        good,
        tmp_path / "pack",
        OPTIONS,
        lambda stage, done, _: begun.append(done) if stage == FEATURES else None,
    )
    assert begun[:2] == [0, 16]  # the image at which it was interrupted was taken in, and not yet kept


def test_the_time_of_earlier_starts_counts_with_that_of_tuning(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "SIZES", (64,))
    monkeypatch.setattr(tune, "BETWEEN", {})
    monkeypatch.setattr(tune, "TAPS", {"efficientnet-lite0": (("4",), ())})
    monkeypatch.setattr(tune, "METHODS", ("gaussian",))
    monkeypatch.setattr(trials, "TIMED", 1)
    monkeypatch.setattr(sample, "EACH", 1)
    options = FitOptions(bank=60, false_reject_rate=0.05)
    with pytest.raises(KeyboardInterrupt):
        fit(good, tmp_path / "pack", options, Interrupted(FEATURES, 17), tune_within_ms=1e6)
    for stage in (TUNING, FEATURES):
        kept = checkpoint.unfinished(tmp_path / "pack") / f"{stage}.npz"
        with np.load(kept) as file:
            arrays = dict(file)
        np.savez(kept, allow_pickle=False, **(arrays | {"seconds": np.array(1e6)}))
    assert fit(good, tmp_path / "pack", options, tune_within_ms=1e6).seconds > 2e6


def test_another_image_begins_anew(good: Path, tmp_path: Path) -> None:
    copied = tmp_path / "good"
    for path in good.rglob("*.png"):
        target = copied / path.relative_to(good)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    with pytest.raises(KeyboardInterrupt):
        fit(copied, tmp_path / "pack", OPTIONS, Interrupted(HELD_OUT, 126))
    write(copied / "day-0" / "0.png", part(np.random.default_rng(9)))  # same name, another part
    said: list[str] = []
    changed = fit(copied, tmp_path / "pack", OPTIONS, tell=said.append).pack
    assert all("of other images, options, versions or another CPU; not used" in line for line in said)
    assert len(said) == 2
    assert list(content(changed)) == list(content(fit(copied, tmp_path / "anew", OPTIONS).pack))
