"""The station's side of the camera: keeps a camera process running, and hands its ring to the station.

`CameraProcess` runs one thread named "camera". It starts the process, listens to it, kills it where it hangs, and starts the
next one with growing pauses. Every start is a new generation with a new ring. All hooks are called on that thread.
"""

import os
import select
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self

from inspector.camera.announcer import Counters
from inspector.camera.base import CameraSettings, FeatureValue
from inspector.camera.life import CameraEvent, CameraHooks, Life
from inspector.clock import Clock, SystemClock
from inspector.config.schema import CameraConfig, RealtimeConfig, resolve
from inspector.errors import HungError


def settings_of(config: CameraConfig, folder: Path, realtime: RealtimeConfig | None = None) -> CameraSettings:
    """Return `config` as the camera process needs it; relative paths count from `folder`."""
    realtime = realtime or RealtimeConfig()
    key, value = next((k, v) for k, v in config.device.model_dump().items() if v is not None)
    return CameraSettings(
        backend=config.backend,
        producer=str(resolve(folder, config.producer)),
        device_key=key,
        device_value=value,
        features=config.features,
        buffers=config.buffers,
        ring_slots=config.ring_slots,
        silence_ms=config.silence_ms,
        fifo_priority=realtime.fifo_priority,
        lock_memory=realtime.lock_memory,
        stay_awake=realtime.stay_awake,
        software_trigger=config.trigger == "software",
    )


class CameraProcess:
    """A camera that is kept running. `start` once, `stop` once."""

    def __init__(
        self,
        config: CameraConfig,
        hooks: CameraHooks,
        doorbell_fd: int,
        *,
        folder: Path = Path(),
        clock: Clock | None = None,
        first_generation: int = 1,
        realtime: RealtimeConfig | None = None,
    ) -> None:
        """`doorbell_fd` is an eventfd that the camera process writes for each frame; it stays the caller's."""
        self.settings = settings_of(config, folder, realtime)
        self.generation = first_generation - 1
        self.error: BaseException | None = None  # what ended the thread, where that was not `stop`
        self._hooks = hooks
        self._doorbell_fd = doorbell_fd
        self._clock = clock or SystemClock()
        self._first_ms, self._max_ms = (
            config.restart_first_ms,
            max(config.restart_first_ms, config.restart_max_ms),
        )
        self._lock = threading.Lock()  # around settings and generation
        self._stopping = threading.Event()
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name="camera")
        self._life: Life | None = None

    @property
    def counters(self) -> Counters:
        """What came since the running process opened the camera; at most 100 ms old."""
        return Counters() if self._life is None else self._life.counters

    @property
    def pid(self) -> int:
        """The running camera process, 0 where there is none."""
        return 0 if self._life is None else self._life.pid

    def start(self) -> None:
        """Start the thread; returns at once."""
        self._thread.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, timeout_s: float = 2.0) -> None:
        """End the camera process and the thread. HungError where that takes longer; raises what ended the thread before."""
        self._stopping.set()
        os.eventfd_write(self._wake_fd, 1)
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise HungError(
                f"the camera's thread did not stop within {timeout_s:g} s; the station ends without it"
            )
        os.close(self._wake_fd)
        if self.error is not None:
            raise self.error

    def change(self, features: Mapping[str, FeatureValue]) -> int:
        """Have the camera set to these features, now and at each start; return the first generation that is. Any thread.

        Returns at once. `on_up` tells of that generation, or a later one, when it is done.
        """
        with self._lock:
            self.settings = replace(self.settings, features=dict(features))
            self.generation += 1
            generation = self.generation
        os.eventfd_write(self._wake_fd, 1)
        return generation

    def trigger(self) -> None:
        """Have the camera expose a frame now, where the configuration says that we trigger it. Any thread; lost where it is down."""
        life = self._life
        if life is not None:
            life.trigger()

    def _pause(self, pause_ms: float) -> bool:
        """Wait so long; False where a change of features, or the stop, ended it: what failed may go well now."""
        poll = select.poll()
        poll.register(self._wake_fd, select.POLLIN)
        if not poll.poll(pause_ms):
            return True
        os.eventfd_read(self._wake_fd)
        return False

    def _wanted(self) -> tuple[int, CameraSettings]:
        with self._lock:
            return self.generation, self.settings

    def _run(self) -> None:
        """Life after life, until stopped. The pause doubles after each one that was short, and starts anew after a long one."""
        pause_ms = self._first_ms
        try:
            while not self._stopping.is_set():
                with self._lock:
                    self.generation += 1
                self._life = Life(
                    self._wanted,
                    self._hooks,
                    self._clock,
                    doorbell_fd=self._doorbell_fd,
                    wake_fd=self._wake_fd,
                )
                why = self._life.run(self._stopping.is_set)
                if self._stopping.is_set():
                    return
                if self._life.up_ms > self._max_ms:
                    pause_ms = self._first_ms
                self._hooks.on_down(why)
                fields = {"generation": self._life.generation, "why": why, "restart_in_ms": pause_ms}
                self._hooks.on_event(CameraEvent("error", "camera_down", fields))
                pause_ms = min(pause_ms * 2, self._max_ms) if self._pause(pause_ms) else self._first_ms
        except BaseException as e:  # noqa: BLE001 - kept for the owner, who raises it in `stop`
            self.error = e
