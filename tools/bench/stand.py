"""One line for a benchmark: simcam, linesim and the station, all of them as they are, with at will a stand-in for the engine.

linesim stands for a machine of its own, so it runs at real-time priority wherever that is allowed, above the station's.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from inspector.config.loading import load
from inspector.config.schema import Config
from inspector.errors import ServiceError
from tools.bench.machine import Stall, StallWatch
from tools.linesim.conveyor import least_spacing_ms
from tools.rehearsal import result, station
from tools.rehearsal.folders import Sensor, Shown, write_camera_files, write_truth
from tools.rehearsal.run import LinePlan, Linesim

LINE_PRIORITY = 60  # of linesim: the PLC is another machine
STATION_PRIORITY = 50
EXPOSURE_US = 20.0  # of the simulated camera: light is no part of what is measured
READY_S = 120.0
STOP_S = 10.0
IMAGES = 24
QUICK = ("--size", 96, "--bank", 150)  # of `inspector fit`: a model that is never asked
BATCHES = 3
STAMPED = station.ROOT / "tools" / "bench" / "stamped_station.py"
EXAMPLE = station.ROOT / "config" / "station.example.yaml"


@dataclass(frozen=True, slots=True)
class Setting:
    """What one run is to be."""

    parts: int
    rate_hz: float
    budget_ms: float
    engine_ms: float | None = 0.0  # of the stand-in; None: the pack's own engine
    fifo: bool = False
    awake: bool = (
        True  # with `fifo` also what else real time may ask for: locked memory, CPUs that do not sleep
    )
    slots: int = 16
    seed: int = 1
    checkout: Path = station.ROOT  # whose daemon


@dataclass(slots=True)
class Usage:
    """What one thread used while parts passed."""

    process: str
    thread: str
    cpu_ns: int = 0
    queued_ns: int = 0  # it could run, and another had the CPU
    wakeups: int = 0  # voluntary switches: it waited for something, and was woken
    preempted: int = 0


@dataclass(slots=True)
class Run:
    """What came of a run. `parts` as linesim recorded them, `verdicts` as the station did."""

    parts: list[dict[str, Any]]
    outcomes: list[result.PartOutcome]
    stamps: dict[str, Any]
    line: dict[str, Any]  # linesim's result
    log: list[dict[str, Any]]
    usage: dict[int, Usage] = field(default_factory=dict)  # by thread id
    stalls: list[Stall] = field(default_factory=list)
    folder: Path = Path()


class Stand:
    """A fitted pack, images and a camera; `run` lets one line pass. Everything lies in `folder`."""

    def __init__(self, folder: Path, *, side: int = 256, fit: Sequence[object] = QUICK) -> None:
        """`side`: of the images, pixels. `fit`: options of `inspector fit`."""
        self.folder = folder
        self.producer = station.build_simcam()
        self._shown = _draw(folder / "images", side)
        self.cameras = folder / "cameras"
        write_camera_files(self._shown, Sensor(side, side, 1), self.cameras / station.DEVICE)
        self.truth = folder / "images.json"
        write_truth(self._shown, self.truth)
        self._fit = fit
        self._packs: dict[Path, Path] = {}  # by the checkout whose daemon reads it
        self._runs = 0

    def run(self, setting: Setting, wrap: Sequence[str] = ()) -> Run:
        """Run one line to its end. `wrap`: a command that runs the station's, such as `strace ...`."""
        self._runs += 1
        self._pack(setting.checkout)  # before anything waits for the station
        folder = self.folder / f"run-{self._runs}"
        folder.mkdir()
        base = self._base(setting)
        plan = LinePlan(
            truth=self.truth, camera=station.socket_in(self.cameras), parts=setting.parts, rate_hz=setting.rate_hz,
            budget_ms=setting.budget_ms, seed=setting.seed, faults=None,
        )  # fmt: skip
        with StallWatch() as watch, _priority(LINE_PRIORITY), Linesim(plan, base, folder) as linesim:
            first = linesim.next(READY_S)
            if not first:
                linesim.exit_status()
                raise ServiceError("expected linesim to listen, it said nothing")
            process = self._start(setting, base, first["port"], folder, wrap)
            try:
                line, usage = _follow(linesim, process)
                linesim.exit_status()
            except ServiceError as error:
                said = station.last_line((folder / "daemon.log").read_text(errors="replace"))
                raise ServiceError(f"{error}; the station's last word: {said or 'none'}") from error
            finally:
                _stop(process)
        parts = result.read_lines([folder / "parts.jsonl"])
        log = result.read_lines(sorted((folder / "logs").glob("*.jsonl")))
        stamps = json.loads((folder / "stamps.json").read_text())
        names = {tid: name for name, tid in stamps["threads"].items()}
        for tid, used in usage.items():
            used.thread = names.get(tid, used.thread)
        return Run(parts, result.join(parts, log), stamps, line, log, usage, watch.stalls, folder)

    def _pack(self, checkout: Path) -> Path:
        """Return the pack for this checkout, fitted once and by itself: packs of another one it may not read."""
        if checkout not in self._packs:
            pack = self.folder / f"pack-{len(self._packs)}"
            _inspector(checkout, "fit", "--good", self.folder / "images", "--out", pack, *self._fit)
            self._packs[checkout] = pack
        return self._packs[checkout]

    def _base(self, setting: Setting) -> Config:
        """Return the example station, suited to the rate, with as many slots as parts that are on their way to the gate."""
        base = station.suit_to_rate(load(EXAMPLE, check_files=False).config, setting.rate_hz)
        registers = base.plc.registers.model_copy(
            update={
                "slots": setting.slots,
                "status_address": setting.slots * 8 + 100,
                "control_address": setting.slots * 8 + 200,
                "vision_control_address": setting.slots * 8 + 300,
                "vision_status_address": setting.slots * 8 + 320,
            }
        )
        asked: dict[str, object] = dict.fromkeys(
            ("lock_memory", "stay_awake"), setting.fifo and setting.awake
        )
        realtime = base.realtime.model_copy(update=asked | {"fifo_priority": STATION_PRIORITY * setting.fifo})
        plc = base.plc.model_copy(update={"registers": registers})
        features = dict(base.camera.features) | {"ExposureTime": EXPOSURE_US}
        # As narrow as a fast line wants it: this camera is much faster than the example's.
        latency = base.camera.latency_ms.model_copy(
            update={"max": min(5.0, 0.4 * least_spacing_ms(setting.rate_hz))}
        )
        camera = base.camera.model_copy(update={"features": features, "latency_ms": latency})
        return base.model_copy(update={"camera": camera, "plc": plc, "realtime": realtime})

    def _start(
        self, setting: Setting, base: Config, port: int, folder: Path, wrap: Sequence[str]
    ) -> "subprocess.Popen[bytes]":
        around = station.Surroundings(self.producer, self._pack(setting.checkout), 1, port)
        config = station.derive(base, around, setting.budget_ms, folder)
        _leave_out_newer(config, setting.checkout)
        command = [
            sys.executable,
            "-m",
            "tools.bench.stamped_station",
            str(config),
            str(folder / "stamps.json"),
        ]
        command += [] if setting.engine_ms is None else [str(setting.engine_ms)]
        paths = os.pathsep.join(filter(None, [str(station.ROOT), os.environ.get("PYTHONPATH")]))
        with (folder / "daemon.log").open("wb") as log, _priority(0):
            return subprocess.Popen(
                [*wrap, *command], cwd=setting.checkout, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env=os.environ | {"SIMCAM_ROOT": str(self.cameras), "PYTHONPATH": paths},
            )  # fmt: skip


def _leave_out_newer(config: Path, checkout: Path) -> None:
    """Take those keys of `realtime` out of the configuration that an older checkout does not know."""
    schema = (checkout / "inspector" / "config" / "schema.py").read_text(encoding="utf-8")
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    content["realtime"] = {key: value for key, value in content["realtime"].items() if f"{key}:" in schema}
    config.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def fifo_allowed() -> bool:
    """Return whether this machine lets us have real-time priority."""
    with _priority(LINE_PRIORITY):
        return os.sched_getscheduler(0) == os.SCHED_FIFO


@contextmanager
def _priority(fifo: int) -> Iterator[None]:
    """Run at this real-time priority, 0 for none, where that is allowed: what is started meanwhile inherits it."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO if fifo else os.SCHED_OTHER, os.sched_param(fifo))
    try:
        yield
    finally:
        with suppress(PermissionError):
            os.sched_setscheduler(0, *before)


def _follow(linesim: Linesim, process: "subprocess.Popen[bytes]") -> tuple[dict[str, Any], dict[int, Usage]]:
    """Wait for the line's result; return it, and what each thread of the station used from the first part to the last."""
    line: dict[str, Any] = {}
    before: dict[int, Usage] = {}
    usage: dict[int, Usage] = {}
    while (event := linesim.next(0.5)) is not None:
        if not line and process.poll() is not None:
            linesim.end_in_order()
            raise ServiceError("expected the station to run, it ended")
        if event.get("event") == "ready":
            before = _usage(process.pid)
        elif event.get("event") == "result":
            line, after = event, _usage(process.pid)
            usage = {tid: _less(used, before[tid]) for tid, used in after.items() if tid in before}
            _stop(process)
            linesim.end_in_order()
    return line, usage


def _usage(pid: int) -> dict[int, Usage]:
    """Return what each thread of a process and of its children used so far, by its id."""
    found: dict[int, Usage] = {}
    for process, name in [(pid, "station"), *((child, _name_of(child)) for child in _children(pid))]:
        for task in Path(f"/proc/{process}/task").iterdir():
            with suppress(OSError):
                status = dict(
                    line.split(":\t", 1)
                    for line in (task / "status").read_text().splitlines()
                    if ":\t" in line
                )
                cpu_ns, queued_ns, _ = map(int, (task / "schedstat").read_text().split())
                found[int(task.name)] = Usage(
                    name, status["Name"], cpu_ns, queued_ns,
                    int(status["voluntary_ctxt_switches"]), int(status["nonvoluntary_ctxt_switches"]),
                )  # fmt: skip
    return found


def _less(used: Usage, before: Usage) -> Usage:
    return Usage(
        used.process, used.thread, used.cpu_ns - before.cpu_ns, used.queued_ns - before.queued_ns,
        used.wakeups - before.wakeups, used.preempted - before.preempted,
    )  # fmt: skip


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return [*found, *(grandchild for child in found for grandchild in _children(child))]


def _name_of(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    modules = [word.removeprefix("inspector.") for word in words if word.startswith("inspector.")]
    return modules[0] if modules else "station"


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _draw(folder: Path, side: int) -> list[Shown]:
    """Draw good parts: brushed metal with four holes, in as many batches as fitting asks for."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:side, :side]
    shown = []
    for index in range(IMAGES):
        path = folder / f"batch-{index % BATCHES}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        plate = 150 + 12 * np.sin(columns / 3) + rng.normal(0, 5, (side, side))
        for y, x in ((1, 1), (1, 3), (3, 1), (3, 3)):
            plate[(rows - y * side / 4) ** 2 + (columns - x * side / 4) ** 2 < (side / 12) ** 2] = 40
        cv2.imwrite(str(path), np.clip(plate * rng.uniform(0.85, 1.1), 0, 255).astype(np.uint8))
        shown.append(Shown(f"good/{index}", path, good=True))
    return shown


def _inspector(checkout: Path, *words: object) -> None:
    command = [sys.executable, "-m", "inspector", *map(str, words)]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServiceError(
            f"expected `inspector {words[0]}` to work, it said: {station.last_line(done.stderr)}"
        )
