"""What only the PC itself can show to be wrong."""

import os
from pathlib import Path

import pytest

from inspector.config.loading import load
from inspector.errors import ConfigError
from tests.unit.config.smallest import SMALLEST, Write, problems


def misfits(path: Path) -> list[str]:
    try:
        load(path, check_files=False, check_machine=True)
    except ConfigError as error:
        return [problem.removeprefix(f"{path}:") for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("addition", "key"),
    [
        ("realtime: {cpus: [0, 99999]}", "realtime.cpus: expected CPUs of this PC"),
        ("recorder: {folder: /etc/hostname}", "recorder.folder: expected a folder"),
        ("recorder: {folder: /etc/hostname/logs}", "recorder.folder: expected a folder"),
        ("recorder: {folder: /proc/nope}", "recorder.folder: expected a folder"),
        ("plc: {role: server, server: {address: eth987}}", "plc.server.address: expected an address"),
        ("plc: {role: server, server: {address: 192.0.2.7}}", "plc.server.address: expected an address"),
    ],
)
def test_what_this_machine_lacks_is_a_problem(write: Write, addition: str, key: str) -> None:
    (problem,) = misfits(write(f"{SMALLEST}{addition}\n"))
    assert key in problem


@pytest.mark.parametrize("address", ["lo", "127.0.0.1"])
def test_what_it_has_or_can_make_is_none(write: Write, address: str) -> None:
    cpu = min(os.sched_getaffinity(0))
    plc = f"plc: {{role: server, server: {{address: {address}}}}}"
    text = f"{SMALLEST}realtime: {{cpus: [{cpu}]}}\nrecorder: {{folder: new/logs}}\n{plc}\n"
    assert misfits(write(text)) == []


def test_a_wrong_address_and_a_long_exposure_are_problems_anywhere(write: Write) -> None:
    features = "  features: {ExposureTime: 50000}\n"
    text = SMALLEST.replace("model:\n  pack", f"{features}model:\n  pack")
    first, second = problems(write(f"{text}plc: {{host: 192.168.1.300}}\n"))
    assert "camera.features.ExposureTime: expected less than camera.latency_ms.max (50 ms)" in first
    assert "plc.host: expected an IP address" in second
