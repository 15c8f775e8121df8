"""What is said of the machine, and of the camera producers and disks that are there."""

import json
import os
import resource
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from inspector.cli import main
from inspector.doctor.machine import camera_facts, disk_facts, machine_facts, realtime_facts
from inspector.service.realtime import CPU_LATENCY


def test_this_machine_is_described_without_a_gap() -> None:
    facts = machine_facts() + realtime_facts()
    assert all(fact.what and fact.value for fact in facts)
    assert {"processor", "cores", "clock governor", "kernel", "highest real-time priority"} <= {
        f.what for f in facts
    }


@pytest.mark.parametrize(
    ("limit", "value", "advised"),
    [(0, "none", True), (50, "50", False), (resource.RLIM_INFINITY, "no limit", False)],
)
def test_a_user_without_real_time_is_told_how_to_get_it(
    limit: int, value: str, advised: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    [fact] = [fact for fact in realtime_facts() if fact.what == "highest real-time priority"]
    assert (fact.value, bool(fact.advice)) == (value, advised)


@pytest.mark.parametrize(
    ("mode", "value", "advised"), [(os.W_OK, "yes", False), (0, "not by this user", True)]
)
def test_who_may_not_keep_the_cpus_awake_is_told_how(
    mode: int, value: str, advised: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, wanted: path == CPU_LATENCY and wanted == mode)
    [fact] = [fact for fact in realtime_facts() if fact.what == "CPUs may be kept awake"]
    assert (fact.value.partition(",")[0], bool(fact.advice)) == (value, advised)


def test_producers_are_found_where_the_standard_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "maker.cti").write_bytes(b"")
    monkeypatch.setenv("GENICAM_GENTL64_PATH", f"{tmp_path / 'gone'}:{tmp_path / 'vendor'}")
    assert str(tmp_path / "vendor" / "maker.cti") in [f.value for f in camera_facts() if f.what == "producer"]


def test_a_variable_that_leads_nowhere_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENICAM_GENTL64_PATH", str(tmp_path))
    [fact] = [fact for fact in camera_facts() if fact.advice]
    assert "no .cti file there" in fact.advice


def test_the_producer_of_the_configuration_is_looked_for(tmp_path: Path) -> None:
    [fact] = [fact for fact in camera_facts(tmp_path / "gone.cti") if fact.what == "camera.producer"]
    assert fact.value.endswith("gone.cti is not there")
    assert fact.advice == "correct the path"


def test_a_disk_that_is_nearly_full_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")  # noqa: PYI024 - as shutil's
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100e9, 98e9, 2e9))
    [fact] = disk_facts(tmp_path / "not" / "yet")
    assert fact.what == f"free at {tmp_path}"
    assert fact.value == "2.0 of 100.0 GB"
    assert fact.advice


def test_the_command_shows_a_page_and_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = tmp_path / "doctor.json"
    assert main(["doctor", "--json", str(found)]) == 0
    page = capsys.readouterr().out
    for heading in ("machine", "real time", "GPU", "engines", "cameras", "disk", "to change"):
        assert f"{heading}\n" in "\n".join(line.rstrip() for line in page.splitlines()) + "\n"
    content = json.loads(found.read_text())
    assert content["machine"][0]["what"] == "Inspector"
    assert isinstance(content["advice"], list)


def test_a_configuration_that_cannot_be_used_is_an_error_behind_what_the_machine_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(tmp_path / "gone.yaml")]) == 2
    shown = capsys.readouterr()
    assert "load of the last minute" in shown.out
    assert "gone.yaml: expected a station's YAML file" in shown.err


@pytest.mark.parametrize(("load", "advised"), [(3.9, False), (4.1, True)])
def test_a_load_above_the_number_of_cores_is_to_be_changed(
    load: float, advised: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    [fact] = [fact for fact in machine_facts() if fact.what == "load of the last minute"]
    assert (fact.value, bool(fact.advice)) == (f"{load} on 4 cores", advised)
