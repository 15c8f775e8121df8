"""One life of a camera process, with a script in its place: what it prints and how it ends is told."""

import sys
from pathlib import Path

import pytest

from inspector.camera.commands import list_devices
from inspector.config.schema import DeviceConfig
from inspector.errors import CameraError
from tests.contract.camera_rig import Rig, config

PYTHON = sys.executable
SCRIPT = """#!{python}
import json, os, signal, socket, sys
link = socket.socket(fileno=int(sys.argv[3]))
link.recv(65536)
{body}
"""


@pytest.fixture
def instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The script that is run as the camera process; a test writes it."""
    path = tmp_path / "camera"
    path.touch(mode=0o755)
    monkeypatch.setattr("inspector.camera.child.sys.executable", str(path))
    return path


def write(path: Path, body: str) -> None:
    path.write_text(SCRIPT.format(python=PYTHON, body=body))


def run(tmp_path: Path) -> Rig:
    """Return a rig after the first end of the script."""
    with Rig(config(tmp_path, DeviceConfig(model="x"), {})) as rig:
        rig.wait_down()
    return rig


def test_output_of_any_length_is_passed_on_line_by_line(instead: Path, tmp_path: Path) -> None:
    body = "print('half', end='', flush=True)\nprint(' a line\\n' + 30000 * 'filling\\n', end='')\nprint('no end', end='')"
    write(instead, body)
    rig = run(tmp_path)
    lines = [
        e.fields["line"] for e in rig.events if e.name == "camera_output" and e.fields["generation"] == 1
    ]
    assert lines == ["half a line", *["filling"] * 30000, "no end"]
    assert rig.downs[0] == "the camera process ended (exit status 0): no end"


def test_closed_output_is_no_end(instead: Path, tmp_path: Path) -> None:
    body = "os.close(1)\nos.close(2)\nlink.send(json.dumps(['error', dict(code='CAM-009', message='after all')]).encode())\nos._exit(3)"
    write(instead, body)
    assert run(tmp_path).downs[0] == "CAM-009: after all"


def test_its_log_lines_are_events(instead: Path, tmp_path: Path) -> None:
    fields = "dict(level='info', logger='x', event='lens_cleaned', fields=dict(times=2))"
    write(
        instead,
        f"link.send(json.dumps(['log', {fields}]).encode())\nlink.send(json.dumps(['new', dict()]).encode())",
    )
    events = {e.name: e for e in run(tmp_path).events}
    assert events["lens_cleaned"].level == "info"
    assert events["lens_cleaned"].fields["times"] == 2
    assert events["camera_unknown_message"].fields["kind"] == "new"


def test_a_producer_that_crashes_while_listing_is_told_with_its_last_words(
    instead: Path, tmp_path: Path
) -> None:
    write(instead, "print('libusb: no bus', flush=True)\nos.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(
        CameraError, match=r"crashed while it listed its cameras \(killed by SIGSEGV: libusb: no bus\)"
    ):
        list_devices(tmp_path / "x.cti")


def test_a_producer_that_hangs_while_listing_is_given_up(instead: Path, tmp_path: Path) -> None:
    write(instead, "signal.pause()")
    with pytest.raises(CameraError, match=r"did not list its cameras within 0\.5 s: it hangs"):
        list_devices(tmp_path / "x.cti", limit_s=0.5)
