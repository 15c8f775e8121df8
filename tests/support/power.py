"""A loss of power: what a folder holds afterwards is what the disk was asked to keep, and nothing else."""

import os
from pathlib import Path

import pytest


class Power:
    """Follows what is synced; `lost` shows what is left of it.

    A file's content counts from its own sync, its name from that of its folder. A real disk may hold more than that, never less.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.syncs = 0
        self._contents: dict[int, bytes] = {}  # by inode
        self._names: dict[Path, dict[str, int]] = {}  # by folder: which inode
        monkeypatch.setattr(os, "fsync", self._sync)
        monkeypatch.setattr(os, "fdatasync", self._sync)

    def _sync(self, fd: int) -> None:
        self.syncs += 1
        path = Path(f"/proc/self/fd/{fd}").readlink()
        if path.is_dir():
            self._names[path] = {entry.name: entry.stat().st_ino for entry in path.iterdir()}
        else:
            self._contents[path.stat().st_ino] = path.read_bytes()

    def lost(self, folder: Path, into: Path) -> Path:
        """Copy what the disk has of `folder`, as a computer finds it that starts again."""
        into.mkdir()
        for name, inode in self._names.get(folder, {}).items():
            (into / name).write_bytes(self._contents.get(inode, b""))
        return into
