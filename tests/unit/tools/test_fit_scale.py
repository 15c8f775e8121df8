"""The benchmark of fitting makes the images it says it does, and fits on them."""

import json
from pathlib import Path

import numpy as np
import pytest

from inspector.model.images import list_images, survey
from tests.support.plates import part, write
from tools.bench.fit_scale import lay_out, main


@pytest.fixture
def good(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for index in range(8):
        write(tmp_path / "good" / f"{index}.png", part(rng))
    return tmp_path / "good"


def test_copies_are_no_copies_and_lie_in_the_batch_of_their_part(good: Path, tmp_path: Path) -> None:
    sources = list_images(good)
    lay_out(sources, tmp_path / "many", 24)
    made = list_images(tmp_path / "many")
    found = survey(made)
    assert (len(made), found.different, found.channels) == (24, 24, 1)
    batch_of = {int(path.stem): path.parent.name for path in made}
    assert len(set(batch_of.values())) == 4
    assert all(batch_of[index] == batch_of[index % 8] for index in range(24))


def test_fewer_than_there_are_are_taken_as_they_are(good: Path, tmp_path: Path) -> None:
    lay_out(list_images(good), tmp_path / "few", 4)
    assert [path.resolve().parent for path in list_images(tmp_path / "few")] == [good] * 4


def test_a_row_for_each_number_of_images(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "fit.json"
    arguments = ["--good", str(good), "--images", "20,24", "--work", str(tmp_path), "--json", str(out)]
    assert main([*arguments, "--fit", "--size 64 --bank 20 --taps 4"]) == 0
    report = json.loads(out.read_text())
    assert [row["images"] for row in report["rows"]] == [20, 24]
    assert all(row["peak_rss_mb"] > 0 and row["seconds"] > 0 and row["bank"] == 20 for row in report["rows"])
    assert "machine" in report
    assert "Fitting by the number of good images" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fit.json", "good"]


def test_a_folder_without_images_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--good", str(tmp_path / "none")]) == 2
    assert "correct the path" in capsys.readouterr().err
