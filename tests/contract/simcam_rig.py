"""A simcam device opened through harvesters, with its control socket, for the tests of simcam."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from genicam.gentl import TimeoutException
from harvesters.core import Callback, Harvester

from tests.support.producers import simcam_cti

Pixels = npt.NDArray[np.uint8]


def write_pnm(path: Path, pixels: Pixels) -> None:
    """Write (H, W) uint8 as PGM or (H, W, 3) RGB as PPM; the suffix is left to the caller."""
    path.parent.mkdir(parents=True, exist_ok=True)
    magic = b"P5" if pixels.ndim == 2 else b"P6"
    path.write_bytes(b"%s %d %d 255\n" % (magic, pixels.shape[1], pixels.shape[0]) + pixels.tobytes())


def flat_images(root: Path, device: str = "cam0", count: int = 4, shape: tuple[int, int] = (16, 32)) -> None:
    """Images 000, 001 ... of a device; image n is filled with the grey value n + 1."""
    for n in range(count):
        write_pnm(root / device / f"{n:03d}.pgm", np.full(shape, n + 1, np.uint8))


@dataclass(frozen=True, slots=True)
class Shot:
    """A copy of one fetched frame."""

    frame_id: int
    timestamp_ns: int
    pixel_format: str
    pixels: Pixels  # (H, W) or (H, W, 3)

    @property
    def grey(self) -> int:
        """The first pixel: tells the images of flat_images() apart."""
        return int(self.pixels.flat[0])


class _IncompleteCounter(Callback):  # type: ignore[misc]  # harvesters has no types
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, context: object | None = None) -> None:
        self.count += 1


class Camera:
    """One open device: harvesters' image acquirer and the control socket."""

    def __init__(self, acquirer: Any, root: Path, name: str) -> None:
        self.acquirer = acquirer
        self.nodes = acquirer.remote_device.node_map
        self.stream = acquirer.data_streams[0]
        self._incomplete = _IncompleteCounter()
        acquirer.add_callback(acquirer.Events.INCOMPLETE_BUFFER, self._incomplete)
        acquirer.timeout_period_on_client_fetch_call = 1
        acquirer.timeout_period_on_update_event_data_call = 20
        acquirer.num_buffers = 16
        self._target = str(root / f"{name}.sock")
        self._answers = root / f"{name}.answers"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._answers))
        self._socket.settimeout(5)

    @property
    def incomplete(self) -> int:
        """Incomplete frames that harvesters has thrown away."""
        return self._incomplete.count

    def send(self, line: str) -> str:
        """Send one command; returns the answer."""
        self._socket.sendto(line.encode(), self._target)
        return self._socket.recv(4096).decode()

    def status(self) -> dict[str, str]:
        """The counters of the camera."""
        return dict(pair.split("=") for pair in self.send("status").split())

    def triggered(self, source: str = "Line0", exposure_us: float = 100) -> None:
        """Wait for triggers, and start."""
        self.nodes.TriggerMode.value = "On"
        self.nodes.TriggerSource.value = source
        self.nodes.ExposureTime.value = exposure_us
        self.acquirer.start()

    def pulse(self, image: str | None = None) -> None:
        """A pulse on Line0."""
        assert self.send("pulse" if image is None else f"pulse image={image}") == "ok"

    def fetch(self, timeout_s: float = 5) -> Shot:
        """The next complete frame; raises TimeoutException."""
        with self.acquirer.fetch(timeout=timeout_s) as buffer:
            part = buffer.payload.components[0]
            colour = part.data_format == "RGB8"
            shape = (part.height, part.width, 3) if colour else (part.height, part.width)
            return Shot(
                frame_id=buffer.module.frame_id,
                timestamp_ns=buffer.module.timestamp_ns,
                pixel_format=part.data_format,
                pixels=part.data.reshape(shape).copy(),
            )

    def fetch_many(self, count: int) -> list[Shot]:
        """The next ``count`` complete frames."""
        return [self.fetch() for _ in range(count)]

    def is_quiet(self, for_s: float = 0.1) -> bool:
        """Whether no complete frame comes for a while."""
        try:
            self.fetch(for_s)
        except TimeoutException:
            return True
        return False

    def close(self) -> None:
        """Close the device and the socket."""
        self.acquirer.destroy()
        self._socket.close()
        self._answers.unlink()


@contextmanager
def producer(root: Path | None) -> Iterator[Harvester]:
    """Harvesters with simcam on the devices of ``root``; None: the built-in ones. One at a time."""
    on_interrupt = signal.getsignal(signal.SIGINT)  # harvesters replaces it
    before = os.environ.pop("SIMCAM_ROOT", None)
    if root is not None:
        os.environ["SIMCAM_ROOT"] = str(root)
    harvester = Harvester()
    try:
        harvester.add_file(str(simcam_cti()), check_existence=True)
        harvester.update()
        yield harvester
    finally:
        harvester.reset()
        os.environ.pop("SIMCAM_ROOT", None)
        if before is not None:
            os.environ["SIMCAM_ROOT"] = before
        signal.signal(signal.SIGINT, on_interrupt)


@contextmanager
def opened(root: Path, name: str = "cam0") -> Iterator[Camera]:
    """The device ``name`` of ``root``, open and idle."""
    with producer(root) as harvester:
        camera = Camera(harvester.create({"user_defined_name": name}), root, name)
        try:
            yield camera
        finally:
            camera.close()
