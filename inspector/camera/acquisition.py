"""The acquisition loop of the camera process: fetch, check, copy into the ring, ring the doorbell. One thread."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from inspector.camera.base import Camera, CameraInfo, RawFrame
from inspector.camera.frame_ids import FrameIds
from inspector.clock import NS_PER_MS, NS_PER_S, Clock
from inspector.errors import CameraLostError
from inspector.part import FrameStatus
from inspector.ring import RingWriter

SLICE_MS = 50  # one wait for a frame: short, so that the process answers and is seen alive meanwhile
PROBE_NS = NS_PER_S  # without a frame for so long: is the device still there?
TRIGGERED_SLICE_MS = (
    2  # one wait for the frame that we have triggered: so late is the next trigger heard at most
)
EXPECT_NS = NS_PER_S  # so long is the frame waited for
WRONG_FORMAT_MAX = (
    20  # so many in a row: the camera has been reset or changed; opening it anew applies the features
)


@dataclass(slots=True)
class Counters:
    """What came since the camera was opened. Judged here only as far as one frame tells; the ledger judges parts."""

    frames: int = 0
    incomplete: int = 0
    wrong_format: int = 0
    overruns: int = 0  # no slot of the ring was free
    missing: int = 0  # ids that were skipped
    duplicates: int = 0  # same id again
    backwards: int = 0  # id lower than the one before
    last_frame_id: int = -1
    copy_ns_max: int = 0  # from fetched to announced
    copy_ns_sum: int = 0


class Acquisition:
    """Runs an opened and started camera until it is told to stop, or lost."""

    def __init__(
        self,
        camera: Camera,
        info: CameraInfo,
        ring: RingWriter,
        *,
        doorbell_fd: int,
        silence_ms: float | None,
        clock: Clock,
    ) -> None:
        self.counters = Counters()
        self._camera = camera
        self._info = info
        self._ring = ring
        self._doorbell_fd = doorbell_fd
        self._silence_ns = None if silence_ms is None else round(silence_ms * NS_PER_MS)
        self._clock = clock
        self._t_last_ns = self._t_probed_ns = clock.now_ns()
        self._t_expected_ns = 0  # until then a frame may come that we have triggered
        self._frame_ids = FrameIds()
        self._wrong_in_a_row = 0

    def run(self, keep_on: Callable[[], bool], wait_for_trigger: Callable[[int], bool] | None = None) -> None:
        """Fetch frames while `keep_on()`, which is called between frames and at least once in SLICE_MS.

        `wait_for_trigger` waits so many milliseconds at most and returns whether to trigger the camera; None: others trigger it.
        CameraLostError where the device is gone, silent for `silence_ms`, or sends other frames than agreed.
        """
        while keep_on():
            slice_ms = SLICE_MS if wait_for_trigger is None else self._trigger(wait_for_trigger)
            if not self._camera.fetch(slice_ms, self._take):
                self._judge_silence()
            elif self._wrong_in_a_row >= WRONG_FORMAT_MAX:
                raise CameraLostError(
                    f"{WRONG_FORMAT_MAX} frames in a row were not {self._geometry()}: the camera was changed behind our back;"
                    " it is opened again with the features of the configuration"
                )

    def _trigger(self, wait_for_trigger: Callable[[int], bool]) -> int:
        """Trigger the camera once it is asked for; return for how many milliseconds to wait for a frame then.

        Frames that nobody triggered are fetched first: they shall not look as if they came of this trigger.
        """
        expecting = self._clock.now_ns() < self._t_expected_ns
        if wait_for_trigger(0 if expecting else SLICE_MS):
            while self._camera.fetch(0, self._take):
                pass
            self._camera.trigger()
            self._t_expected_ns = self._clock.now_ns() + EXPECT_NS
            expecting = True
        return TRIGGERED_SLICE_MS if expecting else 0

    def _take(self, raw: RawFrame) -> None:
        """Judge one frame, put it into the ring, tell the station. The frame's memory is not used afterwards."""
        info = self._info
        fits = raw.pixels is not None and (raw.width, raw.height, raw.pixel_format) == (
            info.width,
            info.height,
            info.pixel_format,
        )
        if not raw.complete:
            status = FrameStatus.INCOMPLETE
        else:
            status = FrameStatus.OK if fits else FrameStatus.WRONG_FORMAT
        wrong = status is FrameStatus.WRONG_FORMAT
        frame_id = self._frame_ids.continued(raw.frame_id)
        status = self._ring.put(
            frame_id,
            raw.t_arrival_ns,
            raw.pixels,
            status=status,
            t_device_ns=raw.t_device_ns,
            size=(raw.width, raw.height) if wrong else None,
            pixel_format=raw.pixel_format if wrong else None,
        )
        os.eventfd_write(self._doorbell_fd, 1)
        self._count(raw, frame_id, status)

    def _count(self, raw: RawFrame, frame_id: int, status: FrameStatus) -> None:
        counters = self.counters
        counters.frames += 1
        counters.incomplete += status is FrameStatus.INCOMPLETE
        counters.wrong_format += status is FrameStatus.WRONG_FORMAT
        counters.overruns += status is FrameStatus.OVERRUN
        self._wrong_in_a_row = self._wrong_in_a_row + 1 if status is FrameStatus.WRONG_FORMAT else 0
        if counters.last_frame_id >= 0:
            step = frame_id - counters.last_frame_id
            counters.missing += max(step - 1, 0)
            counters.duplicates += step == 0
            counters.backwards += step < 0
        counters.last_frame_id = frame_id
        now_ns = self._clock.now_ns()
        copy_ns = now_ns - raw.t_arrival_ns
        counters.copy_ns_sum += copy_ns
        counters.copy_ns_max = max(counters.copy_ns_max, copy_ns)
        self._t_last_ns = now_ns

    def _judge_silence(self) -> None:
        """No frame came in this slice: is that long, and does the device still answer? Frames prove that it does."""
        now_ns = self._clock.now_ns()
        silent_ns = now_ns - self._t_last_ns
        if self._silence_ns is not None and silent_ns >= self._silence_ns:
            raise CameraLostError(
                f"no frame for {silent_ns / NS_PER_MS:.0f} ms, camera.silence_ms allows {self._silence_ns / NS_PER_MS:.0f};"
                " check the camera's trigger and cable"
            )
        if now_ns - max(self._t_last_ns, self._t_probed_ns) >= PROBE_NS:
            self._camera.probe()
            self._t_probed_ns = self._clock.now_ns()

    def _geometry(self) -> str:
        return f"{self._info.width} x {self._info.height} {self._info.pixel_format}"
