"""The one reader of configuration files: everything that is wrong with a file, at once, each with its place."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from inspector.config import checks, document, doubts, machine, wording
from inspector.config.document import Document
from inspector.config.schema import Config, resolve
from inspector.errors import ConfigError, InspectorError

# Raises InspectorError for a folder that is no usable model pack, or none for frames of this (width, height), where known.
PackCheck = Callable[[Path, tuple[int, int] | None], object]

LARGEST_FILE = 1 << 20  # a station's file has some hundred lines; more is another file by mistake


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration and the file it came from; `sha256` (hexadecimal) is what the record names (I6).

    `doubts`: values that can be meant but seldom are, a line each, `file:line:column: key: warning: text`.
    """

    config: Config
    path: Path
    sha256: str
    doubts: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder that relative paths count from."""
        return self.path.parent

    def resolve(self, path: str) -> Path:
        """Return a path of the configuration as an absolute one."""
        return resolve(self.folder, path)


def load(
    path: Path | str,
    *,
    check_files: bool = True,
    check_pack: PackCheck | None = None,
    check_machine: bool = False,
) -> LoadedConfig:
    """Return the configuration in the file `path`.

    Raises ConfigError with all problems, in the order of the file, each `file:line:column: key: expected, came`.
    With `check_files`, files and folders that must be there (producer, model pack) and are not count as problems too,
    and so does what `check_pack` says of a model pack that is there; with `check_machine`, what this machine cannot grant. That
    one may ask a name server, and so wait some seconds.
    """
    path = Path(path)
    raw = _read(path)
    found = document.read(_text(path, raw), Config)
    config = _validated(found)
    if config is not None and not found.problems:
        _cross_check(found, config, path.resolve().parent if check_files else None, check_pack)
        if check_machine:
            for key, text in machine.misfits(config, path.resolve().parent):
                found.report(key, text)
    if config is None or found.problems:
        raise ConfigError(_lines(path, found))
    for key, text in doubts.doubtful(config, ask_names=check_machine):
        found.report(key, f"warning: {text}")
    return LoadedConfig(config, path.resolve(), hashlib.sha256(raw).hexdigest(), tuple(_lines(path, found)))


def _lines(path: Path, found: Document) -> list[str]:
    """Return what is reported, in the order of the file."""
    return [
        f"{path}:{p.line}:{p.column}: {p.key + ': ' if p.key else ''}{p.text}" for p in sorted(found.problems)
    ]


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigError(
            [f"{path}: expected a station's YAML file, but it cannot be read: {error.strerror}"]
        ) from error
    if len(raw) > LARGEST_FILE:
        raise ConfigError(
            [f"{path}: expected a station's YAML file of at most 1 MiB, came more: is this the right file?"]
        )
    return raw


def _text(path: Path, raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        came = f"the byte 0x{error.object[error.start]:02x}"
        raise ConfigError(
            [f"{path}:{line}:{column}: expected UTF-8 text, came {came}; save the file as UTF-8"]
        ) from error


def _validated(found: Document) -> Config | None:
    try:
        return Config.model_validate(found.data)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            key = wording.key_of(fault)
            within = (key[: len(faulty)] == faulty for faulty in found.faulty)
            around = (faulty[: len(key)] == key for faulty in found.faulty)  # a section with a fault inside
            if not any(within) and not any(around):
                found.report(key, wording.text_of(fault, Config))
        return None


def _cross_check(found: Document, config: Config, folder: Path | None, check_pack: PackCheck | None) -> None:
    for key, text in checks.contradictions(config):
        found.report(key, text)
    if folder is not None:
        for key, text in checks.missing_files(config, folder):
            found.report(key, text)
        for (key, pack), size in zip(checks.packs(config, folder), checks.frame_sizes(config), strict=True):
            if check_pack is not None and pack.is_dir():
                try:
                    check_pack(pack, size)
                except InspectorError as error:
                    found.report(key, str(error))
