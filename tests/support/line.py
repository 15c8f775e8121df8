"""linesim as a test sees it: started on a free port, followed event by event, its judgement at the end."""

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.support.daemon import ROOT, environment

Event = dict[str, Any]
LINESIM = ROOT / "tools" / "linesim"
# What a shared machine that stalls may cost a part, in the words of the record; no_verdict: it came after the deadline.
STALLS = {"LATE", "HANDSHAKE", "OVERRUN", "FRAME_LOST", "LINK", "link_down", "no_verdict"}


class Line:
    """A running linesim. A context manager: left, it has ended."""

    def __init__(self, folder: Path, *options: object, name: str = "line") -> None:
        """`folder` holds images.json and the camera's socket under cameras/; start and wait until it listens."""
        self._record = folder / f"{name}.jsonl"
        self._events: queue.Queue[Event | None] = queue.Queue()
        words = [
            "--images", folder / "images.json", "--camera", folder / "cameras" / "cam.sock", "--port", 0,
            "--rate", 20, "--min-spacing-ms", 40, "--budget-ms", 400, "--record", self._record, "--live", *options,
        ]  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, str(LINESIM), *map(str, words)], stdout=subprocess.PIPE, env=environment()
        )
        self._reader = threading.Thread(target=self._read, name="linesim-reader")
        self._reader.start()
        self.port: int = self.next("listening")["port"]
        self.result: Event = {}

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as said:
            for line in said:
                self._events.put(json.loads(line))
        self._events.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()

    def next(self, wanted: str) -> Event:
        """Return the next event of this name; those before it are passed over."""
        while (event := self._events.get(timeout=60)) is not None:
            if event["event"] == wanted:
                return event
        raise AssertionError(f"expected linesim to say {wanted}, it ended with {self.process.wait()}")

    def run(self, until: Callable[[Event], bool] | None = None, **faults: Callable[[], object]) -> int:
        """Follow it to its end, doing what its `say` faults ask for; return its exit status, keep its result.

        Once `until` says yes to its progress, told ten times a second, no more parts come onto the line.
        """
        while (event := self._events.get(timeout=60)) is not None:
            if until is not None and event["event"] == "progress" and until(event):
                self.process.terminate()
                until = None
            if event["event"] == "fault" and str(event["do"]).startswith("say "):
                faults[str(event["do"]).removeprefix("say ")]()
            elif event["event"] == "result":
                self.result = event
        return self.process.wait()

    def kill(self) -> None:
        """Kill it without a word: the PLC is gone."""
        self.process.kill()
        self.process.wait()

    def parts(self) -> list[Event]:
        """Return what it recorded of each part, in order."""
        parts = [json.loads(line) for line in self._record.read_text(encoding="utf-8").splitlines()]
        return sorted(parts, key=lambda part: int(part["index"]))
