"""Several views of a part from the command to the verdict: one pack, one execution, a defect in either view found and named."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.engine.base import Engine, Score, open_engine
from inspector.errors import DisagreementError, ImagesError, ModelError, PackError
from inspector.model import checkpoint
from inspector.model.fit import fit
from inspector.model.images import read_frame
from inspector.model.options import FitOptions, ViewOptions
from inspector.model.pack import CALIBRATION, GRAPH, Pack, load_pack
from inspector.model.progress import FEATURES, HELD_OUT, MODEL
from inspector.model.selftest import require_agreement
from tests.support.boards import HEIGHT, VIEWS, WIDTH, Image, bent, board, smeared, write_good, write_labelled
from tests.support.commands import inspector
from tests.support.plates import write

SMALL = ("--size", "64", "--bank", "80", "--taps", "4,7", "--false-reject-rate", "0.05")
OPTIONS = FitOptions(
    sizes=(64,),
    bank=60,
    taps=(("4",),),
    false_reject_rate=0.05,
    views=tuple(ViewOptions(name, roi) for name, roi in VIEWS.items()),
)


def arguments(views: dict[str, tuple[int, int, int, int]]) -> list[str]:
    return [part for name, roi in views.items() for part in ("--view", f"{name}={','.join(map(str, roi))}")]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("boards")
    write_good(folder, 36)
    return folder


@pytest.fixture(scope="module")
def pack(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    out = tmp_path_factory.mktemp("models") / "board"
    assert inspector("fit", "--good", good, "--out", out, *SMALL, *arguments(VIEWS)) == 0
    return load_pack(out)


@pytest.fixture(scope="module")
def engine(pack: Pack) -> Engine:
    return open_engine("openvino", pack.graph, pack.geometries)


def scored(engine: Engine, image: NDArray[np.float64]) -> Score:
    return engine.score(np.clip(image, 0, 255).astype(np.uint8))


def test_the_pack_names_its_views(pack: Pack) -> None:
    assert pack.views == tuple(VIEWS)
    assert [geometry.roi for geometry in pack.geometries] == list(VIEWS.values())
    assert {geometry.frame for geometry in pack.geometries} == {(WIDTH, HEIGHT)}
    assert pack.threshold == pytest.approx(1)


@pytest.mark.parametrize(("make", "view"), [(bent, "pins"), (smeared, "label")])
def test_a_defect_in_either_view_is_found_and_named(
    make: Callable[[np.random.Generator], Image], view: str, pack: Pack, engine: Engine
) -> None:
    rng = np.random.default_rng(5)
    for _ in range(5):
        score = scored(engine, make(rng))
        assert score.value > pack.threshold
        assert pack.views[score.view] == view
        others = [own.value for number, own in enumerate(score.views) if number != score.view]
        assert max(others) < pack.threshold
        x, y = score.oddest()
        left, top, width, height = VIEWS[view]
        assert left <= x <= left + width
        assert top <= y <= top + height


def test_good_parts_pass(pack: Pack, engine: Engine) -> None:
    rng = np.random.default_rng(6)
    assert np.mean([scored(engine, board(rng)).value > pack.threshold for _ in range(20)]) <= 0.2


def test_the_part_is_as_odd_as_its_worst_view(pack: Pack) -> None:
    """Of held-out images: what the threshold rests on, and the rate that is stated for the part."""
    entries = json.loads((pack.path / CALIBRATION).read_text())["held_out"]
    assert len(entries) == 36
    for entry in entries:
        assert set(entry["views"]) == set(VIEWS)
        assert entry["score"] == max(entry["views"].values())
    above = np.mean([entry["score"] > pack.threshold for entry in entries])
    assert pack.manifest.held_out.false_reject_rate == pytest.approx(above)
    assert above <= 0.05


def test_the_self_test_sees_views_in_each_others_place(
    pack: Pack, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_agreement(engine, pack)
    monkeypatch.setattr(
        engine, "score_prepared", lambda prepared: unchanged(engine, np.ascontiguousarray(prepared[::-1]))
    )
    with pytest.raises(DisagreementError):
        require_agreement(engine, pack)


def test_the_self_test_sees_a_view_that_never_decides(
    pack: Pack, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of few good images one view may be the worst in none; computed wrongly it would release its defects."""

    def blind(prepared: NDArray[np.uint8]) -> Score:
        true = unchanged(engine, prepared)
        return replace(true, views=(true.views[0], replace(true.views[1], value=0.9 * true.views[1].value)))

    monkeypatch.setattr(engine, "score_prepared", blind)
    with pytest.raises(DisagreementError):
        require_agreement(engine, pack)


def unchanged(engine: Engine, prepared: NDArray[np.uint8]) -> Score:
    """Score with what the engine had before it was changed."""
    return type(engine).score_prepared(engine, prepared)


def test_a_view_is_part_of_what_the_hash_covers(pack: Pack, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in pack.path.rglob("*.*"):
        target = moved / path.relative_to(pack.path)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    manifest = json.loads((moved / "manifest.json").read_text())
    manifest["views"][0]["roi"][0] += 4
    (moved / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(PackError, match="it was altered"):
        load_pack(moved)


def test_evaluate_says_which_view_decided(
    pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_labelled(tmp_path, 6)
    figures = tmp_path / "figures.json"
    status = inspector(
        "evaluate", pack.path, "--good", tmp_path / "good", "--bad", tmp_path / "bad", "--json", figures
    )
    assert status == 0
    result = json.loads(figures.read_text())
    assert result["recall"] == 1
    views = result["by_view"]
    assert list(views) == list(VIEWS)
    assert views["pins"]["recall_by_defect"] == {"bent": 1, "smeared": 0}
    assert views["label"]["recall_by_defect"] == {"bent": 0, "smeared": 1}
    assert [view["decided"]["bad"] for view in views.values()] == [6, 6]
    shown = capsys.readouterr().out
    assert "what each view rejects by itself" in shown
    assert "pins" in shown


def test_one_view_is_the_region_that_it_names(good: Path, tmp_path: Path) -> None:
    pins = ",".join(map(str, VIEWS["pins"]))
    packs = []
    for name, chosen in (("view", ["--view", f"pins={pins}"]), ("roi", ["--roi", pins])):
        assert inspector("fit", "--good", good, "--out", tmp_path / name, *SMALL, *chosen) == 0
        packs.append(load_pack(tmp_path / name))
    view, roi = packs
    assert view.graph.read_bytes() == roi.graph.read_bytes()
    assert view.views == ()
    assert view.geometries == roi.geometries


@pytest.mark.parametrize(
    ("views", "error", "told"),
    [
        (
            {"pins": (150, 0, 51, 20), "label": VIEWS["label"]},
            ModelError,
            "view pins: the region .* 200 x 140",
        ),
        (
            {f"v{number}": (number, 0, 40, 40) for number in range(500)},
            ModelError,
            "at most 16 views, got 500",
        ),
    ],
)
def test_views_that_cannot_be_are_one_line(
    views: dict[str, tuple[int, int, int, int]], error: type[Exception], told: str, good: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=told) as caught:
        inspector("fit", "--good", good, "--out", tmp_path / "pack", *SMALL, *arguments(views))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "pack").exists()


def test_a_frame_that_a_view_does_not_fit_in_is_refused(pack: Pack, tmp_path: Path) -> None:
    write_labelled(tmp_path, 1)
    small = tmp_path / "good" / "small.png"
    write(small, read_frame(tmp_path / "good" / "0.png", 1)[:-10].astype(np.uint8))
    with pytest.raises(ImagesError, match="expected frames of 200 x 140 pixels"):
        inspector("evaluate", pack.path, "--good", tmp_path / "good", "--bad", tmp_path / "bad")


def test_a_pack_with_views_does_not_grow(pack: Pack, good: Path, tmp_path: Path) -> None:
    with pytest.raises(
        PackError, match="a pack without views, this one has pins, label, whose banks cannot grow"
    ):
        inspector("fit", "--add", good, "--pack", pack.path, "--out", tmp_path / "grown")


class Interrupted:
    """Progress that ends in Ctrl-C when a stage is so far, and remembers how far each one got."""

    def __init__(self, stage: str = "", after: int = 0) -> None:
        self._stage, self._after = stage, after
        self.reached: dict[str, int] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        assert self.reached.get(stage, 0) <= done <= total, "the views are one stage together"
        self.reached[stage] = done
        if stage == self._stage and done >= self._after:
            raise KeyboardInterrupt


def test_an_interrupted_fit_goes_on_in_the_view_where_it_was(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint.Checkpoint, "due", lambda *_: True)
    whole = Interrupted()
    first = fit(good, tmp_path / "whole", OPTIONS, whole).pack
    assert set(whole.reached) >= {FEATURES, HELD_OUT, MODEL}
    said: list[str] = []
    for stage in (FEATURES, HELD_OUT):
        with pytest.raises(KeyboardInterrupt):
            fit(
                good,
                tmp_path / "pack",
                OPTIONS,
                Interrupted(stage, whole.reached[stage] - 5),
                tell=said.append,
            )
    second = fit(good, tmp_path / "pack", OPTIONS, tell=said.append).pack
    for name in (GRAPH, CALIBRATION):
        assert (first.path / name).read_bytes() == (second.path / name).read_bytes()
    assert any("label.features: going on" in line for line in said)
    assert any("label.held-out models: going on" in line for line in said)
