"""Fit on good parts, measure on good and bad ones: the two commands as a user types them."""

import json
from pathlib import Path

import numpy as np
import pytest

from inspector.engine.base import open_engine
from inspector.errors import ImagesError, InspectorError, PackError
from inspector.model.fit import fit
from inspector.model.images import read_image
from inspector.model.pack import load_pack
from tests.support.commands import inspector
from tests.support.networks import detector
from tests.support.plates import write, write_batches, write_labelled

# Of 96 pixels the deepest of the default taps makes 3 x 3 cells: too coarse to say where a scratch is.
SMALL = ["--size", "96", "--bank", "150", "--taps", "4,7,10"]


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders fit/ (three batches of 12), good/ (20), bad/ with two kinds of defect (8 each), masks/."""
    root = tmp_path_factory.mktemp("plates")
    rng = np.random.default_rng(0)
    write_batches(root / "fit", rng, each=12)
    write_labelled(root, rng, good=20, bad=8)
    return root


@pytest.fixture(scope="module")
def fitted(plates: Path) -> Path:
    """A pack fitted on the plates, and fit.json beside it."""
    pack = plates / "models" / "plate"
    arguments = [
        "--good",
        plates / "fit",
        "--out",
        pack,
        "--json",
        plates / "fit.json",
        "--false-reject-rate",
        "0.05",
    ]
    assert inspector("fit", *arguments, *SMALL) == 0
    return pack


def test_fit_reports_under_the_published_names(plates: Path, fitted: Path) -> None:
    report = json.loads((plates / "fit.json").read_text())
    assert list(report) == ["images", "seconds", "peak_rss_mb", "method", "bank", "threshold"]
    assert (report["images"], report["method"], report["bank"]) == (36, "nearest", 150)
    assert report["threshold"] == load_pack(fitted).threshold > 0


def test_evaluate_tells_bad_from_good(plates: Path, fitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = plates / "evaluate.json"
    folders = ["--good", plates / "good", "--bad", plates / "bad", "--masks", plates / "masks"]
    assert inspector("evaluate", fitted, *folders, "--engine", "openvino", "--json", out) == 0
    report = json.loads(out.read_text())
    names = {"auroc", "auroc_pixel", "false_reject_rate", "recall", "recall_by_defect", "engine_ms", "engine"}
    assert names < set(report)
    assert report["auroc"] > 0.98
    assert report["auroc_pixel"] > 0.9
    assert report["recall"] > 0.9
    assert report["false_reject_rate"] <= 0.2
    assert set(report["recall_by_defect"]) == {"scratch", "blocked"}
    assert set(report["engine_ms"]) == {"p50", "p99"}
    assert report["engine"] == "openvino"
    shown = capsys.readouterr().out
    assert "AUROC" in shown
    assert "- scratch" in shown
    assert f"{report['recall']:.1%}" in shown


def test_without_masks_no_pixel_figure(plates: Path, fitted: Path) -> None:
    out = plates / "unmasked.json"
    inspector("evaluate", fitted, "--good", plates / "good", "--bad", plates / "bad", "--json", out)
    assert "auroc_pixel" not in json.loads(out.read_text())


def test_the_threshold_rests_on_whole_batches(fitted: Path) -> None:
    held_out = load_pack(fitted).manifest.held_out
    assert (held_out.by, held_out.batches, held_out.images) == ("folders", 3, 36)
    assert held_out.promised
    assert held_out.interval is not None
    assert [point.images for point in held_out.learning if point.foreseen] == [72, 144]
    entries = json.loads((fitted / "calibration.json").read_text())["held_out"]
    assert len(entries) == 36
    assert len({entry["fold"] for entry in entries}) == 3
    assert all(
        len({e["fold"] for e in entries if e["batch"] == batch}) == 1 for batch in ("monday", "tuesday")
    )
    above = sum(entry["score"] > load_pack(fitted).threshold for entry in entries)
    assert held_out.false_reject_rate == pytest.approx(above / 36)


def test_reference_images_score_as_the_manifest_says(fitted: Path) -> None:
    pack = load_pack(fitted)
    engine = open_engine("openvino", pack.graph, pack.geometry)
    try:
        for reference in pack.manifest.references:
            image = read_image(fitted / reference.file, pack.geometry.channels)
            assert engine.score(image).value == pytest.approx(reference.score, rel=1e-4)
    finally:
        engine.close()
    assert [reference.file for reference in pack.manifest.references] == [
        f"reference/{name}.png" for name in ("best", *(f"rank-{rank:02}" for rank in range(2, 12)), "worst")
    ]


def test_the_same_seed_gives_the_same_threshold(plates: Path, fitted: Path, tmp_path: Path) -> None:
    inspector(
        "fit", "--good", plates / "fit", "--out", tmp_path / "again", "--false-reject-rate", "0.05", *SMALL
    )
    assert load_pack(tmp_path / "again").threshold == pytest.approx(load_pack(fitted).threshold, rel=1e-4)


def test_one_batch_and_too_few_for_the_rate_are_said(
    plates: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inspector("fit", "--good", plates / "good", "--out", tmp_path / "one", *SMALL)
    warnings = " ".join(load_pack(tmp_path / "one").manifest.warnings)
    assert "no false-reject rate is promised for the next batch" in warnings
    assert "20 held-out images cannot show a false-reject rate of 1.00%" in warnings
    assert "warning:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("missing", "expected a folder of images, there is none"),
        ("empty", "found none"),
        ("few", "at least 20 different good images, found 8"),
        ("broken", "OpenCV cannot decode it"),
    ],
)
def test_good_images_that_cannot_be_used(plates: Path, tmp_path: Path, spoil: str, message: str) -> None:
    folder = tmp_path / "good"
    if spoil == "few":
        folder = plates / "bad" / "scratch"
    elif spoil != "missing":
        folder.mkdir()
    if spoil == "broken":
        for index in range(20):
            write(folder / f"{index}.png", np.zeros((40, 40), np.uint8))
        (folder / "7.png").write_bytes((folder / "7.png").read_bytes()[:60])
    with pytest.raises(ImagesError, match=message) as caught:
        inspector("fit", "--good", folder, "--out", tmp_path / "pack", *SMALL)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "pack").exists()


def test_copies_of_one_image_are_too_few(tmp_path: Path) -> None:
    for index in range(20):
        write(tmp_path / "good" / f"{index}.png", np.full((64, 64), 128, np.uint8))
    with pytest.raises(ImagesError, match="at least 20 different good images, found 1"):
        inspector("fit", "--good", tmp_path / "good", "--out", tmp_path / "pack", *SMALL)


def test_a_folder_in_the_way_is_told_before_the_work(plates: Path) -> None:
    stages: list[str] = []

    def note(stage: str, done: int, total: int) -> None:
        stages.append(stage)

    with pytest.raises(PackError, match="found something else"):
        fit(plates / "fit", plates / "good", progress=note)
    assert stages == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--bank", "3"],
        ["--size", "16"],
        ["--taps", "4,99"],
        ["--false-reject-rate", "0"],
        ["--json", "/nowhere/fit.json"],
    ],
)
def test_options_out_of_range_are_one_line(plates: Path, tmp_path: Path, arguments: list[str]) -> None:
    with pytest.raises(InspectorError) as caught:
        inspector("fit", "--good", plates / "fit", "--out", tmp_path / "pack", *SMALL, *arguments)
    assert "\n" not in str(caught.value)


def test_a_network_of_somebody_else_is_fitted_and_measured(plates: Path, tmp_path: Path) -> None:
    network = detector(tmp_path / "net.onnx")
    pack, out = tmp_path / "pack", tmp_path / "fit.json"
    arguments = ["--method", "imported", "--network", network, "--output", "anomaly_map", "--size", "96"]
    assert inspector("fit", "--good", plates / "fit", "--out", pack, *arguments, "--json", out) == 0
    report, manifest = json.loads(out.read_text()), load_pack(pack).manifest
    assert (report["method"], report["bank"]) == ("imported", 0)
    assert manifest.backbone is None
    assert manifest.network is not None
    assert manifest.network.outputs == ("anomaly_map",)
    assert any("trained on these very images" in warning for warning in manifest.warnings)
    measured = tmp_path / "evaluate.json"
    folders = ["--good", plates / "good", "--bad", plates / "bad" / "scratch"]
    assert inspector("evaluate", pack, *folders, "--engine", "openvino", "--json", measured) == 0
    assert json.loads(measured.read_text())["auroc"] > 0.9, "a bright scratch is far from grey"


def test_other_methods_scales_and_poolings_make_a_pack(plates: Path, tmp_path: Path) -> None:
    pack, out = tmp_path / "pack", tmp_path / "evaluate.json"
    arguments = ["--method", "gaussian-position", "--size", "96,64", "--taps", "4,7/7", "--pooling", "16"]
    assert inspector("fit", "--good", plates / "fit", "--out", pack, *arguments) == 0
    manifest = load_pack(pack).manifest
    assert (manifest.method, manifest.pooling) == ("gaussian-position", 16.0)
    assert [(b.height, b.width, b.taps) for b in manifest.branches] == [
        (96, 96, ("4", "7")),
        (64, 64, ("7",)),
    ]
    inspector("evaluate", pack, "--good", plates / "good", "--bad", plates / "bad", "--json", out)
    assert json.loads(out.read_text())["auroc"] > 0.9
