"""Fit with examples of known defects: what they bring, what the record is told, and what is refused."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest

from inspector.engine.base import open_engine
from inspector.engine.build import build_plan
from inspector.errors import ImagesError, InspectorError, ModelError
from inspector.model.images import read_image
from inspector.model.pack import Pack, load_pack
from tests.support.commands import inspector
from tests.support.plates import blocked, part, scratched, write

SMALL = ["--size", "96", "--taps", "4,7", "--bank", "150", "--false-reject-rate", "0.05"]
KINDS = (("blocked", blocked), ("scratch", scratched))


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders good/ (30), known/ and masks/ (6 of each kind), unseen/ (8 of each)."""
    root = tmp_path_factory.mktemp("plates")
    rng = np.random.default_rng(0)
    for index in range(30):
        write(root / "good" / f"{index}.png", part(rng))
    for kind, make in KINDS:
        for index in range(14):
            image, mask = make(rng)
            write(root / ("known" if index < 6 else "unseen") / kind / f"{index}.png", image)
            if index < 6:
                write(root / "masks" / kind / f"{index}_mask.png", mask)
    return root


@pytest.fixture(scope="module")
def tables() -> dict[str, str]:
    """What fitting printed, by the pack's name."""
    return {}


@pytest.fixture(scope="module", params=["with masks", "without masks"])
def pack(request: pytest.FixtureRequest, plates: Path, tables: dict[str, str]) -> Pack:
    masks = ["--defect-masks", plates / "masks"] if request.param == "with masks" else []
    out = plates / request.param.replace(" ", "-")
    known = ["--defects", plates / "known"]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert inspector("fit", "--good", plates / "good", *known, *masks, "--out", out, *SMALL) == 0
    tables[out.name] = printed.getvalue()
    return load_pack(out)


def test_a_pack_says_what_it_knows_and_what_that_brought(pack: Pack) -> None:
    known = pack.manifest.defects
    assert known is not None
    assert pack.defects == ("blocked", "scratch")
    assert [defect.examples for defect in known.classes] == [6, 6]
    assert known.masks == (12 if "without" not in pack.path.name else 0)
    assert known.recall >= known.recall_without
    # Of each class, the examples that were rejected when held out, by the name they were given.
    rejected = sum(sum(row) for row in known.confusion)
    assert rejected == round(known.recall * 12)
    right = sum(known.confusion[kind][kind] for kind in range(2))
    assert known.named_right == pytest.approx(right / rejected)


def test_parts_that_were_not_seen_are_named_and_placed(pack: Pack, plates: Path) -> None:
    engine = open_engine("openvino", pack.graph, pack.geometry)
    engine.warm_up()
    named, near = [], []
    for kind, _ in KINDS:
        for path in sorted((plates / "unseen" / kind).iterdir()):
            score = engine.score(read_image(path, 1))
            assert score.value > pack.threshold
            name, confidence = score.named(pack.defects)
            named.append(name == kind)
            assert not name or 0 < confidence <= 1
            if kind == "blocked":  # the hole that is not there lies at (90, 30)
                x, y = score.oddest()
                near.append(np.hypot(x - 90, y - 30) < 30)
    engine.close()
    assert np.mean(named) >= 0.7
    assert np.mean(near) >= 0.7


def test_the_gpu_compiler_takes_the_graph_too(pack: Pack) -> None:
    rtx = pytest.importorskip("tensorrt_rtx", reason="no tensorrt_rtx: pip install tensorrt-rtx-cu13")
    plan = build_plan(rtx, pack.graph, pack.graph.read_bytes(), "sm86")
    assert plan.outputs["defects"] == ("float32", (1, 2))


def test_good_parts_keep_their_rate(pack: Pack) -> None:
    entries = json.loads((pack.path / "calibration.json").read_text())["held_out"]
    above = sum(entry["score"] > pack.threshold for entry in entries)
    assert above / len(entries) == pytest.approx(pack.manifest.held_out.false_reject_rate)
    assert above <= 0.05 * len(entries) + 1


def test_the_table_says_what_each_kind_brought(tables: dict[str, str], pack: Pack) -> None:
    assert "known: blocked" in tables[pack.path.name]
    assert "6 examples" in tables[pack.path.name]


def test_masks_without_defects_are_refused(plates: Path) -> None:
    with pytest.raises(ModelError, match="expected --defects beside --defect-masks"):
        inspector(
            "fit", "--good", plates / "good", "--defect-masks", plates / "masks", "--out", plates / "no"
        )


def test_a_good_image_among_the_defects_is_refused_before_anything_is_fitted(
    plates: Path, tmp_path: Path
) -> None:
    for index in range(3):
        write(tmp_path / "known" / "dent" / f"{index}.png", read_image(plates / "good" / f"{index}.png", 1))
    with pytest.raises(ImagesError, match="it is a copy of the good image") as caught:
        inspector(
            "fit", "--good", plates / "good", "--defects", tmp_path / "known", "--out", tmp_path / "p", *SMALL
        )
    assert isinstance(caught.value, InspectorError)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "p").exists()
