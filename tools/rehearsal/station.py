"""The station under rehearsal: a configuration derived from the user's, and the daemon that runs it, as it is."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from inspector.config.schema import Config
from inspector.errors import ServiceError
from tools.linesim.conveyor import InputError, check_budget, least_spacing_ms

ROOT = Path(__file__).resolve().parents[2]
DEVICE = "cam"
STOP_S = 5.0
SIMCAM_FEATURES = ("TriggerActivation", "ExposureTime")  # of the user's, those that simcam has too


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the rehearsal puts in place of the real camera and PLC."""

    producer: Path
    pack: Path
    channels: int
    port: int
    packs: Sequence[Path] = ()  # of the further recipes, in their order


def socket_in(simcam_root: Path) -> Path:
    """Return the camera's trigger socket."""
    return simcam_root / f"{DEVICE}.sock"


def suit_to_rate(base: Config, rate_hz: float) -> Config:
    """Return the example station with a camera latency that fits the rate: simcam is faster than the example's camera."""
    most_ms = min(base.latency_max_ms, 0.6 * least_spacing_ms(rate_hz))
    latency = base.camera.latency_ms.model_copy(update={"max": most_ms})
    return base.model_copy(update={"camera": base.camera.model_copy(update={"latency_ms": latency})})


def doubts(config: Config, budget_ms: float, rate_hz: float) -> list[str]:
    """Return a warning where frames of two parts cannot be told apart by their times."""
    found = []
    most_ms = min(config.latency_max_ms, budget_ms / 2) + config.plc.poll_ms
    if most_ms >= least_spacing_ms(rate_hz):
        found.append(
            f"parts come as close as {least_spacing_ms(rate_hz):.0f} ms, and a frame may take {most_ms:.0f} ms "
            "(camera.latency_ms.max and plc.poll_ms): expect HANDSHAKE rejects; state the camera's true latency"
        )
    if config.plc.direct.encoder_address is not None:
        found.append(
            "the simulated belt has no encoder: the gate follows the release rule instead of plc.direct"
        )
    return found


def check_slots(config: Config, budget_ms: float, rate_hz: float) -> None:
    """Raise ServiceError where linesim would refuse to run, for a slot would be needed again too early."""
    try:
        check_budget(budget_ms, least_spacing_ms(rate_hz), config.plc.registers.slots)
    except InputError as error:
        raise ServiceError(f"{error}; take another --rate or --budget-ms") from error


def build_simcam() -> Path:
    """Return the producer, built if need be. Raises ServiceError with the compiler's last line."""
    build = ROOT / "tools" / "simcam" / "build"
    done = subprocess.run(["sh", str(build)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServiceError(
            f"expected {build} to build the simulated camera, it said: {last_line(done.stderr)}"
        )
    return Path(done.stdout.strip().splitlines()[-1])


def derive(base: Config, around: Surroundings, budget_ms: float | None, folder: Path) -> Path:
    """Write `station.yaml` into `folder`: the user's configuration with simulated camera and PLC; return its path."""
    content: dict[str, Any] = base.model_dump(mode="json", exclude_none=True)
    station, camera, plc = content["station"], content["camera"], content["plc"]
    station |= {"simulated": True, "state_folder": str(folder / "state")}
    if budget_ms is not None:
        _set_budget(station, camera, plc, budget_ms)
    wanted = {name: value for name, value in camera["features"].items() if name in SIMCAM_FEATURES}
    pixel_format = "Mono8" if around.channels == 1 else "RGB8"
    source = "Software" if camera["trigger"] == "software" else "Line0"
    camera |= {
        "backend": "genicam",
        "producer": str(around.producer),
        "device": {"user_defined_name": DEVICE},
        "features": {"PixelFormat": pixel_format, "TriggerMode": "On", "TriggerSource": source} | wanted,
    }
    content["model"]["pack"] = str(around.pack.resolve())
    for recipe, pack in zip(content["recipes"], around.packs, strict=True):
        features = {name: value for name, value in recipe["features"].items() if name in wanted}
        recipe |= {"pack": str(pack.resolve()), "features": features}
    plc |= {"host": "127.0.0.1", "port": around.port, "allow_simulated": True}
    plc["server"] |= {"address": "127.0.0.1", "peers": ["127.0.0.1"]}
    plc["direct"].pop("confirm_input", None)  # linesim's gate has no sensor behind it,
    if base.plc.direct.encoder_address is not None:
        plc["direct"] = {}  # nor has its belt an encoder: the gate follows the release rule
    content["recorder"]["folder"] = str(folder / "logs")
    file = folder / "station.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return file


def _set_budget(
    station: dict[str, Any], camera: dict[str, Any], plc: dict[str, Any], budget_ms: float
) -> None:
    """Set another budget; what no longer fits into it becomes half of it, which is the default, or a quarter."""
    station["budget_ms"] = float(budget_ms)
    plc["write_margin_ms"] = min(plc["write_margin_ms"], budget_ms / 4)
    camera["latency_ms"]["min"] = min(camera["latency_ms"]["min"], budget_ms / 4)
    for section, key in ((camera["latency_ms"], "max"), (plc, "timeout_ms"), (plc, "poll_ms")):
        if section.get(key, 0) > budget_ms / 2:
            section[key] = budget_ms / 2


class Daemon:
    """`inspector run CONFIG`, started like the service manager would, its words kept in `daemon.log`."""

    def __init__(self, config: Path, simcam_root: Path) -> None:
        self._config = config
        self._log = config.with_name("daemon.log")
        self._environment = os.environ | {
            "SIMCAM_ROOT": str(simcam_root),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def start(self) -> None:
        """Start it; its output is appended to the log."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "inspector", "run", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,  # Ctrl-C is ours to handle: the line must end before the station
            )
        self.starts += 1

    def exit_status(self) -> int | None:
        """Return its exit status, None while it runs."""
        return None if self._process is None else self._process.poll()

    def last_words(self) -> str:
        """Return the last line it wrote."""
        return last_line(self._log.read_text(encoding="utf-8", errors="replace"))

    def kill(self) -> None:
        """Kill it without a word, as a crash would."""
        if self._process is not None:
            self._process.kill()

    def kill_camera(self) -> None:
        """Kill its camera process without a word."""
        if self._process is None:
            return
        for pid in _children(self._process.pid):
            with contextlib.suppress(OSError):  # it has just ended by itself
                if b"inspector.camera" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """End it in order, and by force if that takes too long."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def last_line(text: str) -> str:
    """Return the last line that is not empty; "" of silence."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _children(pid: int) -> list[int]:
    """Return the ids of its child processes; [] where it has ended, or is ending."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found
