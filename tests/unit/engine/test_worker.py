"""The engine thread, with a scripted engine and a scripted desk, on the real clock."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from inspector.clock import NS_PER_MS, ManualClock, SystemClock
from inspector.engine import worker
from inspector.engine.base import Score
from inspector.engine.decoding import Samples
from inspector.engine.worker import EngineThread
from inspector.errors import (
    DeviceLostError,
    EngineError,
    EngineInputError,
    EngineTimeoutError,
    GraphError,
    HungError,
    PoseError,
    ScoreError,
)
from inspector.part import Reason
from tests.unit.engine.worker_rig import HEATMAP, PATIENCE_S, FakeDesk, FakeEngine


@pytest.fixture(autouse=True)
def quick_reopening(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "REOPEN_MS", 1.0)


@contextmanager
def running(desk: FakeDesk, *engines: FakeEngine | EngineError) -> Iterator[EngineThread]:
    """Run the thread; each opening takes the next of `engines`."""
    left = list(engines)

    def open_engine(_: int) -> FakeEngine:
        engine = left.pop(0)
        if isinstance(engine, EngineError):
            raise engine
        return engine

    thread = EngineThread(open_engine, desk, desk.doorbell_fd, SystemClock())
    thread.start()
    try:
        yield thread
    finally:
        if thread._thread.is_alive():
            thread.stop(PATIENCE_S)


def test_the_engine_is_warm_before_it_is_ready(desk: FakeDesk) -> None:
    engine = FakeEngine()
    with running(desk, engine):
        desk.wait_for(lambda: bool(desk.engine))
        assert engine.warm
    assert desk.engine == [(True, "fake")]
    assert engine.closed == 1


def test_each_frame_is_scored_in_order(desk: FakeDesk) -> None:
    engine = FakeEngine(0.1, 0.2, 0.3)
    with running(desk, engine):
        desk.file(1, 2, 3)
        desk.wait_for(lambda: len(desk.answers) == 3)
    assert desk.answers == {1: 0.1, 2: 0.2, 3: 0.3}
    assert engine.scored == [1, 2, 3]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ScoreError("not finite"), Reason.ENGINE),
        (EngineInputError("wrong shape"), Reason.FRAME_BAD),
        (PoseError("too far off"), Reason.FRAME_BAD),
    ],
)
def test_a_frame_that_the_engine_refuses_costs_that_part_alone(
    desk: FakeDesk, error: EngineError, reason: Reason
) -> None:
    engine = FakeEngine(0.1, error, 0.3)
    with running(desk, engine) as thread:
        desk.file(1, 2, 3)
        desk.wait_for(lambda: len(desk.answers) == 3)
        assert thread.t_limit_ns is None
    assert desk.answers == {1: 0.1, 2: reason, 3: 0.3}
    assert desk.engine == [(True, "fake")]


def test_frames_that_are_refused_alike_are_one_warning(
    desk: FakeDesk, caplog: pytest.LogCaptureFixture
) -> None:
    """A camera of the wrong size sends ten frames a second."""
    wrong = EngineInputError("expected frames of 640 x 480 pixels, this one has 320 x 240")
    caplog.set_level("INFO", "inspector.engine.worker")
    with running(desk, FakeEngine(wrong, wrong, wrong, 0.1, wrong)):
        desk.file(1, 2, 3, 4, 5)
        desk.wait_for(lambda: len(desk.answers) == 5)
    told = [(r.levelname, r.__dict__["frame_id"]) for r in caplog.records if r.message == "score_refused"]
    assert told == [("WARNING", 1), ("INFO", 2), ("INFO", 3), ("WARNING", 5)]


def test_a_failed_engine_is_closed_and_another_one_opened(desk: FakeDesk) -> None:
    failing, next_one = FakeEngine(0.1, EngineError("device lost")), FakeEngine()
    with running(desk, failing, GraphError("still lost"), next_one):
        desk.file(1, 2, 3)
        desk.wait_for(lambda: len(desk.answers) == 3)
    assert desk.answers == {1: 0.1, 2: Reason.ENGINE, 3: 0.5}
    assert desk.engine == [
        (True, "fake"),
        (False, "ENG-001: device lost"),
        (False, "ENG-003: still lost"),
        (True, "fake"),
    ]
    assert (failing.closed, next_one.closed) == (1, 1)


def test_the_desk_hears_of_the_failure_before_the_engine_is_closed(desk: FakeDesk) -> None:
    heard: list[bool] = []

    class SlowToClose(FakeEngine):
        def close(self) -> None:
            super().close()
            heard.append((False, "ENG-001: device lost") in desk.engine)

    with running(desk, SlowToClose(EngineError("device lost")), FakeEngine()):
        desk.file(1)
        desk.wait_for(lambda: len(desk.engine) == 3)
    assert heard == [True]


@pytest.mark.parametrize(
    "error", [EngineTimeoutError("hangs"), DeviceLostError("fell off the bus"), ZeroDivisionError("a bug")]
)
def test_a_hung_or_lost_device_or_a_bug_ends_the_thread_with_its_error(
    desk: FakeDesk, error: Exception
) -> None:
    engine = FakeEngine(error)
    with running(desk, engine) as thread:
        desk.file(1, 2)
        thread._thread.join(PATIENCE_S)
        assert thread.error is error
        with pytest.raises(type(error), match=str(error)):
            thread.stop()
    assert desk.answers == {1: Reason.ENGINE}
    assert desk.engine[-1][0] is False
    assert engine.closed == 1


def test_the_error_of_a_hung_device_is_known_also_if_closing_it_hangs(desk: FakeDesk) -> None:
    closing, let_go = threading.Event(), threading.Event()

    class HangsInClose(FakeEngine):
        def close(self) -> None:
            closing.set()
            let_go.wait(PATIENCE_S)

    error = EngineTimeoutError("hangs")
    with running(desk, HangsInClose(error)) as thread:
        desk.file(1)
        assert closing.wait(PATIENCE_S)
        assert thread.error is error
        let_go.set()
        thread._thread.join(PATIENCE_S)


def test_stop_does_not_wait_for_an_engine_that_computes(desk: FakeDesk) -> None:
    computing, let_go = threading.Event(), threading.Event()

    def score() -> float:
        computing.set()
        assert let_go.wait(PATIENCE_S)
        return 0.7

    engine = FakeEngine(score)
    with running(desk, engine) as thread:
        desk.file(1, 2)
        assert computing.wait(PATIENCE_S)
        assert thread.t_limit_ns is not None
        with pytest.raises(HungError, match="did not stop within"):
            thread.stop(0.01)
        let_go.set()
        thread.stop(PATIENCE_S)
    assert desk.answers == {1: 0.7}
    assert engine.scored == [1]
    assert engine.closed == 1


@pytest.mark.parametrize("doing", ["open", "warm up", "close"])
def test_the_watchdog_sees_an_engine_that_hangs_before_or_after_its_work(desk: FakeDesk, doing: str) -> None:
    hanging, let_go = threading.Event(), threading.Event()

    class Hangs(FakeEngine):
        def step(self, name: str) -> None:
            if name == doing:
                hanging.set()
                assert let_go.wait(PATIENCE_S)

        def warm_up(self) -> None:
            self.step("warm up")
            super().warm_up()

        def close(self) -> None:
            self.step("close")
            super().close()

    engine = Hangs(EngineError("device lost"))

    def open_engine(_: int) -> FakeEngine:
        engine.step("open")
        return engine

    thread = EngineThread(open_engine, desk, desk.doorbell_fd, SystemClock())
    thread.start()
    desk.file(1)
    assert hanging.wait(PATIENCE_S)
    assert thread.t_limit_ns is not None
    let_go.set()
    thread.stop(PATIENCE_S)
    assert thread.t_limit_ns is None


def test_an_engine_that_warms_up_slowly_may_score_as_slowly(desk: FakeDesk) -> None:
    """A frame of 12 megapixels in tiles takes seconds on a CPU, and is no engine that hangs."""
    clock = ManualClock()
    seen: list[int | None] = []

    class Slow(FakeEngine):
        def warm_up(self) -> None:
            clock.advance_ms(9_000)
            super().warm_up()

    thread = EngineThread(lambda _: Slow(score), desk, desk.doorbell_fd, clock)

    def score() -> float:
        seen.append(thread.t_limit_ns)
        return 0.5

    thread.start()
    desk.file(1)
    desk.wait_for(lambda: bool(desk.answers))
    thread.stop(PATIENCE_S)
    assert seen == [clock.now_ns() + 9_000 * NS_PER_MS]


def test_stop_does_not_wait_for_the_pause_after_a_failure(
    desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "REOPEN_MS", 3_600_000.0)
    with running(desk, EngineError("no device")) as thread:
        desk.wait_for(lambda: bool(desk.engine))
        thread.stop(PATIENCE_S)
    assert thread.error is None


# -- frames that cannot be in time: with a clock that only the engine moves -------------------------


class Slow:
    """An engine thread that is driven by hand; `takes_ms` moves the clock while it scores."""

    def __init__(self, desk: FakeDesk) -> None:
        self.clock = ManualClock()
        self.takes_ms = 10.0
        self._desk = desk
        self._engine = FakeEngine()
        self._engine.warm_up()
        self._engine.score = self._score  # type: ignore[method-assign]
        self._thread = EngineThread(lambda _: self._engine, desk, desk.doorbell_fd, self.clock)
        self._thread._engines[0] = self._engine
        self._next = 0

    def _score(self, image: Samples, pixel_format: str | None = None) -> Score:
        self.clock.advance_ms(self.takes_ms)
        return Score(0.5, HEATMAP)

    def part(self, *, left_ms: float = 50.0, others_wait: bool = False) -> float | Reason:
        """Score a frame whose deadline is in `left_ms`; return the desk's answer."""
        self._next += 1
        self._desk.file(self._next, t_deadline_ns=self.clock.now_ns() + round(left_ms * NS_PER_MS))
        waiting = self._desk.next_job()
        assert waiting is not None
        if others_wait:
            waiting = self._desk._out = replace(waiting, others_wait=True)
        self._thread._score(waiting)
        return self._desk.answers[self._next]


def test_a_frame_that_cannot_be_in_time_is_not_scored(desk: FakeDesk) -> None:
    slow = Slow(desk)
    assert slow.part() == 0.5
    assert slow.part(left_ms=9.0) is Reason.OVERRUN
    assert slow.part(left_ms=-1.0) is Reason.OVERRUN
    assert slow.part(left_ms=11.0) == 0.5


def test_the_first_frame_is_tried_whatever_time_is_left(desk: FakeDesk) -> None:
    assert Slow(desk).part(left_ms=0.1) == 0.5


def test_one_slow_score_refuses_nobody(desk: FakeDesk) -> None:
    slow = Slow(desk)
    slow.part()
    slow.takes_ms = 200.0
    slow.part()
    slow.takes_ms = 10.0
    assert [slow.part() for _ in range(20)] == [0.5] * 20


@pytest.mark.parametrize("slow_scores", [1, worker.RECENT, 100])
def test_an_engine_that_was_slow_is_soon_tried_again(desk: FakeDesk, slow_scores: int) -> None:
    slow = Slow(desk)
    slow.takes_ms = 200.0
    for _ in range(slow_scores):
        slow.part(left_ms=1000.0)
    slow.takes_ms = 10.0
    answers = [slow.part() for _ in range(20)]
    refused = min(slow_scores, worker.RECENT)
    assert answers == [Reason.OVERRUN] * refused + [0.5] * (20 - refused)


def test_an_engine_that_stays_slow_is_tried_now_and_then(desk: FakeDesk) -> None:
    slow = Slow(desk)
    slow.takes_ms = 200.0
    answers = [slow.part() for _ in range(20)]
    assert answers == [0.5, Reason.OVERRUN] * 10


def test_beside_others_a_frame_is_not_scored_that_would_come_out_just_too_late(desk: FakeDesk) -> None:
    slow = Slow(desk)
    for takes_ms in (10.0, 20.0, 20.0, 200.0):
        slow.takes_ms = takes_ms
        slow.part(left_ms=1000.0)
    slow.takes_ms = 20.0
    assert slow.part(left_ms=21.0, others_wait=True) is Reason.OVERRUN
    assert slow.part(left_ms=23.0, others_wait=True) == 0.5
    assert slow.part(left_ms=11.0) == 0.5


def test_a_crowd_does_not_make_forgotten_how_long_a_score_takes(desk: FakeDesk) -> None:
    slow = Slow(desk)
    slow.part()
    assert {slow.part(left_ms=9.0, others_wait=True) for _ in range(50)} == {Reason.OVERRUN}
    assert slow.part(left_ms=9.0) is Reason.OVERRUN
    assert slow.part(left_ms=9.0) == 0.5
