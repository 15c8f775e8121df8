"""A disk that does not answer: parts are decided as ever, and the PLC is told."""

from pathlib import Path

import pytest

from inspector.plc.registers import State
from tests.conftest import Stand
from tests.support.daemon import ROOT
from tests.support.plc import PlainPlc
from tests.support.waiting import wait_for

# What Python runs before the daemon: each sync waits for as long as the file is there.
SLOW_DISK = """
import os, pathlib, threading
stands, answer, never = pathlib.Path({stands!r}), os.fdatasync, threading.Event()

def fdatasync(fd):
    while stands.exists():
        never.wait(0.01)
    answer(fd)

os.fdatasync = fdatasync
"""


@pytest.fixture
def stands(stand: Stand) -> Path:
    """While this file is there, the disk does not answer."""
    file = stand.folder / "disk-stands"
    (stand.folder / "sitecustomize.py").write_text(SLOW_DISK.format(stands=str(file)))
    return file


def test_a_disk_that_does_not_answer_is_shown_until_it_does(stand: Stand, stands: Path) -> None:
    with PlainPlc() as plc:
        daemon = stand.daemon(plc.port, environment={"PYTHONPATH": f"{stand.folder}:{ROOT}"})
        wait_for(lambda: State.READY in plc.status.state, "the station to be ready")
        stands.touch()
        plc.count_part()
        daemon.wait_for("verdict", part_id=1)
        wait_for(lambda: plc.status.error_code == 704, "the PLC to hear of it")
        assert State.READY in plc.status.state
        plc.count_part()
        wait_for(lambda: plc.status.parts == 2, "the next part's verdict")
        stands.unlink()
        wait_for(lambda: plc.status.error_code == 0, "the disk's answer")
        daemon.wait_for("disk_answers")
        assert daemon.end() == 0
    assert [entry["code"] for entry in daemon.events("disk_stands")] == ["SVC-004"]


def test_the_station_ends_without_the_disk(stand: Stand, stands: Path) -> None:
    with PlainPlc() as plc:
        daemon = stand.daemon(plc.port, environment={"PYTHONPATH": f"{stand.folder}:{ROOT}"})
        wait_for(lambda: State.READY in plc.status.state, "the station to be ready")
        stands.touch()
        plc.count_part()
        wait_for(lambda: plc.status.error_code == 704, "the PLC to hear of it")
        assert daemon.end() == 1
    daemon.killed = True  # its exit status was looked at
    assert "SVC-002: the disk did not answer within 1 s" in daemon.said
