"""The frame ring: shared memory through which the camera process hands frames to the station. One writer, one reader.

It is a memfd, so it has no name in the file system and is gone with the last process that holds it; a new geometry or a new
camera process means a new ring with a new generation. It is sealed against shrinking, so that no process can make the other
fault. Frames without pixels (incomplete, wrong format, overrun) are announced in order like any other.

Layout, in 64-bit words of the machine:

    page 0    word 0 magic   1 version   2 generation   3 width   4 height   5 bytes a line   6 slots   7 bytes from slot to slot
              words 8-11     pixel format, SFNC name, zero padded
              word 16        written: sequence of the newest announced frame (the writer's)
              word 24        overruns: frames announced without pixels because no slot was free (the writer's)
              words 64..     owner of each slot: 0 = the writer's, else the sequence of the frame that the reader holds
    page 1..  queue of 1024 announcements of 16 words: 0 stamp (its sequence; 0 while it is written)   1 frame id   2 t_arrival_ns
              3 t_device_ns   4 status   5 slot + 1   6 width   7 height   8-11 pixel format
    then      the pixel slots, each from a page boundary, so that they can be page-locked for a GPU

Why no lock is needed. Each word has one writer at any time: only the camera process turns an owner from 0 to a sequence, and
only the station turns it back, so a slot that is being scored cannot be written. What must be seen in order is stored in order:
pixels, owner, announcement, stamp, `written`. x86-64 keeps stores in order for all other cores and loads in order too (total
store order), and an aligned 8-byte store is never seen in half; `memoryview.cast("Q")` makes exactly such a store, `struct`
with a byte order does not. On other machines this would need barriers that Python lacks, so they are refused.
"""

import fcntl
import mmap
import os
import platform

import numpy as np
from numpy.typing import NDArray

from inspector.errors import RingError
from inspector.part import Frame, FrameStatus
from inspector.pixels import pixel_format as format_of

MAGIC = int.from_bytes(b"INSPRING", "little")
VERSION = 2
PAGE = 4096
QUEUE = 1024  # announcements; longer than the slots, so that a stalled station still learns of each frame it missed
SLOTS_MAX = 256

_WRITTEN, _OVERRUNS, _OWNERS = 16, 24, 64  # far enough apart that no two share a cache line
_FORMAT, _FORMAT_BYTES = 8, 32
_ENTRY_WORDS = 16
_ENTRIES = PAGE // 8
_PIXELS = PAGE + QUEUE * _ENTRY_WORDS * 8
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def _map(fd: int) -> mmap.mmap:
    """Map the whole of `fd`, with all pages present: the first frames must not wait for page faults."""
    return mmap.mmap(fd, 0, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)


def _require_total_store_order() -> None:
    if platform.machine() not in {"x86_64", "AMD64"}:
        raise RingError(
            f"the frame ring needs an x86-64 machine, this is {platform.machine()}: its stores may be reordered"
        )


def _stride(size: int) -> int:
    return -(-size // PAGE) * PAGE


class _Ring:
    """What both ends share: the mapping as 64-bit words, and the slots as an array."""

    def __init__(self, fd: int) -> None:
        """Map the ring behind `fd`, which stays the caller's."""
        _require_total_store_order()
        try:
            memory = _map(fd)
        except (OSError, ValueError) as e:
            raise RingError(f"the frame ring cannot be mapped: {e}; restart the station") from e
        self._words = words = memoryview(memory).cast("Q")
        if len(words) < _PIXELS // 8 or (words[0], words[1]) != (MAGIC, VERSION):
            raise RingError(
                f"this is no frame ring of version {VERSION}: camera and station must be of one version"
            )
        self.generation, self.width, self.height, self._line_bytes, self.slots, stride = words[2:8]
        self._size = self.height * self._line_bytes
        if len(words) * 8 < _PIXELS + self.slots * stride or stride < self._size:
            raise RingError("the frame ring is shorter than it says: restart the station")
        self.pixel_format = self._text(_FORMAT)
        self.slot_memory: NDArray[np.uint8] = np.frombuffer(
            memory, np.uint8, self.slots * stride, _PIXELS
        ).reshape(self.slots, stride)

    def _text(self, word: int) -> str:
        return bytes(self._words[word : word + _FORMAT_BYTES // 8]).rstrip(b"\0").decode("ascii")

    @property
    def written(self) -> int:
        """How many frames were announced since the ring was made."""
        return self._words[_WRITTEN]

    @property
    def overruns(self) -> int:
        """How many of them had to be announced without pixels, since no slot was free."""
        return self._words[_OVERRUNS]


class RingWriter(_Ring):
    """The camera process's end. One thread."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.fd = fd  # to be passed to the reader
        self._next_slot = 0
        self._targets = [slot[: self._size] for slot in self.slot_memory]
        self._format = _encode(self.pixel_format)

    @classmethod
    def create(
        cls, width: int, height: int, pixel_format: str, *, slots: int, generation: int
    ) -> "RingWriter":
        """Make a ring of `slots` frames, as they come in this format. RingError where the memory is not to be had.

        CameraError where the format is unknown, or does not fill whole bytes at this width.
        """
        if min(width, height, slots) < 1 or slots > SLOTS_MAX:
            raise RingError(
                f"a frame ring has 1 to {SLOTS_MAX} slots of at least 1 x 1 pixels, not {slots} of {width} x {height}"
            )
        line_bytes = format_of(pixel_format).line_bytes(width)
        stride = _stride(height * line_bytes)
        size = _PIXELS + slots * stride
        fd = os.memfd_create("inspector-ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.posix_fallocate(fd, 0, size)  # full memory is an error here, not a bus error at some frame
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            with memoryview(_map(fd)).cast("Q") as words:
                for word, value in enumerate(
                    (VERSION, generation, width, height, line_bytes, slots, stride), start=1
                ):
                    words[word] = value
                words[_FORMAT : _FORMAT + _FORMAT_BYTES // 8] = _encode(pixel_format)
                words[0] = MAGIC
            return cls(fd)
        except OSError as e:
            os.close(fd)
            raise RingError(
                f"no memory for a frame ring of {size / 1e6:.1f} MB: {e}; use fewer ring_slots"
            ) from e

    def put(
        self,
        frame_id: int,
        t_arrival_ns: int,
        pixels: NDArray[np.uint8] | None,
        *,
        status: FrameStatus = FrameStatus.OK,
        t_device_ns: int = 0,
        size: tuple[int, int] | None = None,
        pixel_format: str | None = None,
    ) -> FrameStatus:
        """Announce a frame; copy `pixels` (flat uint8, the bytes of all lines) if its status is OK and a slot is free.

        Returns the status announced: OVERRUN where all slots are held by the reader. `size` (width, height) and
        `pixel_format` tell what came instead where that is WRONG_FORMAT. Never waits.
        """
        words = self._words
        sequence = words[_WRITTEN] + 1
        slot = -1
        if status is FrameStatus.OK and pixels is not None:
            slot = self._free_slot()
            if slot < 0:
                status = FrameStatus.OVERRUN
                words[_OVERRUNS] += 1
            else:
                self._targets[slot][:] = pixels
                words[_OWNERS + slot] = sequence
        at = _ENTRIES + (sequence - 1) % QUEUE * _ENTRY_WORDS
        words[at] = 0
        words[at + 1] = frame_id
        words[at + 2] = t_arrival_ns
        words[at + 3] = t_device_ns
        words[at + 4] = status
        words[at + 5] = slot + 1
        words[at + 6], words[at + 7] = size or (self.width, self.height)
        words[at + 8 : at + 12] = self._format if pixel_format is None else _encode(pixel_format)
        words[at] = sequence
        words[_WRITTEN] = sequence
        return status

    def _free_slot(self) -> int:
        """Return a slot that is the writer's, the longest unused first; -1 where the reader holds all."""
        for step in range(self.slots):
            slot = (self._next_slot + step) % self.slots
            if self._words[_OWNERS + slot] == 0:
                self._next_slot = (slot + 1) % self.slots
                return slot
        return -1


class RingReader(_Ring):
    """The station's end. `new_frames` is for one thread at a time; `pixels` and `release` for the one that has the frame."""

    def __init__(self, fd: int) -> None:
        """Map the ring behind `fd`; the caller may close the descriptor afterwards."""
        super().__init__(fd)
        self._sequence = 0  # of the newest frame handed out
        self._held: dict[int, int] = {}  # sequence -> slot, of the frames handed out and not released
        self.lost = 0  # announcements overwritten before they were read: the station stalled
        channels = format_of(self.pixel_format).channels
        shape = (self.height, self._line_bytes) if channels == 1 else (self.height, self.width, channels)
        self._views: list[NDArray[np.uint8]] = [
            slot[: self._size].reshape(shape) for slot in self.slot_memory
        ]
        for view in self._views:
            view.flags.writeable = False

    @classmethod
    def attach(cls, fd: int) -> "RingReader":
        """Attach to the ring behind `fd`, from its first frame on. RingError where it is none."""
        return cls(fd)

    def new_frames(self) -> list[Frame]:
        """Return the frames announced since the last call, oldest first. Cheap when there is none; never waits.

        Each one that has a slot is held until `release`. A gap in their `sequence` means that the station stalled for longer
        than the queue; the gap is counted in `lost`, and its slots are given back.
        """
        written = self._words[_WRITTEN]
        if written == self._sequence:
            return []
        frames = []
        first = max(self._sequence + 1, written - QUEUE + 1)
        for sequence in range(first, written + 1):
            frame = self._read(sequence)
            if frame is not None:
                frames.append(frame)
                if frame.slot >= 0:
                    self._held[sequence] = frame.slot
        missing = written - self._sequence - len(frames)
        self._sequence = written
        if missing:
            self.lost += missing
            self._give_back_lost(written)
        return frames

    def _read(self, sequence: int) -> Frame | None:
        """Return the announcement; None where the writer has come round the queue and overwrites or overwrote it."""
        words = self._words
        at = _ENTRIES + (sequence - 1) % QUEUE * _ENTRY_WORDS
        if words[at] != sequence:
            return None
        frame_id, t_arrival_ns, t_device_ns, status, slot, width, height = words[at + 1 : at + 8]
        wrong = status == FrameStatus.WRONG_FORMAT
        pixel_format = self._text(at + 8) if wrong else self.pixel_format
        if words[at] != sequence:
            return None
        return Frame(
            generation=self.generation,
            sequence=sequence,
            frame_id=frame_id,
            t_arrival_ns=t_arrival_ns,
            status=FrameStatus(status),
            slot=slot - 1,
            width=width,
            height=height,
            pixel_format=pixel_format,
            t_device_ns=t_device_ns,
        )

    def _give_back_lost(self, up_to: int) -> None:
        """Free the slots of frames up to sequence `up_to` that were never handed out: nobody else would."""
        for slot in range(self.slots):
            owner = self._words[_OWNERS + slot]
            if 0 < owner <= up_to and owner not in self._held:
                self._words[_OWNERS + slot] = 0

    def pixels(self, frame: Frame) -> NDArray[np.uint8]:
        """Return the frame's bytes as they came, read-only, no copy; valid until `release`.

        uint8 (height, width, 3) in colour, else (height, bytes a line): a pixel each in 8 bits, for more see pixels.py.

        RingError where the frame has no pixels, is of another ring, or was released.
        """
        self._require_held(frame)
        return self._views[frame.slot]

    def release(self, frame: Frame) -> None:
        """Give the frame's slot back to the camera. Nothing to do where it has none; RingError where it is not held."""
        if frame.slot < 0:
            return
        self._require_held(frame)
        self._words[_OWNERS + frame.slot] = (
            0  # first, or else `_give_back_lost` might free the slot a second time
        )
        del self._held[frame.sequence]

    def _require_held(self, frame: Frame) -> None:
        if frame.generation != self.generation:
            raise RingError(
                f"frame {frame.frame_id} is of ring generation {frame.generation}, this ring is {self.generation}:"
                " the camera was restarted since"
            )
        if self._held.get(frame.sequence, -1) != frame.slot or frame.slot < 0:
            raise RingError(
                f"frame {frame.frame_id} (sequence {frame.sequence}) is not held: released, or without pixels"
            )

    @property
    def held(self) -> int:
        """How many slots the station holds."""
        return len(self._held)


def _encode(pixel_format: str) -> memoryview:
    """Return the name as four words; longer names are cut, since they only label."""
    return memoryview(
        pixel_format.encode("ascii", "replace")[:_FORMAT_BYTES].ljust(_FORMAT_BYTES, b"\0")
    ).cast("Q")
