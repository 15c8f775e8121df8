"""Rehearsals: the way of a frame, gone again and again while none comes.

20 ms after a frame other programs have taken the processor's caches: what costs 35 us every 2 ms costs 200 us then. A rehearsal goes
the same way with the frame before, into a ring that nobody reads. Nothing comes of it but that the next frame finds code and data
at hand.
"""

import os
from dataclasses import replace

from inspector.camera.announcer import Announcer
from inspector.camera.base import CameraInfo, RawFrame
from inspector.clock import Clock
from inspector.pixels import PIXEL_FORMATS
from inspector.ring import RingReader, RingWriter

REHEARSE_MS = (
    3  # from one to the next: each costs 0.1 ms of a CPU, and after 6 ms a third of the gain is lost
)
_COPIED = 4096  # bytes of the frame: more of them would warm no more code, and take milliseconds at 5 MP


class Rehearsal:
    """A ring of one slot, a doorbell and counters of its own, with the announcer's code. One thread; `close` once."""

    def __init__(self, info: CameraInfo, clock: Clock) -> None:
        line_bytes = PIXEL_FORMATS[info.pixel_format].line_bytes(info.width)
        self._height = max(1, min(info.height, _COPIED // line_bytes))
        self._bytes = self._height * line_bytes
        self._ring = RingWriter.create(info.width, self._height, info.pixel_format, slots=1, generation=0)
        self._reader = RingReader.attach(self._ring.fd)
        self._doorbell_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        shortened = replace(info, height=self._height)
        self._announcer = Announcer(shortened, self._ring, self._doorbell_fd, clock)

    def take(self, raw: RawFrame) -> None:
        """Announce the upper lines of the frame to nobody."""
        pixels = None if raw.pixels is None else raw.pixels[: self._bytes]
        self._announcer.take(replace(raw, height=self._height, pixels=pixels))
        for frame in self._reader.new_frames():
            self._reader.release(frame)

    def close(self) -> None:
        """Give ring and doorbell back."""
        os.close(self._doorbell_fd)
        os.close(self._ring.fd)
