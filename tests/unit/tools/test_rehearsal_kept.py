"""The folder of a rehearsal: an earlier one goes only when nothing is wrong with the new one."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.errors import ServiceError
from tools.rehearsal.cli import main
from tools.rehearsal.kept import MARK, check_free, make_free


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """The folder of an earlier rehearsal, with a note of the user's own in it."""
    folder = tmp_path / "r1"
    (folder / "logs").mkdir(parents=True)
    for name in (MARK, "logs/a.jsonl", "escapes-1.png", "result.json", "notes.txt"):
        (folder / name).touch()
    return folder


def content(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for truth in ("good", "bad"):
        (tmp_path / truth).mkdir()
        for n in range(10):
            assert cv2.imwrite(str(tmp_path / truth / f"{n}.png"), np.full((8, 8), n, np.uint8))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"no image")
    (tmp_path / "beyond.yaml").write_text("- {at_part: 500, do: kill camera}")
    (tmp_path / "line.yaml").write_text("camera: {backend: replay}")
    return tmp_path


@pytest.mark.parametrize(
    ("options", "bad"),
    [
        (["nowhere.yaml"], "bad"),
        (["line.yaml"], "bad"),
        (["--rate", "200"], "bad"),
        (["--faults", "nowhere.yaml", "--parts", "12"], "bad"),
        (["--faults", "beyond.yaml", "--parts", "12"], "bad"),
        ([], "broken"),
        ([], "nowhere"),
    ],
)
def test_what_cannot_be_used_costs_no_earlier_rehearsal(
    images: Path, earlier: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], bad: str
) -> None:
    monkeypatch.chdir(images)
    monkeypatch.setattr("tools.rehearsal.cli.heeded", list)  # the signals stay pytest's
    before = content(earlier)
    assert main([*options, "--good", "good", "--bad", bad, "--out", "r1"]) == 2
    assert content(earlier) == before


def test_only_what_a_rehearsal_wrote_is_removed(earlier: Path) -> None:
    check_free(earlier, [earlier / "notes.txt"])
    make_free(earlier)
    assert content(earlier) == [MARK, "notes.txt"]


def test_what_the_new_rehearsal_needs_is_not_removed(earlier: Path) -> None:
    with pytest.raises(ServiceError, match=r"r1/logs/pack would be removed; choose another --out"):
        check_free(earlier, [earlier / "logs" / "pack"])


def test_a_folder_of_somebody_elses_is_left_alone(earlier: Path) -> None:
    (earlier / MARK).unlink()
    before = content(earlier)
    with pytest.raises(ServiceError, match="expected no logs, or an earlier rehearsal's"):
        check_free(earlier, [])
    assert content(earlier) == before
