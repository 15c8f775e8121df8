"""Contact sheets: what is on them, and how they are paged."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.engine.base import Score
from inspector.engine.decoding import Samples
from inspector.errors import PoseError
from tools.rehearsal.folders import Sensor, Shown
from tools.rehearsal.result import PartOutcome
from tools.rehearsal.sheet import COLUMNS, ROWS, draw


class Hot:
    """An engine that finds everything bad, in one corner."""

    name = "hot"

    def warm_up(self) -> None:
        """Do nothing."""

    def score(self, image: Samples, pixel_format: str | None = None) -> Score:
        """Return a heat map of the left half, whose first place is hot."""
        heatmap = np.zeros((4, 4), np.float32)
        heatmap[0, 0] = 5
        height, width = image.shape[:2]
        return Score(5.0, heatmap, (width / 8, 0, 0, 0, height / 4, 0))

    def score_prepared(self, prepared: NDArray[np.uint8]) -> Score:
        """Not asked for."""
        raise AssertionError

    def close(self) -> None:
        """Do nothing."""


def outcomes(folder: Path, count: int) -> tuple[list[PartOutcome], dict[str, Shown]]:
    file = folder / "grey.png"
    cv2.imwrite(str(file), np.full((30, 60), 128, np.uint8))
    shown = {f"bad/{n}": Shown(f"bad/{n}", file, good=False) for n in range(count)}
    return [
        PartOutcome({"image": name, "index": 7}, {"score": 0.5, "reason": "NONE"}) for name in shown
    ], shown


def pages(folder: Path, count: int) -> list[Path]:
    parts, shown = outcomes(folder, count)
    sheets = {"escapes": parts, "false-rejects": []}
    return draw(sheets, folder, shown=shown, sensor=Sensor(60, 30, 1), engine=Hot(), threshold=1.0)


def test_without_mistakes_there_are_no_pages(tmp_path: Path) -> None:
    assert pages(tmp_path, 0) == []


def test_a_full_page_is_followed_by_another(tmp_path: Path) -> None:
    drawn = pages(tmp_path, COLUMNS * ROWS + 1)
    assert [page.name for page in drawn] == ["escapes-1.png", "escapes-2.png"]
    full, rest = (cv2.imread(str(page)) for page in drawn)
    assert full is not None
    assert rest is not None
    assert full.shape[0] > rest.shape[0]
    assert full.shape[1] > rest.shape[1]


def test_a_tile_shows_the_picture_its_heat_and_its_name(tmp_path: Path) -> None:
    [page] = pages(tmp_path, 1)
    tile = cv2.imread(str(page))
    assert tile is not None
    colour = tile.max(axis=2).astype(int) - tile.min(axis=2)
    half = tile.shape[1] // 2
    assert colour[:, :half].max() == 0, "the picture as it is, grey"
    assert colour[:, half:].max() > 100, "the heat beside it, coloured"
    assert colour[:, half + 30 : half + 60].max() > 100, "where the engine looked"
    assert colour[:, half + 130 :].max() == 0, "and nowhere else"
    assert (tile[250:] > 200).any(), "the caption"


def test_a_frame_that_has_no_score_is_shown_without_heat(tmp_path: Path) -> None:
    class Lost(Hot):
        def score(self, image: Samples, pixel_format: str | None = None) -> Score:
            raise PoseError("the part lies elsewhere")

    parts, shown = outcomes(tmp_path, 1)
    engine = Lost()
    [page] = draw(
        {"escapes": parts}, tmp_path, shown=shown, sensor=Sensor(60, 30, 1), engine=engine, threshold=1.0
    )
    tile = cv2.imread(str(page))
    assert tile is not None
    assert (tile.max(axis=2).astype(int) - tile.min(axis=2)).max() == 0
    assert (tile[250:] > 200).any(), "the caption"


def test_a_tile_names_the_defect_of_the_record(tmp_path: Path) -> None:
    parts, shown = outcomes(tmp_path, 1)
    verdict = {"score": 3.0, "reason": "SCORE", "defect": "crack", "confidence": 0.75}
    drawn = []
    for name, outcome in (("plain", parts[0]), ("named", PartOutcome(parts[0].seen, verdict))):
        folder = tmp_path / name
        folder.mkdir()
        [page] = draw(
            {"rejects": [outcome]}, folder, shown=shown, sensor=Sensor(60, 30, 1), engine=Hot(), threshold=1.0
        )
        picture = cv2.imread(str(page))
        assert picture is not None
        drawn.append(np.flatnonzero((picture.max(axis=2) > 128)[-24:].any(axis=0)).max())
    assert drawn[1] > drawn[0] + 50, "the text goes on with the name"


def test_the_heat_of_every_view_is_shown_and_the_one_that_decided_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Views(Hot):
        def score(self, image: Samples, pixel_format: str | None = None) -> Score:
            """Return two views, the upper and the lower half, each hot in its first place."""
            whole = super().score(image)
            step, height = whole.cells_to_frame[0], image.shape[0]
            views = tuple(
                replace(whole, cells_to_frame=(step, 0, 0, 0, height / 8, top)) for top in (0.0, height / 2)
            )
            return replace(whole, view=1, views=views)

    told: list[str] = []
    monkeypatch.setattr("tools.rehearsal.sheet._write", lambda _tile, text, _y: told.append(text))
    [part], shown = outcomes(tmp_path, 1)
    part = PartOutcome(part.seen, {"score": 0.5, "reason": "NONE", "view": "lower"})
    [page] = draw(
        {"escapes": [part]}, tmp_path, shown=shown, sensor=Sensor(60, 30, 1), engine=Views(), threshold=1.0
    )
    tile = cv2.imread(str(page))
    assert tile is not None
    colour = tile.max(axis=2).astype(int) - tile.min(axis=2)
    hot = colour[:, tile.shape[1] // 2 :].max(axis=1)
    for top in (8, 68):
        assert hot[top : top + 15].max() > 100, "where each view looked"
    assert told[-1].endswith("view lower")
