"""A camera that plays image files, for a desk without GenTL: the twin of `genicam`.

The producer is a folder with one sub-folder of images per device (as for simcam), or with the images of its only device. They are
played in the order of their names, round and round, at AcquisitionFrameRate, in any PixelFormat that the engine takes.

Triggered by software, it plays one image for each trigger instead.

It does not simulate other triggers, exposure, time stamps of the device, transport (no frame is lost or comes late), nor a lost device;
simcam does. What it does share with a real camera: an image that cannot be read is an incomplete frame, one of another size
a frame of the wrong format.
"""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.camera.base import (
    REPLAY_MODEL,
    CameraInfo,
    CameraSettings,
    DeviceInfo,
    FeatureValue,
    RawFrame,
    Take,
    find_device,
    unknown_feature,
)
from inspector.camera.encoding import encode
from inspector.clock import NS_PER_MS, NS_PER_S, Clock, SystemClock, sleep_ms
from inspector.errors import CameraError, FeatureError, ProducerError
from inspector.pixels import KNOWN, PIXEL_FORMATS, PixelFormat, pixel_format

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".pgm", ".ppm"}
_RATE_MIN, _RATE_MAX = 0.1, 1000.0
NEVER_NS = 1 << 62


class ReplayCamera:
    """Plays the images of one folder."""

    def __init__(self, settings: CameraSettings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._features: dict[str, FeatureValue] = {"PixelFormat": "Mono8", "AcquisitionFrameRate": 10.0}
        self._paths: Iterator[Path] = iter(())
        self._info: CameraInfo
        self._frame_id = 0
        self._next: NDArray[np.uint8] | NDArray[np.uint16] | None = (
            None  # read ahead, so that reading does not delay it
        )
        self._t_due_ns = 0

    @staticmethod
    def devices(producer: Path) -> list[DeviceInfo]:
        """Return one device for each folder of images; ProducerError where there is none."""
        if not producer.is_dir():
            raise ProducerError(f"no folder of images at {producer}: correct camera.producer")
        folders = _device_folders(producer)
        if not folders:
            raise ProducerError(
                f"the folder {producer} holds no images: expected one sub-folder of images per device"
            )
        return [DeviceInfo(f.name, REPLAY_MODEL, f.name, "Inspector", f.name) for f in folders]

    def open(self) -> CameraInfo:
        """Find the folder, apply the features, and take the geometry of the first image for that of all."""
        root = Path(self._settings.producer)
        devices = self.devices(root)
        index = find_device(devices, self._settings.device_key, self._settings.device_value)
        for name, wanted in self._settings.features.items():
            self._set(name, wanted)
        paths = _images(_device_folders(root)[index])
        self._next = self._read(paths[0])
        if self._next is None:
            raise CameraError(f"the image {paths[0]} cannot be read: replace or remove it")
        height, width = self._next.shape[:2]
        self._format.line_bytes(width)  # FeatureError where the format cannot carry this width
        self._paths = itertools.cycle(paths)
        self._info = CameraInfo(
            devices[index], width, height, str(self._features["PixelFormat"]), dict(self._features)
        )
        return self._info

    def _set(self, name: str, wanted: FeatureValue) -> None:
        if name not in self._features:
            raise unknown_feature(name, self._features)
        if name == "PixelFormat" and wanted not in PIXEL_FORMATS:
            raise FeatureError(f"{name}: expected {KNOWN}, got {wanted!r}; correct camera.features")
        if name == "AcquisitionFrameRate" and (
            isinstance(wanted, str | bool) or not _RATE_MIN <= wanted <= _RATE_MAX
        ):
            raise FeatureError(
                f"{name}: expected a number from {_RATE_MIN:g} to {_RATE_MAX:g} Hz, got {wanted!r}; correct camera.features"
            )
        self._features[name] = wanted

    def start(self) -> None:
        """Start to play: the first image is due at once."""
        self._next = self._read(next(self._paths))
        self._t_due_ns = NEVER_NS if self._settings.software_trigger else self._clock.now_ns()

    def fetch(self, timeout_ms: int, take: Take) -> bool:
        """Wait until the next image is due, pass it on, and read the one after it."""
        wait_ms = (self._t_due_ns - self._clock.now_ns()) / NS_PER_MS
        if wait_ms > timeout_ms:
            sleep_ms(timeout_ms)
            return False
        sleep_ms(max(wait_ms, 0.0))
        self._frame_id += 1
        if self._settings.software_trigger:
            self._t_due_ns = NEVER_NS
        else:
            self._t_due_ns += round(NS_PER_S / float(self._features["AcquisitionFrameRate"]))
        image, name = self._next, self._format.name
        t_arrival_ns = self._clock.now_ns()
        if image is None:
            take(RawFrame(self._frame_id, t_arrival_ns, 0, False, 0, 0, name, None))
        else:
            height, width = image.shape[:2]
            whole = width % self._format.group[1] == 0
            pixels = encode(image, self._format) if whole else None
            take(RawFrame(self._frame_id, t_arrival_ns, 0, True, width, height, name, pixels))
        self._next = self._read(next(self._paths))
        return True

    def rehearse(self, take: Take) -> None:
        """Nothing to rehearse: what a desk plays is not in a hurry."""

    @property
    def _format(self) -> PixelFormat:
        return pixel_format(str(self._features["PixelFormat"]))

    def _read(self, path: Path) -> NDArray[np.uint8] | NDArray[np.uint16] | None:
        """Return the image as grey (H, W), or RGB (H, W, 3) for a format with colours; None where the file is none."""
        grey = self._format.channels == 1 and not self._format.bayer
        image = cv2.imread(str(path), cv2.IMREAD_ANYDEPTH | (0 if grey else cv2.IMREAD_COLOR_RGB))
        return None if image is None or image.dtype not in (np.uint8, np.uint16) else image

    def trigger(self) -> None:
        """Have the next image due now."""
        self._t_due_ns = self._clock.now_ns()

    def change(self, features: dict[str, FeatureValue]) -> CameraInfo:
        """Set the features; they hold from the next image on."""
        for name, wanted in features.items():
            self._set(name, wanted)
        self._next = self._read(next(self._paths))
        if self._next is None:
            raise CameraError("the next image cannot be read: replace or remove it")
        height, width = self._next.shape[:2]
        self._format.line_bytes(width)  # FeatureError where the format cannot carry this width
        self._info = replace(
            self._info,
            width=width,
            height=height,
            pixel_format=self._format.name,
            features=dict(self._features),
        )
        return self._info

    def probe(self) -> None:
        """Nothing to ask: a file does not fall off its cable."""

    def close(self) -> None:
        """Nothing to release."""


def _device_folders(root: Path) -> list[Path]:
    """Return the sub-folders with images, or else `root` itself where it has some."""
    folders = [folder for folder in sorted(root.iterdir()) if folder.is_dir() and _images(folder)]
    return folders or ([root] if _images(root) else [])


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
