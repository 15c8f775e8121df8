"""What evaluating says beside the scores: how sure it is, where defects are, which images were seen before, how two packs differ."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from inspector.errors import ImagesError
from tests.support.commands import inspector
from tests.support.plates import write_labelled


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders good/ (16), bad/ with two kinds of defect (6 each), and masks/."""
    root = tmp_path_factory.mktemp("labelled")
    write_labelled(root, np.random.default_rng(7), good=16, bad=6)
    return root


@pytest.fixture(scope="module")
def weaker(tmp_path_factory: pytest.TempPathFactory, good_plates: Path) -> Path:
    """A pack that keeps next to nothing of the good parts."""
    out = tmp_path_factory.mktemp("models") / "weaker"
    assert (
        inspector("fit", "--good", good_plates, "--out", out, "--size", "64", "--bank", "10", "--taps", "4")
        == 0
    )
    return out


def evaluated(pack: Path, root: Path, tmp_path: Path, *more: object) -> dict[str, Any]:
    out = tmp_path / "evaluate.json"
    folders = ["--good", root / "good", "--bad", root / "bad"]
    assert inspector("evaluate", pack, *folders, "--engine", "openvino", "--json", out, *more) == 0
    report: dict[str, Any] = json.loads(out.read_text())
    return report


def test_every_figure_has_its_interval(pack: Path, labelled: Path, tmp_path: Path) -> None:
    report = evaluated(pack, labelled, tmp_path, "--masks", labelled / "masks")
    for name in ("auroc", "auroc_pixel", "aupro", "false_reject_rate", "recall"):
        low, high = report[f"{name}_interval"]
        assert 0 <= low <= report[name] <= high <= 1
    assert (
        report["recall_by_defect_interval"].keys()
        == report["recall_by_defect"].keys()
        == {"blocked", "scratch"}
    )
    assert report["aupro"] > 0.5  # small input, deep taps: the map is coarse
    assert report["auroc_pixel"] > 0.8
    assert set(report["stage_ms"]) == {"read", "preprocess", "graph"}
    assert all(0 < times["p50"] <= times["p99"] for times in report["stage_ms"].values())
    assert report["near_copies"] == {"good": 0, "bad": 0}
    assert report["images"] == {"good": 16, "bad": 12}
    assert "aupro" not in evaluated(pack, labelled, tmp_path)


def test_images_that_were_fitted_are_told(
    pack: Path, good_plates: Path, labelled: Path, tmp_path: Path
) -> None:
    root = tmp_path / "seen"
    shutil.copytree(labelled, root)
    for index, path in enumerate(sorted((good_plates / "monday").iterdir())[:5]):
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert image is not None
        cv2.imwrite(str(root / "good" / f"seen{index}.jpg"), image)  # encoded anew, so that no bytes agree
    report = evaluated(pack, root, tmp_path)
    assert report["near_copies"] == {"good": 5, "bad": 0}
    assert any("5 of 21 good images are near-copies" in warning for warning in report["warnings"])


def test_fitted_images_among_the_bad_are_told(
    pack: Path, good_plates: Path, labelled: Path, tmp_path: Path
) -> None:
    root = tmp_path / "mixed"
    shutil.copytree(labelled, root)
    for path in sorted((good_plates / "monday").iterdir())[:2]:
        shutil.copy(path, root / "bad" / "scratch" / f"good{path.name}")
    report = evaluated(pack, root, tmp_path)
    assert report["near_copies"] == {"good": 0, "bad": 2}
    assert any("2 of 14 bad images are near-copies" in warning for warning in report["warnings"])


def test_more_false_rejects_than_foreseen_are_said(pack: Path, labelled: Path, tmp_path: Path) -> None:
    root = tmp_path / "other"
    shutil.copytree(labelled, root)
    shutil.rmtree(root / "good")
    shutil.copytree(root / "bad" / "scratch", root / "good")
    report = evaluated(pack, root, tmp_path)
    assert report["false_reject_rate"] > 0.5
    assert any("more than the" in warning and "foresaw" in warning for warning in report["warnings"])


def test_two_packs_are_compared_on_the_same_images(
    pack: Path, weaker: Path, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = evaluated(pack, labelled, tmp_path, "--against", weaker)
    other = report["against"]
    assert other["pack"] == str(weaker)
    assert other["auroc_difference"] == pytest.approx(report["auroc"] - other["auroc"])
    low, high = other["auroc_difference_interval"]
    assert low <= other["auroc_difference"] <= high
    assert evaluated(weaker, labelled, tmp_path)["auroc"] == pytest.approx(other["auroc"])
    for name, share, of in (("recalled", "recall", 12), ("false_rejects", "false_reject_rate", 16)):
        only = other[name]["only_this"] - other[name]["only_other"]
        assert only == round((report[share] - other[share]) * of)
    shown = capsys.readouterr().out
    assert "DeLong" in shown
    assert "McNemar" in shown


def test_a_pack_beside_itself_does_not_differ(pack: Path, labelled: Path, tmp_path: Path) -> None:
    other = evaluated(pack, labelled, tmp_path, "--against", pack)["against"]
    assert (other["auroc_difference"], other["auroc_difference_p"]) == (0, 1)
    assert other["recalled"] == {"only_this": 0, "only_other": 0, "p": 1}


def test_all_unreadable_images_are_told_at_once(pack: Path, labelled: Path, tmp_path: Path) -> None:
    root = tmp_path / "broken"
    shutil.copytree(labelled, root)
    (root / "good" / "3.png").write_bytes(b"no image")
    (root / "bad" / "scratch" / "1.png").write_bytes(b"none either")
    with pytest.raises(
        ImagesError, match=r"cannot decode 2: .*3\.png, .*1\.png; remove or replace"
    ) as caught:
        evaluated(pack, root, tmp_path)
    assert "\n" not in str(caught.value)
