"""What an unfinished fit has so far, so that the same command goes on from there after Ctrl-C, a kill or a power cut.

    .NAME.unfinished/      beside the pack NAME that is being fitted, removed when that is written
        STAGE.npz          the arrays of one stage, and the key of the fit that they belong to

The key says what the result depends on: versions, the CPU (by whose scores int8 is taken or not), options, and the content of every
image. Arrays of another key are not looked at.
A stage does the same arithmetic in the same order whether it was interrupted or not, so that the pack is the same.
"""

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector import __version__
from inspector.clock import NS_PER_S, Clock, SystemClock
from inspector.engine.settings import cpu_name

EVERY_S = 10.0  # at most so much is lost
_SHARE = 20  # saving takes at most one part in so many of the time
_KEY, _SECONDS = "key", "seconds"

Arrays = Mapping[str, NDArray[Any]]
Tell = Callable[[str], None]


def untold(line: str) -> None:
    """Tell nobody."""


def key_of(facts: Mapping[str, object], contents: Iterable[str]) -> str:
    """Return the key of a fit of these facts (JSON, anything else by its repr) on images of these SHA-256, on this machine."""
    here = {
        "version": __version__,
        "numpy": np.__version__,
        "openvino": version("openvino"),
        "cpu": cpu_name(),
    }
    found = hashlib.sha256(json.dumps({**here, **facts}, default=repr).encode())
    for content in contents:
        found.update(content.encode())
    return found.hexdigest()


def unfinished(pack: Path) -> Path:
    """Return the folder of what an interrupted fit of this pack left."""
    whole = pack.absolute()  # a pack may be called "."
    return whole.with_name(f".{whole.name}.unfinished")


class Checkpoint:
    """The unfinished fit of one pack. One thread. Without a folder nothing is kept, as in trials."""

    def __init__(
        self, folder: Path | None, key: str = "", tell: Tell = untold, clock: Clock | None = None
    ) -> None:
        self._folder, self._key, self._tell = folder, key, tell
        self._clock = clock or SystemClock()
        self._begun_ns = self._last_ns = self._clock.now_ns()
        self._took_ns = 0
        self.earlier_s = 0.0  # what earlier starts of this fit had taken when they kept what was loaded

    @classmethod
    def beside(cls, pack: Path, key: str, tell: Tell = untold) -> "Checkpoint":
        """Return what is left of an earlier fit of this pack, or the place for it."""
        return cls(unfinished(pack), key, tell)

    def due(self, seconds: float = EVERY_S) -> bool:
        """Say whether so much time has passed that it is worth saving."""
        if self._folder is None:
            return False
        return self._clock.now_ns() - self._last_ns >= max(seconds * NS_PER_S, _SHARE * self._took_ns)

    def load(self, stage: str) -> Arrays | None:
        """Return what this stage of this very fit saved, None where it saved nothing that can be used."""
        if self._folder is None:
            return None
        path = self._path(stage)
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                if str(file[_KEY]) != self._key:
                    self._tell(f"{path}: of other images, options, versions or another CPU; not used")
                    return None
                arrays = {name: file[name] for name in file.files if name not in (_KEY, _SECONDS)}
                self.earlier_s = max(self.earlier_s, float(file[_SECONDS]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            self._tell(f"{path}: cannot be read ({error}); beginning this stage again")
            return None
        self._tell(f"{stage}: going on from {path}")
        return arrays

    def save(self, stage: str, arrays: Arrays) -> None:
        """Keep this instead of what the stage saved before, whole or not at all. A disk that is full ends the keeping, not the fit."""
        if self._folder is None:
            return
        started_ns = self._clock.now_ns()
        seconds = self.earlier_s + (started_ns - self._begun_ns) / NS_PER_S
        path = self._path(stage)
        aside = path.with_suffix(".partial")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with aside.open("wb") as file:
                np.savez(
                    file,
                    allow_pickle=False,
                    **{_KEY: np.array(self._key), _SECONDS: np.array(seconds)},
                    **arrays,
                )
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        except OSError as error:
            self._tell(
                f"{path}: cannot be written, {error.strerror}; the fit goes on, but could not be resumed"
            )
            self.remove()
            self._folder = None
        self._last_ns = self._clock.now_ns()
        self._took_ns = self._last_ns - started_ns

    def remove(self) -> None:
        """Forget it all: the pack is written."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, stage: str) -> Path:
        return (self._folder or Path()) / f"{stage}.npz"


class CheckpointPart(Checkpoint):
    """What one of several equal parts of a fit keeps: its stages, by the part's name, among those of the `whole`."""

    def __init__(self, whole: Checkpoint, name: str) -> None:
        super().__init__(None)
        self._whole, self._name = whole, name

    def due(self, seconds: float = EVERY_S) -> bool:
        """Say whether so much time has passed since any part was saved."""
        return self._whole.due(seconds)

    def load(self, stage: str) -> Arrays | None:
        """Return what this stage of the part saved."""
        return self._whole.load(f"{self._name}.{stage}")

    def save(self, stage: str, arrays: Arrays) -> None:
        """Keep it beside the other parts'."""
        self._whole.save(f"{self._name}.{stage}", arrays)


NOTHING_KEPT = Checkpoint(None)
