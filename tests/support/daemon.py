"""The daemon as a user runs it: a configuration, `python -m inspector run`, its log, its end."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.waiting import wait_for

ROOT = Path(__file__).parents[2]
Entry = dict[str, Any]


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a command: the checkout's package, and no service manager unless asked for."""
    kept = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    return kept | {"PYTHONPATH": str(ROOT)} | more


def inspector(*arguments: object, more: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run one command of `inspector` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "inspector", *map(str, arguments)],
        capture_output=True, text=True, timeout=60, check=False, env=environment(**(more or {})),
    )  # fmt: skip


def write_config(
    folder: Path,
    *,
    producer: Path,
    pack: Path,
    port: int,
    recipes: Sequence[dict[str, object]] = (),
    **sections: dict[str, object],
) -> Path:
    """Write a station's file for simcam's device `cam`, triggered; `sections` are laid over it."""
    content: dict[str, dict[str, object]] = {
        "station": {"name": "cell", "budget_ms": 400, "simulated": True},
        "camera": {
            "producer": str(producer),
            "device": {"user_defined_name": "cam"},
            "features": {"TriggerMode": "On", "TriggerSource": "Line0", "ExposureTime": 200.0},
            "latency_ms": {"max": 25},
            "restart_first_ms": 50,
        },
        "model": {"pack": str(pack), "engine": "openvino"},
        "plc": {"port": port},
    }
    for name, section in sections.items():
        content[name] = content.get(name, {}) | section
    file = folder / "station.yaml"
    file.write_text(yaml.safe_dump(content | {"recipes": [*recipes]}, sort_keys=False), encoding="utf-8")
    return file


@dataclass
class Daemon:
    """`inspector run CONFIG`; everything it writes lies beside the configuration."""

    config: Path
    more: dict[str, str] = field(default_factory=dict)  # environment
    process: "subprocess.Popen[bytes] | None" = None
    killed: bool = False

    def start(self) -> None:
        """Start it, also again after its end; what it says is appended to `stderr`."""
        with (self.folder / "stderr").open("ab") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "inspector", "run", str(self.config)],
                stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=environment(**self.more),
            )  # fmt: skip
        self.killed = False

    @property
    def folder(self) -> Path:
        """Where configuration, state, logs and words are."""
        return self.config.parent

    @property
    def said(self) -> str:
        """What it wrote to the terminal, over all starts."""
        return (self.folder / "stderr").read_text(encoding="utf-8")

    def log(self) -> list[Entry]:
        """Return all whole lines of the log, over all starts, oldest first."""
        lines: list[str] = []
        for file in sorted((self.folder / "logs").glob("*.jsonl")):
            text = file.read_text(encoding="utf-8")
            lines += text[: text.rfind("\n") + 1].splitlines()
        return [json.loads(line) for line in lines]

    def events(self, name: str, /, **fields: object) -> list[Entry]:
        """Return the log's entries of one event with these fields."""
        wanted = {"event": name, **fields}
        return [entry for entry in self.log() if entry.items() >= wanted.items()]

    def wait_for(self, name: str, /, *, after: int = 0, **fields: object) -> Entry:
        """Wait until the log has more than `after` such entries; return the first of them."""

        def look() -> list[Entry] | None:
            assert self.killed or self.running, f"the daemon ended: {self.said}"
            return self.events(name, **fields)[after:]

        return wait_for(look, f"the log to say {name} {fields}")[0]

    @property
    def running(self) -> bool:
        """Whether the daemon itself lives."""
        return self.process is not None and self.process.poll() is None

    def child(self, module: str) -> int:
        """Return the process id of its camera or recorder process, as soon as there is one."""

        def look() -> int | None:
            assert self.process is not None
            for task in Path(f"/proc/{self.process.pid}/task").iterdir():
                for pid in (task / "children").read_text().split():
                    if f"inspector.{module}" in command_of(int(pid)):
                        return int(pid)
            return None

        return wait_for(look, f"a process of inspector.{module}")

    def kill_camera(self) -> None:
        """Kill its camera process without a word."""
        os.kill(self.child("camera"), signal.SIGKILL)

    def kill(self) -> None:
        """Kill it without a word, as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.killed = True

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; return the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(10)

    def close(self) -> None:
        """End it if need be; AssertionError where it did not end as it should, or showed a traceback."""
        if self.process is None:
            return
        status = self.process.poll()
        if status is None:
            try:
                status = self.end()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        assert self.killed or status == 0, f"exit status {status}: {self.said}"
        assert "Traceback" not in self.said


def free_port() -> int:
    """Return a port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def gone(pid: int) -> bool:
    """Return whether a process of ours has ended."""
    return "inspector" not in command_of(pid)


def command_of(pid: int) -> str:
    """Return the command line of a process, "" where it is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
