"""A whole line on painted images: simcam, linesim and the daemon as it is, by the command that the user has."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.timeout(300)  # each starts three processes or more, some a dozen times
REHEARSE = Path(__file__).parents[2] / "tools" / "rehearse"
KEYS = {
    "parts", "good", "bad", "released_bad", "rejected_good", "rejects", "wrong_releases", "unaccounted", "double", "late",
    "trigger_to_slot_ms", "engine_ms", "overhead_ms",
}  # fmt: skip
# Far beyond any stall of a shared machine: these tests are not about speed.
PACE = ("--rate", "8", "--budget-ms", "600")


def paint(path: Path, seed: int, *, hole: bool = False) -> None:
    """Paint a brushed surface, with a black hole where it is to be bad."""
    rng = np.random.default_rng(seed)
    surface = 140 + 12 * rng.standard_normal((1, 96)).repeat(96, axis=0) + 4 * rng.standard_normal((96, 96))
    image = np.clip(surface, 0, 255).astype(np.uint8)
    if hole:
        x, y = rng.integers(24, 72, 2)
        cv2.circle(image, (int(x), int(y)), 12, 0, -1)
        cv2.line(image, (int(x), 0), (int(y), 95), 255, 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def rehearse(*options: object, expected: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(REHEARSE), *map(str, options)], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == expected, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good images, bad ones, and in each folder one that lies about its truth, so that there are mistakes to draw."""
    folder = tmp_path_factory.mktemp("images")
    for n in range(50):
        paint(folder / "good" / f"{n:02}.png", n)
    for n in range(8):
        paint(folder / "bad" / "hole" / f"{n}.png", 100 + n, hole=True)
    for n in range(3):
        paint(folder / "bad" / "none" / f"{n}.png", n)
    for n in range(10):
        paint(folder / "other" / f"{n}.png", 300 + n, hole=n > 7)
    return folder


@pytest.fixture(scope="module")
def fitted(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rehearsal that fitted its own model; return the folder of the run."""
    out = tmp_path_factory.mktemp("fitted") / "run"
    done = rehearse(
        "--good",
        images / "good",
        "--bad",
        images / "bad",
        *PACE,
        "--out",
        out,
        "--json",
        out.parent / "r.json",
    )
    (out / "said.txt").write_text(done.stdout)
    assert json.loads((out.parent / "r.json").read_text()) == json.loads((out / "result.json").read_text())
    return out


@pytest.fixture
def config(fitted: Path, tmp_path: Path) -> Path:
    """A user's configuration: a real camera and PLC, and the model fitted before."""
    file = tmp_path / "line.yaml"
    file.write_text(
        "station: {name: line-1, budget_ms: 600}\n"
        "camera: {producer: vendor.cti, device: {serial_number: '4711'}, features: {Gain: 3.0, ExposureTime: 300}, "
        "latency_ms: {max: 60}}\n"
        f"model: {{pack: {fitted / 'pack'}}}\n"
        "plc: {host: 192.0.2.1, registers: {results_address: 500, status_address: 40, control_address: 20, slots: 20}}\n"
    )
    return file


def result_of(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result


def record_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "parts.jsonl").read_text().splitlines()]


def test_every_part_gets_its_verdict_and_every_figure_its_name(fitted: Path) -> None:
    result = result_of(fitted)
    assert result.keys() >= KEYS
    assert (result["parts"], result["good"], result["bad"]) == (26, 15, 11)
    assert result["broken_promises"] == []
    assert result["recorded"] == 26
    assert 0 < result["engine_ms"]["p50"] < result["trigger_to_slot_ms"]["p50"]
    assert result["rejects"]["SCORE"] >= 6, "holes are seen"


def test_images_that_were_fitted_on_are_never_shown(fitted: Path) -> None:
    used = {path.stem for path in (fitted / "fitted").iterdir()}
    shown = {part["image"].removeprefix("good/") for part in record_of(fitted)}
    assert used
    assert used.isdisjoint(shown)


def test_the_summary_says_what_happened_and_where_the_pictures_are(fitted: Path) -> None:
    said = (fitted / "said.txt").read_text()
    assert "26 parts passed the camera: 15 good and 11 bad ones." in said
    assert "Every promise held" in said
    assert str(fitted / "escapes-1.png") in said
    page = cv2.imread(str(fitted / "escapes-1.png"))
    assert page is not None
    assert page.std() > 10


def test_the_users_configuration_runs_with_simulated_surroundings(
    images: Path, config: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / ".rehearsal").touch()
    (out / "escapes-9.png").touch()
    (out / "notes.txt").touch()
    rehearse(config, "--good", images / "other", "--bad", images / "bad", *PACE[:2], "--out", out)
    assert not (out / "escapes-9.png").exists(), "an earlier run's"
    assert (out / "notes.txt").exists(), "the user's own"
    result = result_of(out)
    assert (result["parts"], result["broken_promises"]) == (21, [])
    assert result["rejected_good_by_score"] >= 1, "the one with a hole among the good"
    assert (out / "false-rejects-1.png").stat().st_size > 1000
    verdicts = [
        json.loads(line) for file in (out / "logs").glob("*.jsonl") for line in file.read_text().splitlines()
    ]
    assert all(entry["simulated"] for entry in verdicts if entry["event"] == "verdict")


def test_faults_cost_their_parts_and_no_promise(images: Path, config: Path, tmp_path: Path) -> None:
    faults = [
        {"at_part": 6, "do": "kill camera"},
        {"at_part": 35, "do": "plc restart 300"},
        {"at_part": 50, "do": "link reset of=reply"},
        {"at_part": 65, "do": "camera lose 1"},
    ]
    (tmp_path / "faults.yaml").write_text(json.dumps(faults))
    out = tmp_path / "run"
    options = ("--parts", 80, "--faults", tmp_path / "faults.yaml", "--out", out)
    rehearse(config, "--good", images / "good", "--bad", images / "bad", *PACE[:2], *options)
    result = result_of(out)
    assert result["broken_promises"] == []
    assert result["rejects"]["CAMERA"] > 0
    assert result["uncounted"] > 0
    assert {kind: row["times"] for kind, row in result["faults"].items() if row["times"]} == {
        "camera lose": 1,
        "kill camera": 1,
        "link reset": 1,
        "plc restart": 1,
    }
    assert result["faults"]["kill camera"]["parts_lost"] >= result["rejects"]["CAMERA"]
    assert sum(row["parts_lost"] for row in result["faults"].values()) == sum(
        n for reason, n in result["rejects"].items() if reason != "SCORE"
    )
    assert struck(out) == ["reset"]
    record = record_of(out)
    for first, last in ((1, 5), (25, 34), (50, 64), (70, 80)):
        assert any(part["released"] for part in record if first <= part["index"] <= last), (
            f"parts {first} to {last}"
        )


def struck(out: Path) -> list[str]:
    """Return the faults that the proxy in the link made, by what the daemon's log says of the link."""
    entries = [
        json.loads(line) for file in (out / "logs").glob("*.jsonl") for line in file.read_text().splitlines()
    ]
    return [
        "reset" for entry in entries if entry["event"] == "link_down" and "reset" in str(entry["why"]).lower()
    ]


def test_sigterm_ends_line_and_station_in_order(images: Path, config: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ("--good", images / "good", "--bad", images / "bad", "--parts", "100000", "--out", out)
    with subprocess.Popen([REHEARSE, config, *options], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if re.match(r"[1-9]\d* of 100000 parts", line):  # before that, nothing was seen of any promise
                break
        children = descendants(process.pid)
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
    assert process.returncode == 0, rest
    assert result_of(out)["broken_promises"] == []
    assert len(children) >= 3, "linesim, the station and its camera"
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def descendants(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *descendants(int(child))]
    return found


def test_bad_input_is_one_line_that_says_what_to_do(images: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"no image")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "pack").touch()
    good = ("--good", images / "good")
    bad = ("--bad", images / "bad")
    cases: list[tuple[tuple[object, ...], str]] = [
        ((*good, "--bad", tmp_path / "empty"), "found none"),
        ((*good, "--bad", tmp_path / "nowhere"), "there is none"),
        (("--good", tmp_path / "broken", *bad), "enough good images"),
        (("nowhere.yaml", *good, *bad), "nowhere.yaml: expected a station's YAML file"),
        ((*good, *bad, "--parts", 0), "at least 1"),
        ((*good, *bad, "--rate", 0), "--rate above 0"),
        ((*good, *bad, "--rate", "nan"), "--rate above 0"),
        ((*good, *bad, "--budget-ms", 1), "--budget-ms from 2"),
        ((*good, *bad, "--rate", 200), "a slot would be needed again"),
        ((*good, *bad, "--faults", "nowhere.yaml"), "nowhere.yaml: expected a readable list of faults"),
        ((*good, *bad, "--faults", "random:x"), "expected --faults random:SEED with a whole number"),
        ((*good, *bad, "--out", tmp_path / "full"), "expected no pack, or an earlier rehearsal's"),
        ((*good, *bad, "--out", "/dev/null/x"), "expected a folder that can be made"),
    ]
    for number, (options, said) in enumerate(cases):
        out = () if "--out" in options else ("--out", tmp_path / f"run-{number}")
        done = rehearse(*options, *out, expected=2)
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_an_unreadable_image_is_named(images: Path, config: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "broken.png").write_bytes(b"no image")
    options = ("--good", images / "other", "--bad", tmp_path / "bad", "--out", tmp_path / "run")
    done = rehearse(config, *options, expected=2)
    assert "broken.png: expected an image" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_faults_that_nobody_knows_are_named(images: Path, config: Path, tmp_path: Path) -> None:
    (tmp_path / "faults.yaml").write_text("- {at_part: 1, do: kill everybody}")
    options = (
        "--good",
        images / "other",
        "--bad",
        images / "bad",
        "--faults",
        tmp_path / "faults.yaml",
        "--out",
        tmp_path / "r",
    )
    done = rehearse(config, *options, expected=2)
    assert f"{tmp_path / 'faults.yaml'}: entry 1: expected camera TEXT" in done.stderr
    assert done.stderr.endswith("got: kill everybody (here also: kill camera, kill station, link FAULT)\n")
    assert done.stdout == ""


def test_the_wrapper_can_be_run_from_anywhere(tmp_path: Path) -> None:
    assert os.access(REHEARSE, os.X_OK)
    done = subprocess.run([REHEARSE, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "kill camera" in done.stdout
