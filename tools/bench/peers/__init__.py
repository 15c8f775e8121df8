"""Modbus peers that share no line with Inspector, as programs that are told what to do line by line. For tests and benchmarks.

libmodbus (Debian: libmodbus-dev) by a small C program, compiled on the spot; modbus-serial (npm) by a small script for node.
What is missing on a machine is said by MissingPeer, so that a test can skip by that reason.
"""

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Self

HERE = Path(__file__).parent
END_S = 5.0


class MissingPeer(Exception):  # noqa: N818 - a reason, not a failure
    """What would have to be installed."""


class PeerRefused(Exception):  # noqa: N818 - an answer
    """The other side answered with this exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code}")
        self.code = code


class Program:
    """A peer's process. A context manager; one thread asks."""

    def __init__(self, command: Sequence[str], environment: dict[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | (environment or {}),
        )
        self.first = self._line()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, *words: object) -> list[int]:
        """Have it do one thing; return the numbers it answers with. Raises PeerRefused, ConnectionError."""
        assert self._process.stdin is not None  # noqa: S101  (it was asked for)
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        said = self._line()
        kind, *numbers = said.split(" ")
        if kind == "exception":
            raise PeerRefused(int(numbers[0]))
        if kind != "ok":
            raise ConnectionError(said)
        return [int(number) for number in numbers if number]

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None  # noqa: S101
        assert self._process.stdout is not None  # noqa: S101
        self._process.stdin.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _line(self) -> str:
        assert self._process.stdout is not None  # noqa: S101
        said = self._process.stdout.readline().strip()
        if not said:
            raise ConnectionError(f"expected {self._process.args!r} to answer, it ended")
        return said


def libmodbus(*words: object) -> Program:
    """Start the program on libmodbus. Raises MissingPeer."""
    return Program([str(_libmodbus()), *map(str, words)])


def modbus_serial(*words: object) -> Program:
    """Start the script on modbus-serial. Raises MissingPeer."""
    node, modules = _node()
    return Program([node, str(HERE / "modbus_serial.js"), *map(str, words)], {"NODE_PATH": modules})


@functools.cache
def _libmodbus() -> Path:
    """Compile the program, once for this process, and return its path."""
    folder = Path(tempfile.mkdtemp(prefix="libmodbus-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    out = folder / "libmodbus"
    include = next(
        (at for at in (Path("/usr/include/modbus"), Path("/usr/local/include/modbus")) if at.is_dir()), None
    )
    if include is None:
        raise MissingPeer("no libmodbus here: apt install libmodbus-dev")
    compiler = next(
        ([found] for name in ("cc", "gcc", "clang") if (found := shutil.which(name))),
        [sys.executable, "-m", "ziglang", "cc"],
    )
    command = [*compiler, "-std=gnu11", "-O2", "-Wall", "-Wextra", f"-I{include}", str(HERE / "libmodbus.c")]
    done = subprocess.run([*command, "-o", str(out), "-lmodbus"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise MissingPeer(f"libmodbus is here, but no program for it: {done.stderr.strip().splitlines()[-1]}")
    return out


@functools.cache
def _node() -> tuple[str, str]:
    """Return node and the folder of its modules that has modbus-serial."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise MissingPeer("no node here: apt install nodejs npm, then npm install -g modbus-serial")
    said = subprocess.run([npm, "root", "-g"], capture_output=True, text=True, check=False).stdout.split()
    folders = [os.environ.get("NODE_PATH", ""), *said[-1:]]
    for folder in folders:
        if folder and (Path(folder) / "modbus-serial").is_dir():
            return node, folder
    raise MissingPeer("no modbus-serial here: npm install -g modbus-serial")
