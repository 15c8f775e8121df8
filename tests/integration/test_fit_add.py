"""A bank that grows by new good images: what passed still passes, and what is promised is said."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.engine.base import open_engine
from inspector.errors import InspectorError, ModelError, PackError
from inspector.model.collect import collect
from inspector.model.fitted import FITTED, from_file
from inspector.model.grow import grow
from inspector.model.images import list_images, read_image
from inspector.model.methods.nearest import NearestHead
from inspector.model.pack import MANIFEST, Pack, load_pack
from inspector.model.training import Collected
from tests.support.commands import inspector
from tests.support.plates import part, scratched, write, write_batches

SMALL = ["--size", "96", "--bank", "150", "--taps", "4,7,10", "--false-reject-rate", "0.05"]


def dented(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a good plate of a new lot: with a broad shade that none before had."""
    image = part(rng)
    rows = np.arange(len(image))[:, None]
    return np.asarray(image + 45 * np.exp(-np.square((rows - 60) / 12)))


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """old/ (three batches of ten), new/ (nine of a lot with a shade), shaded/ (six more of it), bad/ (five), and a mask."""
    root = tmp_path_factory.mktemp("plates")
    rng = np.random.default_rng(0)
    write_batches(root / "old", rng, each=10)
    for folder, count in (("new", 9), ("shaded", 6)):
        for index in range(count):
            write(root / folder / f"{index}.png", dented(rng))
    for index in range(5):
        write(root / "bad" / "scratch" / f"{index}.png", scratched(rng)[0])
    mask = np.full((120, 120), 255, np.uint8)
    mask[:10, :20] = 0
    write(root / "mask.png", mask)
    return root


@pytest.fixture(scope="module")
def old(plates: Path) -> Pack:
    """What has to be found again: a region, a mask, two scales."""
    frame = ["--roi", "2,2,116,116", "--mask", plates / "mask.png", "--size", "96,64"]
    inspector("fit", "--good", plates / "old", "--out", plates / "packs" / "old", *SMALL, *frame)
    return load_pack(plates / "packs" / "old")


@pytest.fixture(scope="module")
def grown(plates: Path, old: Pack) -> Pack:
    out = plates / "packs" / "grown"
    assert inspector("fit", "--add", plates / "new", "--pack", old.path, "--out", out) == 0
    return load_pack(out)


def scores(pack: Pack, folder: Path) -> NDArray[np.float64]:
    engine = open_engine("openvino", pack.graph, pack.geometry)
    try:
        return np.array([engine.score(read_image(path, 1)).value for path in list_images(folder)])
    finally:
        engine.close()


def test_no_part_scores_higher_than_before(plates: Path, old: Pack, grown: Pack) -> None:
    for folder in ("old", "new", "shaded", "bad"):
        before, after = scores(old, plates / folder), scores(grown, plates / folder)
        assert (after <= before * 1.0001).all(), folder


def test_the_new_lot_passes_and_a_defect_does_not(plates: Path, old: Pack, grown: Pack) -> None:
    shaded_before, shaded = scores(old, plates / "shaded"), scores(grown, plates / "shaded")
    assert shaded.mean() < 0.9 * shaded_before.mean()
    assert (shaded > grown.threshold).mean() <= 1 / 3
    assert (scores(grown, plates / "bad") > grown.threshold).mean() >= 0.8


def test_the_old_bank_is_the_first_part_of_the_new_one(old: Pack, grown: Pack) -> None:
    before, after = from_file(old.path / FITTED), from_file(grown.path / FITTED)
    for head, more in zip(before.heads, after.heads, strict=True):
        assert isinstance(head, NearestHead)
        assert isinstance(more, NearestHead)
        assert more.size > head.size
        np.testing.assert_array_equal(more.bank.entries[: head.size], head.bank.entries)
        np.testing.assert_array_equal(more.bank.spacing[: head.size], head.bank.spacing)
        np.testing.assert_array_equal(more.whitening.projection, head.whitening.projection)


def test_the_pack_says_what_it_grew_from_and_what_it_can_promise(
    plates: Path, old: Pack, grown: Pack
) -> None:
    manifest, entries = grown.manifest, json.loads((grown.path / "calibration.json").read_bytes())["held_out"]
    assert manifest.grown is not None
    assert (manifest.grown.model_hash, manifest.grown.images) == (old.model_hash, 9)
    assert manifest.grown.entries == manifest.bank - old.manifest.bank
    assert (manifest.images, manifest.held_out.batches, len(entries)) == (39, 4, 39)
    assert manifest.false_reject_rate == old.manifest.false_reject_rate
    assert "without its 30 images" in manifest.warnings[0]
    assert grown.geometry == old.geometry
    was = json.loads((old.path / "calibration.json").read_bytes())["held_out"]
    assert {entry["image"]: entry["score"] for entry in was}.items() <= {
        entry["image"]: entry["score"] for entry in entries
    }.items()
    assert {entry["batch"] for entry in entries if entry not in was} == {"new"}


def test_it_grows_again(plates: Path, grown: Pack) -> None:
    out = plates / "packs" / "again"
    arguments = ["--add", plates / "shaded", "--pack", grown.path, "--out", out, "--bank", "500"]
    assert inspector("fit", *arguments) == 0
    assert load_pack(out).manifest.images == 45


def test_images_that_were_fitted_on_say_nothing_of_the_threshold(plates: Path, old: Pack) -> None:
    out = plates / "packs" / "same"
    assert inspector("fit", "--add", plates / "old" / "monday", "--pack", old.path, "--out", out) == 0
    pack = load_pack(out)
    assert pack.threshold == pytest.approx(old.threshold)
    assert pack.manifest.held_out.images == 30
    assert any("10 of 10 new images are as alike as copies" in warning for warning in pack.manifest.warnings)


def test_one_more_image_is_enough(plates: Path, old: Pack, tmp_path: Path) -> None:
    write(tmp_path / "one" / "0.png", dented(np.random.default_rng(5)))
    assert inspector("fit", "--add", tmp_path / "one", "--pack", old.path, "--out", tmp_path / "new") == 0
    assert load_pack(tmp_path / "new").manifest.images == 31


def test_a_bank_that_grows_large_is_chosen_among_twice_as_many_patches(
    plates: Path, old: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def noted(*arguments: Any, **named: Any) -> Collected:
        asked.append(named["candidates"])
        return collect(*arguments, **named)

    monkeypatch.setattr("inspector.model.grow.collect", noted)
    grow(plates / "shaded", old.path, tmp_path / "new", bank=100_000)
    assert asked == [2 * (100_000 - old.manifest.bank // 2)]  # the bank of each of two branches


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "expected --pack OLD and --out NEW beside --add"),
        (["--pack", "old"], "expected --pack OLD and --out NEW beside --add"),
        (["--pack", "old", "--out", "new", "--size", "160"], "got --size; leave it out"),
        (["--pack", "missing", "--out", "new"], "expected a model pack"),
    ],
)
def test_what_does_not_go_with_add_is_one_line(
    plates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InspectorError, match=told) as caught:
        inspector("fit", "--add", plates / "new", *arguments)
    assert "\n" not in str(caught.value)


def test_a_pack_alone_is_refused(plates: Path) -> None:
    with pytest.raises(ModelError, match="expected --add DIR beside --pack"):
        inspector("fit", "--good", plates / "old", "--pack", "any")


def test_a_pack_of_another_method_cannot_grow(plates: Path, tmp_path: Path) -> None:
    gaussian = tmp_path / "gaussian"
    inspector("fit", "--good", plates / "old", "--out", gaussian, *SMALL, "--method", "gaussian")
    with pytest.raises(PackError, match="whose bank can grow, this one is of gaussian"):
        inspector("fit", "--add", plates / "new", "--pack", gaussian, "--out", tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert FITTED not in json.loads((gaussian / MANIFEST).read_text())["files"]
