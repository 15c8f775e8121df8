"""Graphs that are timed in the place of a pack's own run as that one does here."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from inspector.bench.candidates import Candidates
from inspector.bench.frames import camera_frame
from inspector.config.schema import CameraConfig, DeviceConfig
from inspector.engine.settings import Probed, Settings, here, write_probed
from inspector.model.manifest import ViewEntry
from inspector.model.pack import load_pack


def test_a_candidate_has_the_settings_that_were_probed_for_the_packs_own_graph(
    pack: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mine = load_pack(Path(shutil.copytree(pack, tmp_path / "pack")))
    pinned = Settings(pinned=True)
    write_probed(mine.graph, Probed(here=here(mine.graph), taken=pinned, tried=()))
    camera = CameraConfig(producer="none.cti", device=DeviceConfig(model="x"), features={})
    candidates = Candidates(mine, camera_frame(camera, mine, None), "openvino")
    candidates.time(candidates.own_side, 100, times_max=1.0, seconds=0.01)
    with caplog.at_level(logging.INFO):
        candidates.time(candidates.own_side, 100, times_max=1.0, seconds=0.01)  # has its features already
    opened = [record for record in caplog.records if record.getMessage() == "engine_settings"]
    assert [record.__dict__["pinned"] for record in opened] == [True, True]


def test_of_a_pack_with_views_it_is_said_how_to_time_others(pack: Path) -> None:
    mine = load_pack(pack)
    camera = CameraConfig(producer="none.cti", device=DeviceConfig(model="x"), features={})
    frame = camera_frame(camera, mine, None)
    assert Candidates(mine, frame, "openvino").refusal == ""
    entry = {"picture": None, "limit": 1.0, "grey": (1.0, 2.0), "false_reject_rate": 0.0}
    views = tuple(
        ViewEntry.model_validate({"name": name, "roi": (0, 0, 9, 9), **entry}) for name in ("pins", "label")
    )
    several = replace(mine, manifest=mine.manifest.model_copy(update={"views": views}))
    assert (
        "fit it with another --size, --bank or fewer views" in Candidates(several, frame, "openvino").refusal
    )
