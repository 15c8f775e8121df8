"""The station's end, with the real recorder process behind it: never waits, loses nothing silently."""

import fcntl
import json
import logging
import os
import resource
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from inspector.clock import SystemClock
from inspector.config.schema import RecorderConfig
from inspector.errors import ServiceError
from inspector.recorder.client import Recorder
from inspector.recorder.handler import RecorderHandler, routed_logging
from tests.unit.recorder.logs import check_numbering, entries_of

MS = 1_000_000
SMALL = RecorderConfig(queue_kb=4)


class LateClock:
    """The machine's clock, on demand a second later than it is."""

    def __init__(self) -> None:
        self.ahead_ns = 0

    def now_ns(self) -> int:
        return SystemClock().now_ns() + self.ahead_ns


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
def clock() -> LateClock:
    return LateClock()


@pytest.fixture
def recorder(folder: Path, clock: LateClock) -> Iterator[Recorder]:
    started = Recorder.start(RecorderConfig(), folder, clock, station="cell-1")
    yield started
    assert started.stop(10_000)


def kill(recorder: Recorder) -> None:
    """Kill the recorder process as a crash would."""
    recorder._process.kill()
    recorder._process.wait()


def pause(recorder: Recorder) -> None:
    """Hold the recorder process, so that the pipe fills; `os.kill(pid, SIGCONT)` lets it go on."""
    os.kill(recorder._process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, recorder._process.pid, os.WSTOPPED | os.WNOWAIT)


def resume(recorder: Recorder) -> None:
    os.kill(recorder._process.pid, signal.SIGCONT)


def test_entries_stand_in_the_log_in_their_order(recorder: Recorder, folder: Path) -> None:
    for n in range(3000):
        recorder.record("part", n=n)
    assert recorder.stop(10_000)
    entries = entries_of(folder)
    assert check_numbering(entries) == recorder.dropped == 0
    assert [entry["n"] for entry in entries[:-1]] == list(range(3000))
    assert entries[-1]["event"] == "recorder_stopped"
    (path,) = folder.iterdir()
    assert path.name.startswith("cell-1-2")


def test_all_threads_may_record(recorder: Recorder, folder: Path) -> None:
    def work(name: str) -> None:
        for n in range(500):
            recorder.record("part", thread=name, n=n)

    threads = [threading.Thread(target=work, args=(f"t{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recorder.stop(10_000)
    entries = entries_of(folder)
    assert check_numbering(entries) == 0
    for name in ("t0", "t1", "t2", "t3"):
        assert [entry["n"] for entry in entries if entry.get("thread") == name] == list(range(500))


def test_a_full_pipe_drops_and_counts(folder: Path) -> None:
    recorder = Recorder.start(SMALL, folder, station="cell-1")
    pause(recorder)
    for n in range(200):
        recorder.record("part", n=n, text="x" * 100)
    assert recorder.dropped > 100
    resume(recorder)
    assert recorder.stop(10_000)
    entries = entries_of(folder)
    assert check_numbering(entries) == recorder.dropped
    assert [entry["event"] for entry in entries[-2:]] == ["dropped", "recorder_stopped"]


def test_entries_survive_the_death_of_the_recorder(
    recorder: Recorder, folder: Path, clock: LateClock
) -> None:
    recorder.record("before")
    kill(recorder)
    recorder.record("between")
    clock.ahead_ns = 1000 * MS
    assert not recorder.ensure_alive()
    assert recorder.ensure_alive()
    recorder.record("after")
    assert recorder.stop(10_000)
    entries = entries_of(folder)
    check_numbering(entries)
    events = [entry["event"] for entry in entries if entry["event"] not in ("before", "dropped")]
    assert events == ["between", "recorder_restarted", "after", "recorder_stopped"]


def test_a_recorder_that_dies_at_once_is_not_started_in_a_loop(recorder: Recorder, clock: LateClock) -> None:
    kill(recorder)
    first = recorder._process
    assert not recorder.ensure_alive()
    assert recorder._process is first
    clock.ahead_ns = 1000 * MS
    assert not recorder.ensure_alive()
    assert recorder._process is not first


def test_a_stop_that_takes_too_long_ends_all_the_same(folder: Path) -> None:
    recorder = Recorder.start(SMALL, folder, station="cell-1")
    pause(recorder)
    assert not recorder.stop(50)
    assert recorder._process.returncode == -signal.SIGKILL


def test_stop_may_be_called_twice_and_recording_after_it_does_nothing(
    recorder: Recorder, folder: Path
) -> None:
    assert recorder.stop(10_000)
    recorder.record("late")
    assert recorder.stop()
    assert recorder.ensure_alive()
    assert [entry["event"] for entry in entries_of(folder)] == ["recorder_stopped"]


def test_the_signals_of_the_terminal_do_not_end_the_recorder(recorder: Recorder, folder: Path) -> None:
    """The last words come after them. It must have started, which its first line shows."""
    recorder.record("hello")
    wait_for_a_line(folder)
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(recorder._process.pid, signum)
    recorder.record("last words")
    assert recorder.stop(10_000)
    assert [entry["event"] for entry in entries_of(folder)] == ["hello", "last words", "recorder_stopped"]


def wait_for_a_line(folder: Path) -> None:
    """Return when the recorder has written something."""
    while not any(path.stat().st_size for path in folder.glob("*.jsonl")):
        select.select([], [], [], 0.005)


def wait_until_all_is_read(recorder: Recorder) -> None:
    """Return when the recorder has taken everything out of the pipe."""
    while struct.unpack("i", fcntl.ioctl(recorder._read_fd, termios.FIONREAD, b"\0" * 4))[0]:
        select.select([], [], [], 0.005)


def test_a_station_that_starts_twice_in_a_second_has_two_logs(folder: Path) -> None:
    for _ in range(2):
        recorder = Recorder.start(RecorderConfig(), folder, station="cell-1")
        recorder.record("start")
        assert recorder.stop(10_000)
    starts = sorted(folder.iterdir())
    assert len(starts) == 2
    for path in starts:
        numbers = [json.loads(text)["seq"] for text in path.read_text().splitlines()]
        assert numbers == [0, 1]


@pytest.mark.parametrize(
    ("environment", "severity"), [({"JOURNAL_STREAM": "8:1"}, b"<3>"), ({}, b"")], ids=["journal", "terminal"]
)
def test_a_station_that_is_killed_leaves_all_its_entries(
    folder: Path, environment: dict[str, str], severity: bytes
) -> None:
    station = (
        "import os, signal, sys; from pathlib import Path\n"
        "from inspector.config.schema import RecorderConfig\n"
        "from inspector.recorder.client import Recorder\n"
        "recorder = Recorder.start(RecorderConfig(), Path(sys.argv[1]), station='cell-1')\n"
        "for n in range(1000): recorder.record('part', n=n)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with ExitStack() as stack:
        read_fd, write_fd = os.pipe()
        stack.callback(os.close, read_fd)
        environment = {
            name: os.environ[name] for name in os.environ if name != "JOURNAL_STREAM"
        } | environment
        died = subprocess.run(
            [sys.executable, "-c", station, folder], stderr=write_fd, env=environment, check=False
        )
        os.close(write_fd)
        assert died.returncode == -signal.SIGKILL
        said = b""
        while part := os.read(read_fd, 4096):  # ends when the recorder, the last with this stderr, has ended
            said += part
    assert said.startswith(severity + b"ERROR station_died why=the station ended without saying so")
    assert said.endswith(b"; the last event was part\n")
    entries = entries_of(folder)
    assert check_numbering(entries) == 0
    assert [entry.get("n") for entry in entries] == [*range(1000), None]


def test_a_full_disk_costs_lines_but_never_their_count(recorder: Recorder, folder: Path) -> None:
    """A limit on the recorder's file size stands for the full disk: writes fail in the same way, part of them done."""
    recorder.record("before")
    wait_for_a_line(folder)
    (path,) = folder.iterdir()
    soft, hard = resource.prlimit(recorder._process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(recorder._process.pid, resource.RLIMIT_FSIZE, (path.stat().st_size + 50, hard))
    for n in range(99):
        recorder.record("lost", n=n)
    wait_until_all_is_read(recorder)
    recorder.record("lost")
    wait_until_all_is_read(recorder)  # so what was read before has been dealt with
    resource.prlimit(recorder._process.pid, resource.RLIMIT_FSIZE, (soft, hard))
    assert recorder.stop(10_000)
    entries = entries_of(folder)
    assert check_numbering(entries) >= 99
    assert entries[-1]["seq"] == 101


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServiceError, match=r"expected to make the log folder .*; see recorder\.folder"):
        Recorder.start(RecorderConfig(), tmp_path / "file" / "logs")


def test_log_lines_are_entries(recorder: Recorder, folder: Path) -> None:
    log = logging.getLogger("inspector.test")
    with routed_logging(recorder):
        log.warning("camera_lost", extra={"serial": "0012", "level": "forged"})
        log.info("%d frames of %s", 3, "cell")
        log.debug("unheard")
        with warnings.catch_warnings():
            warnings.simplefilter("always")  # pytest makes errors of them
            warnings.warn("old ways", stacklevel=1)
        try:
            int("x\ny")
        except ValueError:
            log.exception("engine_failed")
    log.warning("afterwards")
    assert recorder.stop(10_000)
    lost, text, warned, failed, stop = entries_of(folder)
    assert (lost["event"], lost["serial"], lost["level"]) == ("camera_lost", "0012", "WARNING")
    assert (text["event"], text["message"], text["level"]) == ("inspector.test", "3 frames of cell", "INFO")
    assert warned["event"] == "py.warnings"
    assert "old ways" in warned["message"]
    assert (failed["event"], failed["level"]) == ("engine_failed", "ERROR")
    assert failed["error"].startswith("ValueError: invalid literal")
    assert "test_client.py" in failed["traceback"]
    assert stop["event"] == "recorder_stopped"


def test_a_log_line_with_wrong_arguments_is_an_entry_all_the_same(recorder: Recorder, folder: Path) -> None:
    record = logging.makeLogRecord(
        {"name": "vendor", "msg": "%d frames", "args": ("many",), "levelname": "INFO"}
    )
    RecorderHandler(recorder).emit(record)
    assert recorder.stop(10_000)
    assert entries_of(folder)[0]["message"].startswith("%d frames (%d format: ")
