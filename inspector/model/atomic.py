"""Writes a folder whole or not at all."""

import ctypes
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h


def replace_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Make `path` a folder of exactly `files` (relative name -> bytes), durably and in one step.

    Everything is written and synced beside `path` first; then the two names are exchanged. Whatever fails, and at
    whatever moment the power goes, `path` is either the old folder or the new one. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    try:
        for name, data in files.items():
            target = aside / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        for folder in (aside, *(entry for entry in aside.rglob("*") if entry.is_dir())):
            _sync_folder(folder)
        aside.chmod(0o755)  # mkdtemp makes it private; the daemon may run as another user
        if path.exists():
            _exchange(aside, path)
        else:
            aside.rename(path)
        _sync_folder(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)  # after the exchange this is the old folder


def _exchange(one: Path, other: Path) -> None:
    """Swap two names atomically (renameat2, Linux 3.15; os.rename cannot replace a folder that holds files)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(other))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
