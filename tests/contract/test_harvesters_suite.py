"""harvesters' own test suite, run on simcam.

The suite decides by the path of the producer what it runs. On any path of its own choosing simcam
gets 92 passes and 27 skips; viky.cti gets 94 and 25, since two tests run on "viky" only. Many more
run for real on a path that contains "TLSimu.cti", the simulated cameras the suite was written
for: on any other path they are skipped, or return at once and count as passed. So simcam is given
here that name, and devices with TLSimu's serial and model; all but what is named below must pass.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.producers import simcam_cti

# Run side by side, for most of the time is spent in sleeps: (modules, pytest's -k).
PARTS = {
    "core": (["test_harvester_core"], "TestHarvesterCore and not Version1"),
    "core, deprecated API": (["test_harvester_core"], "not TestHarvesterCore or Version1"),
    "frame rate": (["test_acq_frame_rate"], "not Version1"),
    "frame rate, deprecated API": (["test_acq_frame_rate"], "Version1"),
    "others": (
        [
            "test_245", "test_319", "test_321", "test_345", "test_351",
            "test_deprecated_items", "test_performance", "test_tutorials",
        ],
        "",
    ),
}  # fmt: skip

# Asked of TLSimu itself, not of a producer in general. Each is there twice: for both APIs.
NOT_FOR_US = {
    "test_issue_60": "expects TLSimu's minimum of 5 buffers; simcam needs 1",
    "test_issue_70": "expects TLSimu's minimum of 5 buffers; simcam needs 1",
    "test_multiple_image_acquirers": "keeps 5 buffers of each camera, so needs TLSimu's minimum of 5",
    "test_issue_215": "expects the file names of TLSimu's descriptions",
    "test_port_access": "expects TLSimu's register map",
    "test_ticket_300": "expects the ids of TLSimu's system and interface",
}
SKIPPED = {
    "test_module_events_on_multi_threaded_application": "waits for an event of viky's game of ping-pong",
    "test_module_events_on_single_threaded_application": "waits for an event of viky's game of ping-pong",
}
VIKY_PASSES = 94
TESTS_IN_SUITE = 119


def _start(part: str, folder: Path) -> subprocess.Popen[str]:
    modules, selection = PARTS[part]
    for name, serial in (("a", "SN_InterfaceA_0"), ("b", "SN_InterfaceA_1")):
        device = folder / "root" / name
        device.mkdir(parents=True)
        (device / "device.conf").write_text(f"model=TLSimuMono\nserial={serial}\n")
    producer = folder / "TLSimu.cti"
    producer.symlink_to(simcam_cti())
    deselected = " and ".join(f"not {name}" for name in NOT_FOR_US)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--timeout=60",
        "--rootdir",
        str(folder),
    ]
    command += ["-c", os.devnull, f"--junitxml={folder / 'result.xml'}"]
    command += ["-k", f"({selection}) and {deselected}" if selection else deselected]
    command += ["--pyargs", *(f"harvesters.test.{module}" for module in modules)]
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "SIMCAM_ROOT": str(folder / "root"), "HARVESTERS_TEST_TARGET": str(producer)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _outcomes(result: Path) -> dict[str, str]:
    """Test -> "passed", "skipped", "failure" or "error"."""
    cases = ET.parse(result).getroot().iter("testcase")  # noqa: S314  # written by our own subprocess
    return {
        f"{case.get('classname')}.{case.get('name')}": next(
            (child.tag for child in case if child.tag in {"skipped", "failure", "error"}), "passed"
        )
        for case in cases
    }


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_suite_of_harvesters_passes(tmp_path: Path) -> None:
    outcomes: dict[str, str] = {}
    with ExitStack() as stack:
        running = {}
        for part in PARTS:
            folder = tmp_path / re.sub(r"\W", "_", part)
            running[folder] = stack.enter_context(_start(part, folder))
            stack.callback(running[folder].kill)
        for folder, process in running.items():
            output, _ = process.communicate(timeout=280)
            assert process.returncode == 0, output[-4000:]
            outcomes |= _outcomes(folder / "result.xml")
    skipped = {name.rsplit(".", 1)[1] for name, outcome in outcomes.items() if outcome == "skipped"}
    assert skipped == set(SKIPPED)
    assert set(outcomes.values()) == {"passed", "skipped"}
    passed = [name for name, outcome in outcomes.items() if outcome == "passed"]
    assert len(passed) == TESTS_IN_SUITE - len(SKIPPED) - 2 * len(NOT_FOR_US)
    assert len(passed) >= VIKY_PASSES
