"""Two daemons cannot run one station, and a dead one does not hold the lock."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from inspector.errors import ServiceError
from inspector.service.lock import StationLock

HOLDER = (
    "import sys; from pathlib import Path; from inspector.service.lock import StationLock\n"
    "lock = StationLock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()\n"
)


def test_a_second_daemon_is_told_who_runs(tmp_path: Path) -> None:
    path = tmp_path / "state" / "cell-1.lock"
    with (
        StationLock(path),
        pytest.raises(ServiceError, match=f"already running, pid {os.getpid()}; stop that one"),
    ):
        StationLock(path)
    StationLock(path).release()


def test_a_full_disk_does_not_keep_a_station_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    path = tmp_path / "cell-1.lock"
    with StationLock(path), pytest.raises(ServiceError, match="already running, pid unknown"):
        StationLock(path)


def test_the_kernel_frees_the_lock_of_a_killed_daemon(tmp_path: Path) -> None:
    path = tmp_path / "cell-1.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ServiceError, match=f"pid {holder.pid};"):
            StationLock(path)
        holder.kill()
        holder.wait()
    with StationLock(path):
        assert path.read_text() == f"{os.getpid()}\n"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServiceError, match=r"expected to write .*; see station\.state_folder"):
        StationLock(tmp_path / "file" / "cell-1.lock")
