"""The frame ring under every interleaving of writer and reader, and between two real processes."""

import itertools
import os
import subprocess
import sys
import zlib

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inspector.part import Frame, FrameStatus
from inspector.ring import QUEUE, RingReader, RingWriter

SLOTS = 3
SIZE = 16 * 8


class RingMachine(RuleBasedStateMachine):
    """Put, read and release in any order, against a model of plain lists."""

    def __init__(self) -> None:
        super().__init__()
        self.writer = RingWriter.create(16, 8, "Mono8", slots=SLOTS, generation=1)
        self.reader = RingReader.attach(self.writer.fd)
        self.count = 0
        self.unread: list[tuple[int, FrameStatus]] = []  # (frame id, status) as announced
        self.held: list[Frame] = []
        self.overruns = self.lost = 0
        self.busy = 0  # slots that hold a frame, read or not

    def teardown(self) -> None:
        os.close(self.writer.fd)

    @rule(status=st.sampled_from([FrameStatus.OK, FrameStatus.OK, FrameStatus.INCOMPLETE]))
    def put(self, status: FrameStatus) -> None:
        self.count += 1
        pixels = np.full(SIZE, self.count % 251, np.uint8)
        expected = FrameStatus.OVERRUN if status is FrameStatus.OK and self.busy >= SLOTS else status
        assert self.writer.put(self.count, self.count, pixels, status=status) is expected
        self.overruns += expected is FrameStatus.OVERRUN
        self.busy += expected is FrameStatus.OK
        self.unread.append((self.count, expected))

    @rule(extra=st.integers(0, 5))
    def stall_for_more_than_the_queue(self, extra: int) -> None:
        for _ in range(QUEUE + extra):
            self.put(FrameStatus.OK)

    @rule()
    def read(self) -> None:
        kept = self.unread[-QUEUE:]
        self.lost += len(self.unread) - len(kept)
        self.unread = []
        frames = self.reader.new_frames()
        assert [(f.frame_id, f.status) for f in frames] == kept
        assert [f.sequence for f in frames] == [f.frame_id for f in frames]
        self.held += [f for f in frames if f.status is FrameStatus.OK]
        self.busy = len(self.held)  # those of lost announcements were given back

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.busy -= 1
        self.reader.release(self.held.pop(data.draw(st.integers(0, len(self.held) - 1))))

    @invariant()
    def held_frames_keep_their_pixels(self) -> None:
        for frame in self.held:
            assert (self.reader.pixels(frame) == frame.frame_id % 251).all()

    @invariant()
    def everything_is_counted(self) -> None:
        assert (self.reader.overruns, self.reader.lost, self.reader.held) == (
            self.overruns,
            self.lost,
            len(self.held),
        )
        assert self.reader.written == self.count


TestRing = RingMachine.TestCase
TestRing.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)

# Writes frames whose id is the checksum of their pixels until its input ends, waiting for no slot; prints what it announced.
_WRITER = """
import os, select, sys, zlib
import numpy as np
from inspector.part import FrameStatus
from inspector.ring import RingWriter
writer = RingWriter(int(sys.argv[1]))
size = writer.width * writer.height
noise = np.random.default_rng(3).integers(0, 256, 2 * size, np.uint8)
images = [noise[start : start + size].copy() for start in range(0, size, size // 97)]
ids = [zlib.crc32(image) for image in images]
overruns = number = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    for _ in range(20):
        overruns += writer.put(ids[number % 97], number, images[number % 97]) is FrameStatus.OVERRUN
        number += 1
        os.sched_yield()
print(number, overruns)
"""


def test_between_two_processes_no_frame_is_torn_and_each_overrun_is_counted() -> None:
    ring = RingWriter.create(200, 150, "Mono8", slots=4, generation=1)
    reader = RingReader.attach(ring.fd)
    seen: list[Frame] = []
    waiting: list[Frame] = []
    good = 0
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(ring.fd)],
        pass_fds=[ring.fd],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as process:
        os.close(ring.fd)
        while good < 600:
            assert process.poll() is None
            frames = reader.new_frames()
            seen += frames
            waiting += [f for f in frames if f.status is FrameStatus.OK]
            if len(waiting) > 2:  # slow: two are always held while the writer looks for a slot
                frame = waiting.pop(0)
                assert zlib.crc32(reader.pixels(frame).data) == frame.frame_id
                reader.release(frame)
                good += 1
        output, _ = process.communicate(timeout=10)
    seen += reader.new_frames()
    written, overruns = map(int, output.split())
    assert (reader.written, reader.overruns) == (written, overruns)
    assert overruns > 0, "the writer always found a slot: the test saw little"
    assert len(seen) + reader.lost == written
    assert [f.sequence for f in seen] == [f.t_arrival_ns + 1 for f in seen]
    assert all(a.sequence < b.sequence for a, b in itertools.pairwise(seen))
    overruns_seen = sum(f.status is FrameStatus.OVERRUN for f in seen)
    assert overruns_seen <= overruns <= overruns_seen + reader.lost
