"""A part with two views on a whole line: fitted, run by the daemon, and judged from outside."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.integration.test_rehearse import PACE, record_of, rehearse, result_of

pytestmark = pytest.mark.timeout(300)
MIDDLE = 64
VIEWS = {"left": (0, 0, MIDDLE, 64), "right": (MIDDLE, 0, MIDDLE, 64)}


def paint(path: Path, seed: int, hole: tuple[int, int] | None = None) -> None:
    """Paint a part that is brushed on the left and checked on the right, with a hole where it is to be bad."""
    rng = np.random.default_rng(seed)
    image = 140 + 12 * rng.standard_normal((1, 2 * MIDDLE)).repeat(64, axis=0)
    rows, columns = np.mgrid[:64, MIDDLE : 2 * MIDDLE]
    image[:, MIDDLE:] = 110 + 60 * ((rows // 8 + columns // 8) % 2)
    image = np.clip(image + 4 * rng.standard_normal(image.shape), 0, 255).astype(np.uint8)
    if hole is not None:
        cv2.circle(image, hole, 9, 0, -1)
        cv2.circle(image, hole, 5, 255, -1)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fit on both views, run the line; return the folder of the run."""
    folder = tmp_path_factory.mktemp("views")
    for n in range(46):
        paint(folder / ("fit" if n < 40 else "good") / f"{n:02}.png", n)
    for n in range(4):
        paint(folder / "bad" / "left" / f"{n}.png", 100 + n, (20 + 5 * n, 32))
        paint(folder / "bad" / "right" / f"{n}.png", 200 + n, (MIDDLE + 20 + 5 * n, 32))
    command = [
        sys.executable,
        "-m",
        "inspector",
        "fit",
        "--good",
        str(folder / "fit"),
        "--out",
        str(folder / "pack"),
    ]
    for name, roi in VIEWS.items():
        command += ["--view", f"{name}={','.join(map(str, roi))}"]
    subprocess.run(command, check=True, capture_output=True, timeout=200)
    (folder / "line.yaml").write_text(
        "station: {name: line-2, budget_ms: 600}\n"
        "camera: {producer: vendor.cti, device: {serial_number: '4711'}, latency_ms: {max: 60}}\n"
        f"model: {{pack: {folder / 'pack'}, engine: openvino}}\n"
        "plc: {host: 192.0.2.1}\n"
    )
    shown = ["--good", folder / "good", "--bad", folder / "bad"]
    rehearse(folder / "line.yaml", *shown, *PACE, "--out", folder / "run")
    return folder / "run"


def verdicts(run: Path) -> dict[str, dict[str, Any]]:
    """The record's entry of each image."""
    lines = [
        json.loads(line) for file in (run / "logs").glob("*.jsonl") for line in file.read_text().splitlines()
    ]
    entries = {line["part_id"]: line for line in lines if line["event"] == "verdict"}
    return {part["image"]: entries[part["part_id"]] for part in record_of(run)}


def test_every_promise_holds_for_a_part_of_two_views(run: Path) -> None:
    result = result_of(run)
    assert (result["parts"], result["broken_promises"], result["released_bad"]) == (14, [], 0)
    assert result["rejects"]["SCORE"] >= 8


def test_a_hole_in_either_view_rejects_the_part_and_the_record_says_where(run: Path) -> None:
    found = verdicts(run)
    for name, (left, top, wide, high) in VIEWS.items():
        for n in range(4):
            entry = found[f"bad/{name}/{n}"]
            assert (entry["outcome"], entry["view"]) == ("REJECT", name)
            assert entry["views"].keys() == VIEWS.keys()
            assert entry["views"][name] == entry["relative_score"] == max(entry["views"].values()) > 1
            assert left <= entry["x"] < left + wide, "in the raw frame, not in the view"
            assert top <= entry["y"] < top + high
