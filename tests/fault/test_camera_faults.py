"""What goes wrong with a camera, brought about on simcam or by signals: each fault is announced, and the line comes back."""

import gc
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inspector.camera.acquisition import WRONG_FORMAT_MAX
from inspector.camera.base import CameraInfo
from inspector.camera.supervisor import CameraProcess
from inspector.config.schema import DeviceConfig
from inspector.part import FrameStatus
from inspector.ring import RingReader
from tests.contract.camera_rig import LIMIT_S, VIKY, Rig, Simcam, config
from tests.support.producers import simcam_cti

WIDTH, HEIGHT = 160, 120


@pytest.fixture
def simcam(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Simcam:
    simcam = Simcam(simcam_cti(), tmp_path_factory.mktemp("cam"))
    simcam.write_images({f"part{n}": np.full((HEIGHT, WIDTH), 50 + n, np.uint8) for n in range(4)})
    monkeypatch.setenv("SIMCAM_ROOT", str(simcam.root))
    return simcam


@pytest.fixture
def rig(simcam: Simcam) -> Iterator[Rig]:
    with Rig(simcam.config()) as rig:
        rig.wait_up()
        yield rig


def grown(rig: Rig) -> dict[str, int]:
    """Sum up what the events said about frames that were not as they should be."""
    total: dict[str, int] = {}
    for event in [e for e in rig.events if e.name == "camera_frames"]:
        for name, count in event.fields.items():
            total[name] = total.get(name, 0) + count
    return {name: n for name, n in total.items() if name not in {"generation", "last_frame_id"}}


def one_by_one(simcam: Simcam, rig: Rig, *pulses: str) -> list[Any]:
    """Pulse and wait for the frame, so many times."""
    seen = []
    for pulse in pulses:
        simcam.send(pulse)
        seen += rig.frames(1)
    return seen


def test_a_pulse_may_name_the_image(simcam: Simcam, rig: Rig) -> None:
    seen = one_by_one(simcam, rig, "pulse image=part2", "pulse image=part0", "pulse image=part3")
    assert [int(s.pixels[0, 0]) for s in seen] == [52, 50, 53]
    assert [s.frame.frame_id for s in seen] == [1, 2, 3]
    assert all(s.frame.t_arrival_ns > s.frame.t_device_ns > 0 for s in seen), (
        "simcam's clock is the machine's"
    )


def test_a_lost_frame_leaves_a_gap_in_the_ids(simcam: Simcam, rig: Rig) -> None:
    one_by_one(simcam, rig, "pulse")
    simcam.send("lose 1", "pulse")
    (after,) = one_by_one(simcam, rig, "pulse")
    assert (after.frame.frame_id, after.frame.sequence) == (3, 2)
    rig.wait("the gap is told", lambda: grown(rig) == {"missing": 1})


def test_an_incomplete_frame_is_announced_with_its_id_and_without_pixels(simcam: Simcam, rig: Rig) -> None:
    simcam.send("incomplete 1")
    seen = one_by_one(simcam, rig, "pulse", "pulse")
    assert [(s.frame.frame_id, s.frame.status) for s in seen] == [
        (1, FrameStatus.INCOMPLETE),
        (2, FrameStatus.OK),
    ]
    assert seen[0].pixels is None
    rig.wait("it is told", lambda: grown(rig) == {"incomplete": 1})


def test_frames_twice_and_out_of_order_are_announced_as_they_come(simcam: Simcam, rig: Rig) -> None:
    simcam.send("twice 1", "pulse")
    assert [s.frame.frame_id for s in rig.frames(2)] == [1, 1]
    rig.wait("it is told", lambda: grown(rig) == {"duplicates": 1})
    simcam.send("swap 1", "pulse", "pulse")
    assert [s.frame.frame_id for s in rig.frames(2)] == [3, 2]
    rig.wait("it is told", lambda: grown(rig) == {"duplicates": 1, "missing": 1, "backwards": 1})


def test_frames_that_nobody_releases_overrun_and_are_counted(simcam: Simcam, rig: Rig) -> None:
    reader = rig.wait_up()
    slots = rig.config.ring_slots
    frames = []
    for count in range(1, slots + 4):
        simcam.send("pulse")
        rig.wait_rung(lambda count=count: reader.written == count)  # type: ignore[misc]
        frames += reader.new_frames()
    assert [f.status for f in frames] == [FrameStatus.OK] * slots + [FrameStatus.OVERRUN] * 3
    rig.wait("it is told", lambda: grown(rig) == {"overruns": 3})


def test_another_width_is_announced_and_the_camera_opened_anew(simcam: Simcam, rig: Rig) -> None:
    simcam.send("width 80")
    seen = one_by_one(simcam, rig, *["pulse"] * WRONG_FORMAT_MAX)
    assert {(s.frame.status, s.frame.width, s.frame.height) for s in seen} == {
        (FrameStatus.WRONG_FORMAT, 80, HEIGHT)
    }
    assert "20 frames in a row were not 160 x 120 Mono8" in rig.wait_down()
    rig.wait_up(2)
    simcam.send("pulse")
    (again,) = rig.frames(1, generation=2)
    assert again.frame.status is FrameStatus.OK


def test_a_few_frames_of_another_width_do_not_stop_it(simcam: Simcam, rig: Rig) -> None:
    simcam.send("width 80")
    one_by_one(simcam, rig, *["pulse"] * 3)
    simcam.send(f"width {WIDTH}")
    (again,) = one_by_one(simcam, rig, "pulse")
    assert again.frame.status is FrameStatus.OK
    assert not rig.downs


def test_a_silent_camera_is_opened_anew(simcam: Simcam) -> None:
    free_run: dict[str, bool | int | float | str] = {"TriggerMode": "Off", "AcquisitionFrameRate": 50.0}
    with Rig(simcam.config(free_run, silence_ms=300.0)) as rig:
        rig.frames(3)
        simcam.send("silent on")
        assert "camera.silence_ms allows 300" in rig.wait_down()
        rig.frames(1, generation=2)


def test_a_lost_device_is_noticed_without_any_frame(simcam: Simcam, rig: Rig) -> None:
    simcam.send("device lost")
    assert rig.wait_down().startswith("CAM-005: the camera does not answer")
    rig.wait_up(2)


def test_a_process_that_hangs_is_killed_and_replaced(rig: Rig) -> None:
    os.kill(rig.process.pid, signal.SIGSTOP)
    assert "no sign of life" in rig.wait_down()
    rig.wait_up(2)


def test_a_crash_is_told_with_its_last_words(rig: Rig) -> None:
    os.kill(rig.process.pid, signal.SIGSEGV)
    assert "killed by SIGSEGV" in rig.wait_down()
    lines = [e.fields["line"] for e in rig.events if e.name == "camera_output"]
    assert "Fatal Python error: Segmentation fault" in lines


def test_ctrl_c_is_the_stations_only(simcam: Simcam, rig: Rig) -> None:
    os.kill(rig.process.pid, signal.SIGINT)
    one_by_one(simcam, rig, "pulse", "pulse")
    assert not rig.downs
    assert os.getpgid(rig.process.pid) != os.getpgid(0)


def test_restarts_pause_longer_and_longer_up_to_the_limit(tmp_path: Path) -> None:
    with Rig(config(tmp_path / "none.cti", DeviceConfig(model="x"), {}, backend="replay")) as rig:
        rig.wait_down(6)
        rig.wait("told", lambda: len([e for e in rig.events if e.name == "camera_down"]) >= 6)
        pauses = [e.fields["restart_in_ms"] for e in rig.events if e.name == "camera_down"]
    assert pauses[:6] == [20.0, 40.0, 80.0, 160.0, 200.0, 200.0]


def test_restarts_leave_nothing_behind(rig: Rig) -> None:
    gc.collect()  # what earlier tests left must not go while we count
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count
    for times in (1, 2, 3):
        os.kill(rig.process.pid, signal.SIGKILL)
        rig.wait_down(times)
        rig.wait_up(times + 1)
    rig.readers.clear()  # each holds its ring
    assert len(os.listdir("/proc/self/fd")) == before - 1  # noqa: PTH208 - a count


class _Faulty(Rig):
    """A station whose hook fails."""

    def on_up(self, generation: int, reader: RingReader, info: CameraInfo) -> None:
        super().on_up(generation, reader, info)
        raise RuntimeError("the station's own fault")


def test_an_error_of_the_station_ends_the_process_and_is_raised_by_the_owner(simcam: Simcam) -> None:
    rig = _Faulty(simcam.config())
    with pytest.raises(RuntimeError, match="own fault"), rig:
        rig.wait_up()
    assert rig.process.pid == 0


_STATION = """
import os, sys
from pathlib import Path
from inspector.config.schema import DeviceConfig
from tests.contract.camera_rig import Rig, config
from tests.support.producers import simcam_cti
with Rig(config(Path(sys.argv[1]), DeviceConfig(serial_number="0"), {"PixelFormat": "Mono8"})) as rig:
    rig.frames(1)
    print(rig.process.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("hung", [False, True], ids=["running", "hung"])
def test_the_camera_process_does_not_outlive_a_killed_station(hung: bool) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _STATION, str(VIKY)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as station:
        assert station.stdout is not None
        pid = int(station.stdout.readline())
        camera = os.pidfd_open(pid)
        if hung:
            os.kill(pid, signal.SIGSTOP)
        station.kill()
        assert select.select([camera], [], [], LIMIT_S)[0], "the camera process is still there"
        os.close(camera)


def test_stop_ends_a_camera_that_is_still_being_opened(simcam: Simcam) -> None:
    doorbell = os.eventfd(0)
    process = CameraProcess(simcam.config(), Rig(simcam.config()), doorbell)
    process.start()
    process.stop()
    assert process.pid == 0
    os.close(doorbell)
