"""What every camera is to the camera process: one small Protocol, the values around it, and the table of backends.

`genicam` is the real thing; `replay` plays image files where no producer is at hand. Both run under the same acquisition loop.
"""

import dataclasses
import difflib
import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from inspector.errors import CameraError, DeviceError, FeatureError

FeatureValue = bool | int | float | str

REPLAY_MODEL = "ReplayCamera"
_OUR_VENDOR = "Inspector"  # of replay and simcam, whose model and serial can be set to those of any camera
_VIRTUAL_MODELS = frozenset({"Viky"})  # that show what no lens has seen


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """How a camera can be told from others. Empty where the producer does not say."""

    serial_number: str
    model: str
    user_defined_name: str
    vendor: str
    device_id: str

    @property
    def simulated(self) -> bool:
        """Whether this is known to be no real camera: a verdict about its images says nothing of a part (I7)."""
        return self.vendor == _OUR_VENDOR or self.model in _VIRTUAL_MODELS

    def __str__(self) -> str:
        name = f", name {self.user_defined_name}" if self.user_defined_name else ""
        return f"{self.vendor} {self.model} (serial {self.serial_number or 'unknown'}{name})".strip()


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """The opened camera, and the geometry that each of its frames must have."""

    device: DeviceInfo
    width: int
    height: int
    pixel_format: str
    features: dict[str, FeatureValue]  # as read back after all were applied

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Build from what `dataclasses.asdict` made, after a way through JSON."""
        return cls(**{**fields, "device": DeviceInfo(**fields["device"])})


@dataclass(frozen=True, slots=True)
class CameraSettings:
    """`camera` of the configuration as the camera process needs it: plain values, quick to read at each restart."""

    backend: str
    producer: str  # absolute path
    device_key: str  # serial_number, model or user_defined_name
    device_value: str
    features: dict[str, FeatureValue] = field(default_factory=dict)
    buffers: int = 16
    ring_slots: int = 8
    silence_ms: float | None = None
    fifo_priority: int = 0  # SCHED_FIFO of the acquisition thread; 0 = leave
    software_trigger: bool = False  # we trigger it
    lock_memory: bool = False  # keep the process out of swap
    stay_awake: bool = False  # rehearse between frames

    def to_json(self) -> dict[str, Any]:
        """Return the fields, ready for JSON; `CameraSettings(**fields)` builds it again."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class RawFrame:
    """One delivered frame, before it is judged. `pixels` is flat uint8 on the producer's memory: valid only while it is taken."""

    frame_id: int
    t_arrival_ns: int  # monotonic, right when it was fetched
    t_device_ns: int  # the camera's own clock; 0 where it has none
    complete: bool
    width: int
    height: int
    pixel_format: str
    pixels: NDArray[np.uint8] | None  # None where the memory holds less than an image of this geometry


Take = Callable[[RawFrame], None]


class Camera(Protocol):
    """A camera, used by one thread, opened and closed once. All methods raise CameraError."""

    def open(self) -> CameraInfo:
        """Find the device, apply the features in their order, and return what it will send."""
        ...

    def start(self) -> None:
        """Start the acquisition: from now on triggers make frames."""
        ...

    def fetch(self, timeout_ms: int, take: Take) -> bool:
        """Wait for one frame at most so long, pass it to `take`, then give its memory back. False where none came.

        Incomplete frames are passed on too: only so can their frame id be announced.
        """
        ...

    def rehearse(self, take: Take) -> None:
        """Describe the frame that was fetched last once more, and pass it to `take`; nothing where it is not kept.

        Nothing comes of it but code and data in the processor's caches. It is kept where the settings say `stay_awake`.
        """
        ...

    def trigger(self) -> None:
        """Have it expose one frame now (SFNC TriggerSoftware); CameraLostError where it does not answer."""
        ...

    def change(self, features: dict[str, FeatureValue]) -> CameraInfo:
        """Set these features on the running camera, and return what it sends from now on.

        The acquisition is stopped and started where a feature cannot be set otherwise. No frame from before is fetched afterwards.
        FeatureError where one is refused: what the camera is set to then is unknown.
        """
        ...

    def probe(self) -> None:
        """Ask the device for a sign of life; CameraLostError where there is none. Costs a register access."""
        ...

    def close(self) -> None:
        """Stop and release everything. Not after CameraLostError: then only the end of the process helps."""
        ...


# Names as in the configuration. Imported when used: replay needs no GenTL, genicam no image decoder.
BACKENDS: dict[str, tuple[str, str]] = {
    "genicam": ("inspector.camera.genicam", "GenicamCamera"),
    "replay": ("inspector.camera.replay", "ReplayCamera"),
}


def make_camera(settings: CameraSettings) -> Camera:
    """Return the camera of `settings.backend`, not yet opened."""
    camera: Camera = _backend(settings.backend)(settings)
    return camera


def list_backend_devices(backend: str, producer: str) -> list[DeviceInfo]:
    """Return the devices that `producer` offers. Call it in a process of its own: producers crash."""
    devices: list[DeviceInfo] = _backend(backend).devices(Path(producer))
    return devices


def _backend(name: str) -> Any:
    if name not in BACKENDS:
        raise CameraError(f"no camera backend {name!r}: one of {', '.join(BACKENDS)}")
    module, attribute = BACKENDS[name]
    return getattr(importlib.import_module(module), attribute)


def find_device(devices: list[DeviceInfo], key: str, value: str) -> int:
    """Return the index of the one device whose `key` is `value`; DeviceError tells what is there instead."""
    found = [i for i, device in enumerate(devices) if getattr(device, key) == value]
    if len(found) == 1:
        return found[0]
    if found:
        several = "; ".join(str(devices[i]) for i in found)
        raise DeviceError(
            f"{len(found)} cameras have {key} {value!r}: {several}; name one of them by serial_number in camera.device"
        )
    present = "; ".join(map(str, devices))
    raise DeviceError(
        f"no camera has {key} {value!r}; present: {present}; correct camera.device or connect it"
    )


def unknown_feature(name: str, known: Iterable[str]) -> FeatureError:
    """Return the error for a feature that the camera lacks, with the names that come close."""
    close = difflib.get_close_matches(name, list(known), n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "see the camera's manual for its features"
    return FeatureError(f"{name}: this camera has no such feature; {hint}")
