"""From a fetched frame to the station: judged, copied into the ring, the doorbell rung, and only then counted."""

import os
from dataclasses import dataclass

from inspector.camera.base import CameraInfo, RawFrame
from inspector.camera.frame_ids import FrameIds
from inspector.clock import Clock
from inspector.part import FrameStatus
from inspector.ring import RingWriter


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


class Announcer:
    """Announces the frames of one camera in one ring. One thread."""

    def __init__(self, info: CameraInfo, ring: RingWriter, doorbell_fd: int, clock: Clock) -> None:
        self.counters = Counters()
        self.wrong_in_a_row = 0  # frames of another geometry than agreed
        self.t_last_ns = (
            clock.now_ns()
        )  # when the last frame was announced; none yet: since when it is waited for
        self._agreed = (info.width, info.height, info.pixel_format)
        self._ring = ring
        self._doorbell_fd = doorbell_fd
        self._clock = clock
        self._frame_ids = FrameIds()

    def take(self, raw: RawFrame) -> None:
        """Judge one frame, put it into the ring, tell the station. The frame's memory is not used afterwards."""
        fits = raw.pixels is not None and (raw.width, raw.height, raw.pixel_format) == self._agreed
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
        self.wrong_in_a_row = self.wrong_in_a_row + 1 if status is FrameStatus.WRONG_FORMAT else 0
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
        self.t_last_ns = now_ns
