"""Contact sheets: each mistake of the model as the camera saw it, beside its heat map, with file name and score."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.engine.base import Engine
from inspector.errors import EngineInputError, ServiceError
from inspector.model.heatmap import in_frame, overlay
from tools.rehearsal.folders import Sensor, Shown
from tools.rehearsal.result import PartOutcome

PICTURE = 240  # pixels of a picture's longer side
CAPTION = 44
GAP = 8
COLUMNS = 3
ROWS = 8
BACKGROUND = 32
Picture = NDArray[np.uint8]


def draw(
    sheets: Mapping[str, Sequence[PartOutcome]],
    folder: Path,
    *,
    shown: Mapping[str, Shown],
    sensor: Sensor,
    engine: Engine,
    threshold: float,
) -> list[Path]:
    """Write the pages NAME-1.png, NAME-2.png ... of each sheet that is not empty; return them in order."""
    pages = []
    for name, outcomes in sheets.items():
        tiles = [
            _tile(outcome, shown[outcome.seen["image"]], engine, sensor, threshold) for outcome in outcomes
        ]
        pages += _pages(name, tiles, folder)
    return pages


def _tile(outcome: PartOutcome, shown: Shown, engine: Engine, sensor: Sensor, threshold: float) -> Picture:
    """Return the image and its heat map side by side, over two lines of text."""
    image = sensor.image(shown.path)
    small = _shrunk(image)
    plain = small if small.ndim == 3 else cv2.cvtColor(small, cv2.COLOR_GRAY2RGB)
    value = math.nan if outcome.score is None else outcome.score
    heat = cv2.cvtColor(plain, cv2.COLOR_RGB2BGR)
    try:
        score = engine.score(image)
    except EngineInputError:  # the part does not lie where it should: such a frame has no heat map
        pass
    else:
        size = image.shape[1], image.shape[0]
        planes = [in_frame(view, *size) for view in score.views or (score,)]
        heat = overlay(small, np.maximum.reduce(planes), threshold)
        value = score.value if outcome.score is None else outcome.score
    tile = np.full((PICTURE + CAPTION, 2 * PICTURE + GAP, 3), BACKGROUND, np.uint8)
    for left, picture in ((0, cv2.cvtColor(plain, cv2.COLOR_RGB2BGR)), (PICTURE + GAP, heat)):
        height, width = picture.shape[:2]
        tile[:height, left : left + width] = picture
    _write(tile, _ending(shown.name, 58), PICTURE + 16)
    text = f"part {outcome.seen['index']}: score {value:.4g}, threshold {threshold:.4g}"
    _write(tile, text + _deciding(outcome) + _likeness(outcome), PICTURE + 36)
    return tile


def _deciding(outcome: PartOutcome) -> str:
    """Return which view decided, where the part has several."""
    view = (outcome.verdict or {}).get("view")
    return f", view {view}" if view else ""


def _likeness(outcome: PartOutcome) -> str:
    """Return which known defect the record names, if any."""
    verdict = outcome.verdict or {}
    return f", {verdict['defect']} {verdict['confidence']:.0%}" if verdict.get("defect") else ""


def _shrunk(image: Picture) -> Picture:
    height, width = image.shape[:2]
    scale = PICTURE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small: Picture = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return small


def _ending(name: str, length: int) -> str:
    """Return the end of a name: there it differs from the others. OpenCV's font knows ASCII only."""
    ascii_name = name.encode("ascii", "replace").decode()
    return ascii_name if len(ascii_name) <= length else "..." + ascii_name[3 - length :]


def _write(tile: Picture, text: str, y: int) -> None:
    cv2.putText(tile, text, (2, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (235, 235, 235), 1, cv2.LINE_AA)


def _pages(name: str, tiles: Sequence[Picture], folder: Path) -> list[Path]:
    pages = []
    for number, start in enumerate(range(0, len(tiles), COLUMNS * ROWS), 1):
        page = _page(tiles[start : start + COLUMNS * ROWS])
        file = folder / f"{name}-{number}.png"
        if not cv2.imwrite(str(file), page):
            raise ServiceError(
                f"{file}: expected to write the contact sheet, could not; check the folder and its space"
            )
        pages.append(file)
    return pages


def _page(tiles: Sequence[Picture]) -> Picture:
    height, width = tiles[0].shape[:2]
    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    page = np.full((rows * (height + GAP) + GAP, columns * (width + 3 * GAP), 3), BACKGROUND, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = GAP + number // columns * (height + GAP), GAP + number % columns * (width + 3 * GAP)
        page[top : top + height, left : left + width] = tile
    return page
