"""The daemon as it is, with a stamp at the door of each room, and at will a stand-in for its engine.

    python -m tools.bench.stamped_station CONFIG STAMPS [ENGINE_MS]

runs the station until SIGTERM, then writes the stamps (JSON). The stand-in waits ENGINE_MS without using the processor, as an engine
on a GPU does, and calls every part good. A stamp is two values in a list: half a microsecond, five for each part.
"""

import ctypes
import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np

from inspector import station
from inspector.camera.life import Life
from inspector.config.loading import load
from inspector.desk import Desk
from inspector.engine.base import Score
from inspector.plc.client import PlcConnection

now_ns = time.monotonic_ns
_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
HEATMAP = np.zeros((1, 1), np.float32)


class StandIn:
    """An engine that takes a given time and finds nothing (engine.base.Engine)."""

    name = "stand-in"

    def __init__(self, ms: float) -> None:
        self._s = ms / 1000

    def warm_up(self) -> None:
        """Nothing to do."""

    def score(self, *_: object) -> Score:
        """Wait, then return the score of a perfect part."""
        if self._s:
            time.sleep(self._s)
        return Score(0.0, HEATMAP)

    def score_prepared(self, *_: object) -> Score:
        """As `score`."""
        return self.score()

    def close(self) -> None:
        """Nothing to do."""


class Stamps:
    """What was seen, and when. Lists that one thread each appends to."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, int, int]] = []  # frame id, its arrival, when the engine got it
        self.heard: list[tuple[int, int]] = []  # the engine thread asked for a job, and had it
        self.copying: list[
            tuple[int, int]
        ] = []  # frames that the camera process took, ns from arrival to doorbell of them all
        self.scored: list[tuple[int, int]] = []  # frame id, when its score was there
        self.written: list[tuple[int, int, int]] = []  # part id, when its write was begun, and on its way
        self.read: list[tuple[int, int]] = []  # a read of the control block, and its answer
        self.threads: dict[str, int] = {}  # by name: the id that /proc knows

    def write(self, file: Path) -> None:
        """Write all as one JSON object."""
        file.write_text(json.dumps(vars(self)))


def stamp(stamps: Stamps) -> None:
    """Put the stamps at the doors: public methods alone, which do what they did before."""

    def around(owner: type, name: str, wrapped: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        setattr(owner, name, wraps(getattr(owner, name))(wrapped(getattr(owner, name))))

    def next_job(inner: Callable[..., Any]) -> Callable[..., Any]:
        def stamped(desk: Desk) -> Any:
            t_heard_ns = now_ns()
            if (job := inner(desk)) is not None:
                stamps.heard.append((t_heard_ns, now_ns()))
                stamps.taken.append((job.frame.frame_id, job.frame.t_arrival_ns, now_ns()))
            return job

        return stamped

    def on_score(inner: Callable[..., Any]) -> Callable[..., Any]:
        def stamped(desk: Desk, job: Any, score: Score, *, engine_ms: float) -> None:
            stamps.scored.append((job.frame.frame_id, now_ns()))
            inner(desk, job, score, engine_ms=engine_ms)

        return stamped

    def send_slot(inner: Callable[..., Any]) -> Callable[..., Any]:
        def stamped(connection: PlcConnection, part_id: int, words: list[int]) -> None:
            t_sent_ns = now_ns()
            inner(connection, part_id, words)
            stamps.written.append((part_id, t_sent_ns, now_ns()))

        return stamped

    def read_control(inner: Callable[..., Any]) -> Callable[..., Any]:
        def stamped(connection: PlcConnection) -> Any:
            t_sent_ns = now_ns()
            control = inner(connection)
            stamps.read.append((t_sent_ns, now_ns()))
            return control

        return stamped

    def on_engine(inner: Callable[..., Any]) -> Callable[..., Any]:
        def stamped(desk: Desk, **fields: Any) -> None:
            stamps.threads = {thread.name: thread.native_id or 0 for thread in threading.enumerate()}
            inner(desk, **fields)

        return stamped

    def on_alive(inner: Callable[..., Any]) -> Callable[..., Any]:
        def stamped(life: Life, counters: Any) -> None:
            stamps.copying = [(counters.frames, counters.copy_ns_sum)]
            inner(life, counters)

        return stamped

    around(Life, "_count", on_alive)
    around(Desk, "next_job", next_job)
    around(Desk, "on_score", on_score)
    around(Desk, "on_engine", on_engine)
    around(PlcConnection, "send_slot", send_slot)
    around(PlcConnection, "read_control", read_control)


def main(arguments: list[str]) -> None:
    """Run the station."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(
        _PR_SET_PDEATHSIG, signal.SIGTERM
    )  # a benchmark that is killed cannot end us: nobody else would
    stamps = Stamps()
    stamp(stamps)
    if len(arguments) > 2:
        vars(station)["open_recipe"] = lambda *_: StandIn(float(arguments[2]))
    try:
        station.run(load(Path(arguments[0])))
    finally:
        stamps.write(Path(arguments[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
