"""The folder in which a rehearsal is kept: what may be written again there, and what never is."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from inspector.errors import ServiceError

MARK = ".rehearsal"  # a folder with this file holds a rehearsal: what is in KEPT may be written again
KEPT = (
    "fitted", "pack", "logs", "state", "station.yaml", "images.json", "faults.json", "fit.json", "fit.log", "line.json",
    "faultproxy.log", "linesim.log", "daemon.log", "parts.jsonl", "result.json", "escapes-*.png", "false-rejects-*.png",
)  # fmt: skip


def check_free(folder: Path, needed: Sequence[Path]) -> None:
    """Raise ServiceError unless `folder` may be cleared for a rehearsal that needs the paths `needed`. Changes nothing."""
    ours = _left_in(folder)
    if ours and not (folder / MARK).exists():
        raise ServiceError(
            f"{folder}: expected no {ours[0].name}, or an earlier rehearsal's; choose another --out, or empty it"
        )
    for path in needed:
        if any(path.is_relative_to(each) for each in ours):
            raise ServiceError(
                f"{folder}: expected nothing there that this rehearsal needs, {path} would be removed; choose another --out"
            )


def make_free(folder: Path) -> None:
    """Make `folder` where there is none, and remove what an earlier rehearsal left in it, nothing else."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARK).touch()
    except OSError as error:
        raise ServiceError(f"{folder}: expected a folder that can be made, got: {error.strerror}") from error
    for path in _left_in(folder):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _left_in(folder: Path) -> list[Path]:
    return [path for name in KEPT for path in folder.glob(name)]
