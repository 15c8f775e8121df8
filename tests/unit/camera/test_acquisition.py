"""The acquisition loop with a camera of cardboard: what it announces, counts, and takes for lost."""

import os
from collections.abc import Iterator

import numpy as np
import pytest

from inspector.camera.acquisition import (
    EXPECT_NS,
    LINE_STANDS_NS,
    PROBE_NS,
    SLICE_MS,
    WRONG_FORMAT_MAX,
    Acquisition,
)
from inspector.camera.base import CameraInfo, DeviceInfo, FeatureValue, RawFrame, Take
from inspector.clock import NS_PER_MS, ManualClock
from inspector.errors import CameraLostError
from inspector.part import FrameStatus
from inspector.ring import RingReader, RingWriter

WIDTH, HEIGHT = 8, 4
PIXELS = np.arange(WIDTH * HEIGHT, dtype=np.uint8)


class CardboardCamera:
    """Delivers what is laid before it; where nothing is, a slice of time passes."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.deck: list[RawFrame | None] = []
        self.probes = 0
        self.kept: RawFrame | None = None
        self.rehearsed_ns: list[int] = []
        self.triggered_ns: list[int] = []
        self.answers: list[RawFrame | None] = []  # laid before it by a trigger

    def open(self) -> CameraInfo:
        return CameraInfo(DeviceInfo("1", "", "", "", ""), WIDTH, HEIGHT, "Mono8", {})

    def start(self) -> None:
        pass

    def fetch(self, timeout_ms: int, take: Take) -> bool:
        raw = self.deck.pop(0) if self.deck else None
        if raw is None:
            self.clock.advance_ms(timeout_ms)
            return False
        take(raw)
        self.kept = raw
        return True

    def rehearse(self, take: Take) -> None:
        self.rehearsed_ns.append(self.clock.now_ns())
        if self.kept is not None:
            take(self.kept)

    def trigger(self) -> None:
        self.triggered_ns.append(self.clock.now_ns())
        self.clock.advance_ms(0.5)
        self.deck += self.answers
        self.answers = []

    def change(self, features: dict[str, FeatureValue]) -> CameraInfo:
        raise NotImplementedError

    def probe(self) -> None:
        self.probes += 1

    def close(self) -> None:
        pass


class Bench:
    def __init__(self, silence_ms: float | None = None, *, rehearse: bool = False) -> None:
        self.clock = ManualClock(10**9)
        self.camera = CardboardCamera(self.clock)
        self.writer = RingWriter.create(WIDTH, HEIGHT, "Mono8", slots=2, generation=1)
        self.reader = RingReader.attach(self.writer.fd)
        self.doorbell = os.eventfd(0, os.EFD_NONBLOCK)
        self.loop = Acquisition(
            self.camera,
            self.camera.open(),
            self.writer,
            doorbell_fd=self.doorbell,
            silence_ms=silence_ms,
            clock=self.clock,
            rehearse=rehearse,
        )

    def raw(self, frame_id: int, **other: object) -> RawFrame:
        fields = {
            "complete": True,
            "width": WIDTH,
            "height": HEIGHT,
            "pixel_format": "Mono8",
            "pixels": PIXELS,
        }
        return RawFrame(frame_id, self.clock.now_ns(), 5, **{**fields, **other})  # type: ignore[arg-type]

    def play(self, *deck: RawFrame | None) -> None:
        """Run the loop until these are delivered; None is a slice without a frame."""
        self.camera.deck = list(deck)
        left = iter([True] * len(deck))
        self.loop.run(lambda: next(left, False))


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(None)
    yield bench
    os.close(bench.doorbell)
    os.close(bench.writer.fd)


def test_a_frame_is_copied_announced_and_rung(bench: Bench) -> None:
    bench.play(bench.raw(7))
    (frame,) = bench.reader.new_frames()
    assert (frame.frame_id, frame.t_device_ns, frame.status) == (7, 5, FrameStatus.OK)
    assert (bench.reader.pixels(frame).ravel() == PIXELS).all()
    assert os.eventfd_read(bench.doorbell) == 1


@pytest.mark.parametrize(
    ("other", "status"),
    [
        ({"complete": False, "pixels": None}, FrameStatus.INCOMPLETE),
        ({"complete": False, "width": 0, "pixels": None}, FrameStatus.INCOMPLETE),
        ({"width": 4}, FrameStatus.WRONG_FORMAT),
        ({"height": 2}, FrameStatus.WRONG_FORMAT),
        ({"width": HEIGHT, "height": WIDTH}, FrameStatus.WRONG_FORMAT),
        ({"pixel_format": "BayerRG8"}, FrameStatus.WRONG_FORMAT),
        ({"pixels": None}, FrameStatus.WRONG_FORMAT),
    ],
)
def test_what_is_not_as_agreed_is_announced_without_pixels(
    bench: Bench, other: dict[str, object], status: FrameStatus
) -> None:
    bench.play(bench.raw(1, **other))
    (frame,) = bench.reader.new_frames()
    assert (frame.status, frame.slot) == (status, -1)


def test_ids_are_announced_as_they_come_and_their_order_is_counted(bench: Bench) -> None:
    bench.play(*(bench.raw(frame_id) for frame_id in (5, 6, 9, 9, 8, 10)))
    assert [f.frame_id for f in bench.reader.new_frames()] == [5, 6, 9, 9, 8, 10]
    counters = bench.loop.counters
    assert (counters.frames, counters.missing, counters.duplicates, counters.backwards) == (6, 3, 1, 1)
    assert counters.overruns == 4, "two slots, none released"


def test_ids_of_16_bits_go_on_after_their_turn(bench: Bench) -> None:
    bench.play(*(bench.raw(frame_id) for frame_id in (65_534, 65_535, 1, 2)))
    assert [f.frame_id for f in bench.reader.new_frames()] == [65_534, 65_535, 65_536, 65_537]
    assert (bench.loop.counters.missing, bench.loop.counters.backwards) == (0, 0)


def test_many_frames_of_a_wrong_format_in_a_row_end_it(bench: Bench) -> None:
    wrong = [bench.raw(i, width=4) for i in range(WRONG_FORMAT_MAX)]
    with pytest.raises(CameraLostError, match="20 frames in a row were not 8 x 4 Mono8"):
        bench.play(*wrong)
    assert len(bench.reader.new_frames()) == WRONG_FORMAT_MAX


def test_a_good_frame_between_starts_the_row_anew(bench: Bench) -> None:
    wrong = [bench.raw(i, width=4) for i in range(WRONG_FORMAT_MAX - 1)]
    bench.play(*wrong, bench.raw(50), *wrong)


def test_without_a_silence_limit_a_quiet_line_is_no_fault_but_the_device_is_asked(bench: Bench) -> None:
    bench.play(*[None] * 60)
    assert bench.camera.probes == 60 * SLICE_MS * NS_PER_MS // PROBE_NS


def test_a_device_that_sends_frames_is_not_asked(bench: Bench) -> None:
    for i in range(100):
        bench.play(bench.raw(i), None, None)
    assert bench.camera.probes == 0


def test_silence_beyond_the_limit_is_a_lost_camera() -> None:
    bench = Bench(silence_ms=200.0)
    bench.play(None, None, bench.raw(1), None, None, None)
    with pytest.raises(CameraLostError, match=r"no frame for 200 ms, camera\.silence_ms allows 200"):
        bench.play(None)
    os.close(bench.doorbell)
    os.close(bench.writer.fd)


def test_the_loop_asks_whether_to_go_on_also_between_frames(bench: Bench) -> None:
    answers = iter([True, True, True, False])
    bench.camera.deck = [bench.raw(i) for i in range(100)]
    bench.loop.run(lambda: next(answers))
    assert bench.loop.counters.frames == 3


def test_a_frame_that_nobody_triggered_is_fetched_before_the_trigger(bench: Bench) -> None:
    """Else it would look as if it came of it."""
    stray, mine = bench.raw(1), bench.raw(2)
    bench.camera.deck, bench.camera.answers = [stray], [mine]
    asked: list[int] = []

    def wait_for_trigger(timeout_ms: int) -> bool:
        asked.append(timeout_ms)
        return len(asked) == 1

    before_trigger: list[int] = []
    trigger = bench.camera.trigger

    def watched() -> None:
        before_trigger.extend(frame.frame_id for frame in bench.reader.new_frames())
        trigger()

    bench.camera.trigger = watched  # type: ignore[method-assign]
    left = iter([True] * 3)
    bench.loop.run(lambda: next(left, False), wait_for_trigger)
    assert before_trigger == [1]
    assert [frame.frame_id for frame in bench.reader.new_frames()] == [2]
    assert asked[:2] == [SLICE_MS, 0]  # after the trigger a frame is due, so that nothing else is waited for


def test_a_camera_that_does_not_answer_a_trigger_is_not_waited_for_for_ever(bench: Bench) -> None:
    asked: list[int] = []

    def wait_for_trigger(timeout_ms: int) -> bool:
        asked.append(timeout_ms)
        bench.clock.advance_ms(timeout_ms)
        return len(asked) == 1

    bench.loop.run(lambda: bench.clock.now_ns() < 10**9 + 2 * EXPECT_NS, wait_for_trigger)
    assert asked[1] == 0
    assert asked[-1] == SLICE_MS


@pytest.fixture
def awake() -> Iterator[Bench]:
    bench = Bench(rehearse=True)
    yield bench
    os.close(bench.doorbell)
    os.close(bench.writer.fd)


def test_a_rehearsal_announces_nothing_and_counts_nothing(awake: Bench) -> None:
    awake.play(awake.raw(7), None, None, None, awake.raw(8))
    assert len(awake.camera.rehearsed_ns) == 3
    assert [frame.frame_id for frame in awake.reader.new_frames()] == [7, 8]
    assert os.eventfd_read(awake.doorbell) == 2
    counters = awake.loop.counters
    assert (counters.frames, counters.duplicates, counters.overruns) == (2, 0, 0)


def test_a_rehearsal_takes_the_way_of_a_frame(awake: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    put = RingWriter.put
    into: list[tuple[RingWriter, FrameStatus]] = []

    def watched(ring: RingWriter, *frame: object, **told: object) -> FrameStatus:
        status = put(ring, *frame, **told)  # type: ignore[arg-type]
        into.append((ring, status))
        return status

    monkeypatch.setattr(RingWriter, "put", watched)
    awake.play(awake.raw(7), *[None] * 5)
    assert [status for ring, status in into if ring is not awake.writer] == [FrameStatus.OK] * 5


def test_nothing_is_rehearsed_where_the_line_stands(awake: Bench) -> None:
    awake.play(awake.raw(7), *[None] * 2000)
    t_first_ns, *_, t_last_ns = awake.camera.rehearsed_ns
    assert t_last_ns - t_first_ns <= LINE_STANDS_NS
    rehearsed = len(awake.camera.rehearsed_ns)
    awake.play(awake.raw(8), None)
    assert len(awake.camera.rehearsed_ns) == rehearsed + 1


def test_nothing_is_rehearsed_where_nobody_asks_for_it(bench: Bench) -> None:
    bench.play(bench.raw(7), None, None)
    assert bench.camera.rehearsed_ns == []
