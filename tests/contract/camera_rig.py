"""A station's side for camera tests: runs a camera process, collects what it says, and waits for things with a deadline."""

import os
import select
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from inspector.camera.base import CameraInfo
from inspector.camera.life import CameraEvent
from inspector.camera.supervisor import CameraProcess
from inspector.clock import NS_PER_S, SystemClock
from inspector.config.schema import CameraConfig, DeviceConfig, FeatureValue, RealtimeConfig
from inspector.part import Frame
from inspector.ring import RingReader
from tests.support.producers import viky_cti

VIKY = viky_cti()
LIMIT_S = 60.0  # for anything to happen; generous, since machines that test are busy


@dataclass(eq=False)
class Seen:
    """One frame, with a copy of its pixels."""

    frame: Frame
    pixels: NDArray[np.uint8] | None


@dataclass
class Rig:
    """Hooks of a camera process. Use as a context manager; `frames` and the `wait_*` fail after LIMIT_S."""

    config: CameraConfig
    realtime: RealtimeConfig = field(default_factory=RealtimeConfig)
    readers: list[RingReader] = field(default_factory=list)
    infos: list[CameraInfo] = field(default_factory=list)
    generations: list[int] = field(default_factory=list)
    downs: list[str] = field(default_factory=list)
    events: list[CameraEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._changed = threading.Condition()
        self._doorbell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._unasked: list[Seen] = []
        self.process = CameraProcess(self.config, self, self._doorbell, realtime=self.realtime)

    def __enter__(self) -> Self:
        self.process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.process.stop()
        finally:
            os.close(self._doorbell)

    def on_up(self, generation: int, reader: RingReader, info: CameraInfo) -> None:
        with self._changed:
            self.generations.append(generation)
            self.infos.append(info)
            self.readers.append(reader)
            self._changed.notify_all()

    def on_down(self, why: str) -> None:
        with self._changed:
            self.downs.append(why)
            self._changed.notify_all()

    def on_event(self, event: CameraEvent) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def wait(self, what: str, happened: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(happened, LIMIT_S), f"{what} did not happen; downs: {self.downs}"

    def wait_up(self, times: int = 1) -> RingReader:
        self.wait(f"up {times} times", lambda: len(self.readers) >= times)
        return self.readers[times - 1]

    def wait_down(self, times: int = 1) -> str:
        self.wait(f"down {times} times", lambda: len(self.downs) >= times)
        return self.downs[times - 1]

    def frames(self, count: int, generation: int = 1) -> list[Seen]:
        """Return the next `count` frames of the camera's so-manieth life, woken by the doorbell."""
        reader = self.wait_up(generation)
        ready: list[Seen] = []

        def enough() -> bool:
            for frame in reader.new_frames():
                self._unasked.append(Seen(frame, reader.pixels(frame).copy() if frame.slot >= 0 else None))
                reader.release(frame)
            ready[:] = [seen for seen in self._unasked if seen.frame.generation == generation][:count]
            return len(ready) == count

        self.wait_rung(enough)
        self._unasked = [seen for seen in self._unasked if seen not in ready]
        return ready

    def wait_rung(self, happened: Callable[[], bool]) -> None:
        """Wait for something that the doorbell tells of."""
        clock = SystemClock()
        t_limit_ns = clock.now_ns() + round(LIMIT_S * NS_PER_S)
        while not happened():
            left_s = (t_limit_ns - clock.now_ns()) / NS_PER_S
            assert left_s > 0, f"too few frames came; downs: {self.downs}"
            if select.select([self._doorbell], [], [], left_s)[0]:
                os.eventfd_read(self._doorbell)


def config(
    producer: Path, device: DeviceConfig, features: dict[str, FeatureValue], **more: object
) -> CameraConfig:
    """Return a camera's configuration that restarts quickly."""
    fields = {"restart_first_ms": 20.0, "restart_max_ms": 200.0, **more}
    return CameraConfig(producer=str(producer), device=device, features=features, **fields)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Simcam:
    """A simcam device from outside: its folder of images and its control socket."""

    producer: Path
    root: Path
    device: str = "top"

    def write_images(self, images: dict[str, NDArray[np.uint8]]) -> None:
        folder = self.root / self.device
        folder.mkdir(exist_ok=True)
        for name, image in images.items():
            header = f"P5\n{image.shape[1]} {image.shape[0]}\n255\n".encode()
            (folder / f"{name}.pgm").write_bytes(header + image.tobytes())

    def send(self, *commands: str) -> None:
        """Send commands to the running device; each is one datagram."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            for command in commands:
                sender.sendto(command.encode(), str(self.root / f"{self.device}.sock"))

    def config(self, features: dict[str, FeatureValue] | None = None, **more: object) -> CameraConfig:
        triggered: dict[str, FeatureValue] = {
            "TriggerMode": "On",
            "TriggerSource": "Line0",
            "ExposureTime": 100.0,
        }
        device = DeviceConfig(user_defined_name=self.device)
        return config(self.producer, device, triggered if features is None else features, **more)
