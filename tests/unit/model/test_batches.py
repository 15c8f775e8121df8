"""Batches come from folders, else from pauses in recording where the times can be believed, else from likeness."""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.model.batches import Batches, find_batches
from tests.unit.model.test_likeness import again, castings, small

STRANGERS = small(castings(24))


def touch(root: Path, names: list[str], content: bytes = b"") -> list[Path]:
    paths = [root / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (1_000_000, 1_000_000))
    return paths


def found(paths: list[Path], root: Path, thumbnails: NDArray[np.uint8] = STRANGERS) -> Batches:
    return find_batches(paths, root, thumbnails)


def test_folders_are_batches_whatever_the_times_say(tmp_path: Path) -> None:
    names = [
        f"{day}/2026-03-0{1 + index % 2}_10-00-{index:02}.png"
        for day in ("mon", "tue")
        for index in range(12)
    ]
    batches = found(touch(tmp_path, names), tmp_path)
    assert (batches.source, batches.names) == ("folders", ("mon", "tue"))
    assert batches.sizes.tolist() == [12, 12]
    assert batches.labels()[11:13] == ["mon", "tue"]


@pytest.mark.parametrize(
    "form", ["cam_202603{day}_{hour}{minute}05.png", "2026-03-{day}T{hour}-{minute}-05_cam1.png"]
)
def test_a_pause_in_the_names_times_cuts(tmp_path: Path, form: str) -> None:
    names = [
        form.format(day=day, hour="10", minute=f"{index:02}") for day in ("01", "02") for index in range(12)
    ]
    batches = found(touch(tmp_path, names), tmp_path)
    assert (batches.source, batches.names) == ("times", ("period 1", "period 2"))
    assert batches.batch_of.tolist() == [0] * 12 + [1] * 12


def test_a_single_image_is_a_batch(tmp_path: Path) -> None:
    batches = found(touch(tmp_path, ["0.png"]), tmp_path, STRANGERS[:1])
    assert (batches.source, batches.sizes.tolist()) == ("none", [1])


def test_short_pauses_do_not_cut(tmp_path: Path) -> None:
    names = [f"20260301_1{hour}0{index % 10}{index:02}.png" for hour in (0, 1) for index in range(12)]
    assert found(touch(tmp_path, names), tmp_path).source == "none"


def test_exif_tells_the_time(tmp_path: Path) -> None:
    paths = touch(tmp_path, [f"{index:02}.jpg" for index in range(24)])
    for index, path in enumerate(paths):
        stamp = f"2026:03:{1 + index // 12:02} 08:{index:02}:00"
        path.write_bytes(b"\xff\xd8\xff\xe1\x00\x40Exif\x00\x00" + stamp.encode() + b"\x00")
    batches = found(paths, tmp_path)
    assert (batches.source, batches.sizes.tolist()) == ("times", [12, 12])


def test_the_file_systems_times_cut_at_a_pause_that_no_copying_makes(tmp_path: Path) -> None:
    paths = touch(tmp_path, [f"{index:02}.png" for index in range(24)])
    for index, path in enumerate(paths):
        os.utime(path, (1e6 + 10 * index + 7200 * (index >= 10),) * 2)
    batches = found(paths, tmp_path)
    assert (batches.source, batches.sizes.tolist()) == ("times", [10, 14])


def test_numbers_that_are_no_times_are_not_believed(tmp_path: Path) -> None:
    names = [f"part_2099139{index // 10}{index:04}99.png" for index in range(24)]
    assert found(touch(tmp_path, names), tmp_path).source == "none"


def test_else_likeness_tells_groups(tmp_path: Path) -> None:
    parts = castings(14)
    shots = [parts, *(again(parts[:2], seed) for seed in range(5))]
    paths = touch(tmp_path, [f"{index:02}.png" for index in range(24)])
    batches = found(paths, tmp_path, small(np.concatenate(shots)))
    assert batches.source == "likeness"
    assert sorted(batches.sizes.tolist()) == [6, 6, 12]
    assert "single images" in batches.names


def test_strangers_in_one_folder_are_one_batch(tmp_path: Path) -> None:
    batches = found(touch(tmp_path, [f"{index:02}.png" for index in range(24)]), tmp_path)
    assert (batches.source, batches.names) == ("none", (tmp_path.name,))
    assert len(np.unique(batches.family_of)) == 24
