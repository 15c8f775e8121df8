"""A GenICam camera through harvesters: the one file that knows harvesters and genicam.

harvesters opens the producer and the device and builds the node map. The frames are taken from its event monitor directly:
its own `fetch` puts incomplete frames back before anyone can see their frame id, and judges time-outs by the wall clock.
The binding holds the interpreter lock while it waits, which is why all this runs in a process of its own, on one thread.
"""

import ctypes
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from genicam import genapi, gentl
from harvesters.core import Harvester, ParameterKey, ParameterSet
from harvesters.util.pfnc import dict_by_ints

from inspector.camera.base import (
    CameraInfo,
    CameraSettings,
    DeviceInfo,
    FeatureValue,
    RawFrame,
    Take,
    find_device,
)
from inspector.camera.features import NodeMap, apply_features
from inspector.clock import Clock, SystemClock
from inspector.errors import CameraError, CameraLostError, DeviceError, FeatureError, ProducerError
from inspector.pixels import KNOWN, PIXEL_FORMATS

_log = logging.getLogger(__name__)

_ERRORS = (gentl.GenericException, genapi.GenericException)


class GenicamCamera:
    """One device behind a GenTL producer. One per process: a second Harvester on the same producer sees no devices."""

    def __init__(self, settings: CameraSettings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._harvester: Any = None
        self._acquirer: Any = None
        self._nodes: NodeMap
        self._monitor: Any = None
        self._info: CameraInfo  # what was agreed
        self._frame_bytes: int  # of a frame as agreed
        self._told: set[str] = set()  # what this producer has said of a buffer
        self._untold: set[str] = set()  # what it does not say of any
        self._keeps = settings.stay_awake
        self._kept: Any = None  # the buffer of the frame before, not queued yet: for rehearsals

    @staticmethod
    def devices(producer: Path) -> list[DeviceInfo]:
        """Return the devices that the producer offers; ProducerError where it has none or does not load."""
        harvester = _load(producer)
        try:
            return [_device_info(device) for device in harvester.device_info_list]
        finally:
            harvester.reset()

    def open(self) -> CameraInfo:
        """Load the producer, find and open the device, apply the features, return the geometry."""
        self._harvester = _load(Path(self._settings.producer))
        devices = [_device_info(device) for device in self._harvester.device_info_list]
        index = find_device(devices, self._settings.device_key, self._settings.device_value)
        try:
            self._acquirer = self._harvester.create(index)
        except (*_ERRORS, OSError, RuntimeError) as e:
            raise DeviceError(
                f"{devices[index]} cannot be opened: {_one_line(e)}; close the program that uses it, or power-cycle it"
            ) from e
        if not self._acquirer.data_streams:
            raise DeviceError(f"{devices[index]} has no data stream: it cannot send images")
        self._nodes = NodeMap(self._acquirer.remote_device.node_map)
        self._require_image_nodes(devices[index])
        applied = apply_features(self._nodes, self._settings.features)
        self._info = self._geometry(devices[index], applied)
        return self._info

    def _require_image_nodes(self, device: DeviceInfo) -> None:
        # A damaged description is noticed nowhere but here: its features are simply not there.
        missing = [
            name for name in ("Width", "Height", "PixelFormat", "AcquisitionStart") if name not in self._nodes
        ]
        if missing:
            raise DeviceError(
                f"the description of {device} lacks {', '.join(missing)}: it is damaged, or this is no image camera"
            )

    def _geometry(self, device: DeviceInfo, applied: dict[str, Any]) -> CameraInfo:
        pixel_format = str(self._nodes.value("PixelFormat"))
        if pixel_format not in PIXEL_FORMATS:
            offered = self._nodes.allowed("PixelFormat")
            raise FeatureError(
                f"PixelFormat is {pixel_format}, expected {KNOWN}:"
                f" set it in camera.features; this camera takes {offered}"
            )
        width, height = int(self._nodes.value("Width")), int(self._nodes.value("Height"))
        self._frame_bytes = PIXEL_FORMATS[pixel_format].line_bytes(width) * height
        return CameraInfo(device, width, height, pixel_format, applied)

    def start(self) -> None:
        """Announce the buffers and start the acquisition."""
        acquirer = self._acquirer
        self._keep_oldest()
        acquirer.num_buffers = max(self._settings.buffers, acquirer.min_num_buffers) + self._keeps
        try:
            acquirer.start()
        except (*_ERRORS, MemoryError) as e:
            raise CameraError(
                f"the acquisition cannot be started: {_one_line(e)}; check camera.features and buffers"
            ) from e
        (self._monitor,) = list(acquirer._new_buffer_event_monitor_dict.values())[:1]  # noqa: SLF001 - see above

    def _keep_oldest(self) -> None:
        """Ask for frames in order, none replaced by a newer one: a part's frame must not vanish behind the next."""
        nodes = NodeMap(self._acquirer.data_streams[0].node_map)
        if "StreamBufferHandlingMode" in nodes:
            try:
                nodes.set("StreamBufferHandlingMode", "OldestFirst")
            except FeatureError as e:
                _log.warning("stream_mode_refused", extra={"fields": {"why": str(e)}})

    def fetch(self, timeout_ms: int, take: Take) -> bool:
        """Wait for a buffer, pass it on, queue it again, or the one kept before it. Complete or not: `take` judges."""
        try:
            self._monitor.update_event_data(timeout_ms)
        except gentl.TimeoutException:
            return False
        except gentl.GenericException as e:
            raise CameraLostError(
                f"the stream broke: {_one_line(e)}; check cable and power of the camera"
            ) from e
        t_arrival_ns = self._clock.now_ns()
        buffer = self._monitor.buffer
        try:
            take(self._describe(buffer, t_arrival_ns))
        finally:
            if self._keeps:
                buffer, self._kept = self._kept, buffer
            if buffer is not None:
                buffer.parent.queue_buffer(buffer)  # after this its memory changes
        return True

    def rehearse(self, take: Take) -> None:
        """Describe the buffer that is kept: its memory is ours until the next frame comes."""
        if self._kept is not None:
            take(self._describe(self._kept, self._clock.now_ns()))

    def _describe(self, buffer: Any, t_arrival_ns: int) -> RawFrame:
        """Read what the producer says of the buffer; each property is a call into it, 2 us warm and 8 us cold."""
        try:
            frame_id = buffer.frame_id
        except gentl.GenericException as e:
            raise CameraError(
                f"the producer gives no frame ids ({_one_line(e)}): lost frames would go unseen; use another producer"
            ) from e
        info = self._info
        try:
            complete = buffer.is_complete()
            width = self._ask(buffer, complete, "width", info.width)
            height = self._ask(buffer, complete, "height", info.height)
            pfnc = self._ask(buffer, complete, "pixel_format", None)
            pixel_format = info.pixel_format if pfnc is None else dict_by_ints.get(pfnc, hex(pfnc))
            agreed = (width, height, pixel_format) == (info.width, info.height, info.pixel_format)
            size = self._frame_bytes
            filled = agreed and size <= buffer.size_filled
            fits = filled and self._ask(buffer, complete, "padding_x", 0) == 0
            pixels = None
            if complete and fits:
                offset = self._ask(buffer, complete, "image_offset", 0)
                pixels = np.frombuffer(buffer.raw_buffer, np.uint8, size, offset)
            t_device_ns = self._ask(buffer, complete, "timestamp_ns", 0)
        except (gentl.GenericException, ValueError):
            # No image, or one that the producer cannot describe: announced, so that its part is rejected.
            return RawFrame(frame_id, t_arrival_ns, 0, False, 0, 0, "", None)
        return RawFrame(frame_id, t_arrival_ns, t_device_ns, complete, width, height, pixel_format, pixels)

    def _ask(self, buffer: Any, complete: bool, name: str, otherwise: Any) -> Any:
        """Return a property that producers may lack, or `otherwise`; a lacking one is asked for once (its error costs 65 us).

        A buffer may also lack what others told, as one without an image does. That says nothing of the next, and the binding's error
        is raised: to believe that such a buffer is as agreed would pass a frame of any format off as ours.
        """
        if name in self._untold:
            return otherwise
        try:
            value = getattr(buffer, name)
        except (gentl.NotImplementedException, AttributeError):
            self._untold.add(name)
            return otherwise
        except gentl.NotAvailableException:
            if name in self._told or not complete:
                raise
            self._untold.add(name)
            return otherwise
        self._told.add(name)
        return value

    def trigger(self) -> None:
        """Run TriggerSoftware."""
        try:
            self._nodes.execute("TriggerSoftware")
        except _ERRORS as e:
            raise CameraLostError(
                f"the camera took no TriggerSoftware: {_one_line(e)}; check its cable, and TriggerSource in camera.features"
            ) from e

    def change(self, features: dict[str, FeatureValue]) -> CameraInfo:
        """Set the features that differ while the camera runs; where it refuses one, or sends other frames then, stop it for all."""
        before, self._settings = self._settings.features, replace(self._settings, features=features)
        old, device = self._info, self._info.device
        try:
            apply_features(self._nodes, {n: v for n, v in features.items() if before.get(n) != v})
            applied = {name: self._nodes.value(name) for name in features if self._nodes.readable(name)}
            self._info = self._geometry(device, applied)
        except FeatureError:
            self._restart(device)
            return self._info
        if (old.width, old.height, old.pixel_format) != (
            self._info.width,
            self._info.height,
            self._info.pixel_format,
        ):
            self._restart(device)
        else:
            self._discard_waiting_frames()
        return self._info

    def _restart(self, device: DeviceInfo) -> None:
        self._kept = None
        try:
            self._acquirer.stop()
        except _ERRORS as e:
            raise CameraLostError(f"the camera did not stop for a change of features: {_one_line(e)}") from e
        self._info = self._geometry(device, apply_features(self._nodes, self._settings.features))
        self.start()

    def _discard_waiting_frames(self) -> None:
        """Fetch what the producer holds already; no more than it can hold, since a fast camera goes on."""
        for _ in range(self._acquirer.num_buffers):
            if not self.fetch(0, lambda _: None):
                return

    def probe(self) -> None:
        """Read a register that every camera has, past the cache."""
        try:
            self._nodes.probe("Width")
        except _ERRORS as e:
            raise CameraLostError(
                f"the camera does not answer: {_one_line(e)}; check its cable and power"
            ) from e

    def close(self) -> None:
        """Stop the stream, give buffers, device and producer back."""
        try:
            if self._acquirer is not None:
                self._kept = None
                self._acquirer.stop()
                self._acquirer.destroy()
            if self._harvester is not None:
                self._harvester.reset()
        except _ERRORS as e:
            raise CameraError(f"the camera could not be closed in order: {_one_line(e)}") from e


class _Complaints(logging.Handler):
    """What harvesters logs instead of raising it: why a producer does not load."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line."""
        self.lines.append(record.getMessage())


def _load(producer: Path) -> Any:
    """Return a Harvester that knows the devices of the producer; ProducerError where there are none."""
    if not producer.is_file():
        raise ProducerError(
            f"no GenTL producer at {producer}: correct camera.producer or install the camera's software"
        )
    _require_entry_points(producer)
    complaints = _Complaints()
    logger = logging.getLogger("harvesters")
    logger.addHandler(complaints)
    harvester = Harvester(config=ParameterSet({ParameterKey.LOGGER: logger}))
    harvester.add_file(str(producer))
    harvester.update()
    logger.removeHandler(complaints)
    if harvester.device_info_list:
        return harvester
    if complaints.lines:
        raise ProducerError(
            f"the GenTL producer {producer} does not start: {_one_line(complaints.lines[0])}; see its manual or log"
        )
    raise ProducerError(
        f"the GenTL producer {producer} offers no devices: check cable, power and network of the camera"
    )


def _require_entry_points(producer: Path) -> None:
    """Raise ProducerError where the file is no GenTL library: the binding jumps to entry points that are not there."""
    try:
        library = ctypes.CDLL(str(producer))
    except OSError as e:
        raise ProducerError(
            f"the GenTL producer {producer} does not load: {_one_line(e)};"
            " it must be a 64-bit Linux .cti with the libraries it needs"
        ) from e
    if not hasattr(library, "GCInitLib"):
        raise ProducerError(f"{producer} is a library but no GenTL producer: correct camera.producer")


def _device_info(device: Any) -> DeviceInfo:
    known = device.property_dict
    return DeviceInfo(
        serial_number=known["serial_number"] or "",
        model=known["model"] or "",
        user_defined_name=known["user_defined_name"] or "",
        vendor=known["vendor"] or "",
        device_id=known["id_"] or "",
    )


def _one_line(e: object) -> str:
    return " ".join(str(e).split())
