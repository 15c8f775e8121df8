"""The promises I1..I5 on random lines: a small world with its own truth runs beside the ledger and judges it.

The world: parts with known truth trigger a camera; a PLC counts them, at once or some milliseconds later; the station reads the
count every few milliseconds and at once when a frame arrives, and the answer is underway for a while; an engine answers
after a while. Faults: trigger missed, trigger too many, trigger that bounces, frame lost on the wire, doubled, incomplete, overtaken,
stuck on its way into the ring; engine late or failing; camera, link and PLC down and back; frame ids that begin anew; the machine
stalls; the station is killed and started again. The ledger never sees the truth.
"""

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from inspector.handshake import Timing
from inspector.ledger import Ledger, Rules
from inspector.part import Frame, FrameStatus, Outcome, Reason, Verdict, next_part_id

MS = 1_000_000
BUDGET = 60 * MS
LATENCY_MIN, LATENCY_MAX = 1 * MS, 10 * MS

PART_FAULTS = ["none"] * 16 + [
    "missed",
    "lost",
    "doubled",
    "incomplete",
    "extra",
    "bounce",
    "overtaken",
    "stuck",
    "engine_late",
    "engine_fails",
]
# A PLC that counts anew past its old count before anybody reads it cannot be told from one that goes on.
SOON_COUNTED_AGAIN = 100
LINE_FAULTS = ["none"] * 45 + [
    "camera",
    "link",
    "plc_restart",
    "disable",
    "stall",
    "stall",
    "frame_ids",
    "kill",
    "kill",
]


@dataclass
class PartScript:
    gap_ms: float
    latency_ms: float
    good: bool
    fault: str
    line_fault: str
    engine_ms: float


part_scripts = st.builds(
    PartScript,
    gap_ms=st.one_of(st.floats(3, 30), st.floats(30, 140)),
    latency_ms=st.floats(1, 9.9),
    good=st.booleans(),
    fault=st.sampled_from(PART_FAULTS),
    line_fault=st.sampled_from(LINE_FAULTS),
    engine_ms=st.floats(0.5, 15),
)


@dataclass
class World:
    """The line and its truth; time is nanoseconds and jumps from event to event."""

    first_count: int = 0
    poll_ms: float = 5.0
    lag_ms: float = 0.0  # trigger to count, at most
    trip_ms: float = 0.0  # of a read, there and back
    last_part_id: int | None = None
    now: int = 10**12
    events: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    order: int = 0
    frame_id: int = 100_000
    sequence: int = 0
    generation: int = 1
    camera_up: bool = True
    link_up: bool = True
    enabled: bool = True
    triggers: list[tuple[int, int, bool]] = field(default_factory=list)  # epoch, part id, good
    shown: dict[int, tuple[int, int, bool] | None] = field(
        default_factory=dict
    )  # what each frame id really shows
    verdicts: list[tuple[int, Verdict]] = field(default_factory=list)
    epoch: int = 0
    plc_restarted: bool = False
    stalled: bool = False
    station_up: bool = True
    reading: bool = False
    visible_count: int = 0  # what a read would find now
    t_count: int = 0  # when it will be what the PLC has counted
    t_ring: int = 0  # when the newest frame is in the ring: they stay in order
    held_back: Callable[[], None] | None = None  # the arrival of a frame that the next one overtakes
    starts: int = 1
    kept: tuple[int, list[int]] | None = None  # the counters that outlive the station

    def __post_init__(self) -> None:
        self.rules = Rules(
            budget_ns=BUDGET,
            timing=Timing(LATENCY_MIN, LATENCY_MAX, count_lag_ns=round(self.lag_ms * MS)),
            write_margin_ns=MS,
        )
        self.ledger = Ledger(self.rules, self.last_part_id)
        self.count = self.visible_count = self.first_count
        self.ledger.on_engine(ready=True, t_ns=self.now)
        self.ledger.on_camera_up(self.generation)

    def at(self, delay_ns: float, action: Callable[[], None]) -> None:
        self.order += 1
        heapq.heappush(self.events, (self.now + round(delay_ns), self.order, action))

    def run_until(self, t_end: int) -> None:
        while self.events and self.events[0][0] <= t_end:
            self.now, _, action = heapq.heappop(self.events)
            action()
        self.now = t_end

    def got(self, verdicts: list[Verdict]) -> None:
        self.verdicts += [(self.now, v) for v in verdicts]
        if verdicts:
            self.kept = self.ledger.last_part_id, self.ledger.undecided

    def read(self) -> None:
        if self.stalled or self.reading or not self.station_up:
            return
        asked = self.now, self.starts, self.epoch
        if not self.trip_ms or not self.link_up:
            self.hear(*asked, self.visible_count)
            return
        self.reading = True
        half = self.trip_ms / 2 * MS
        self.at(half, lambda: self.at(half, partial(self.hear, *asked, self.visible_count)))

    def hear(self, t_sent: int, start: int, epoch: int, count: int) -> None:
        """The answer of the PLC, if it comes to the station that asked, from the PLC that was asked."""
        if start != self.starts:
            return
        if self.stalled:
            self.at(MS, partial(self.hear, t_sent, start, epoch, count))
            return
        self.reading = False
        if self.link_up and epoch == self.epoch:
            self.got(
                self.ledger.on_control(
                    count,
                    enabled=self.enabled,
                    t_sent_ns=t_sent,
                    t_received_ns=self.now,
                    plc_restarted=self.plc_restarted,
                )
            )
            self.plc_restarted = False
        self.got(self.ledger.on_tick(self.now))

    def poll(self) -> None:
        self.read()
        self.at(self.poll_ms * MS, self.poll)

    def expose(
        self, shows: tuple[int, int, bool] | None, script: PartScript, *, bounced: bool = False
    ) -> None:
        if not self.camera_up:
            return
        self.frame_id += 1
        arrival = partial(self.arrive, self.frame_id, shows, script, self.generation)
        if script.fault != "lost" or shows is None:
            self.at(script.latency_ms * MS, arrival)
        # A second trigger within the latency's spread before the next part's own is what the handshake cannot see.
        apart = script.gap_ms * MS > script.engine_ms / 2 * MS + LATENCY_MAX - LATENCY_MIN
        if script.fault == "bounce" and shows and apart and not bounced:
            self.at(script.engine_ms / 2 * MS, lambda: self.expose(shows, script, bounced=True))

    def arrive(
        self, frame_id: int, shows: tuple[int, int, bool] | None, script: PartScript, generation: int
    ) -> None:
        """The frame reaches the camera process, which stamps it; it may be held up on its way into the ring."""
        if script.fault == "overtaken" and self.held_back is None:
            on_time = replace(script, fault="none")
            self.held_back = partial(self.arrive, frame_id, shows, on_time, generation)
            self.at((9.9 - script.latency_ms) * MS, self.let_go)  # no later than a frame may come
            return
        if self.camera_up and generation == self.generation:
            stuck_ns = round(script.engine_ms * 2 * MS) if script.fault == "stuck" else 0
            self.t_ring = max(self.t_ring, self.now + stuck_ns)
            delivery = partial(self.deliver, frame_id, shows, script, generation, self.now)
            self.at(self.t_ring - self.now, delivery)
        self.let_go()

    def let_go(self) -> None:
        if self.held_back is not None:
            arrival, self.held_back = self.held_back, None
            arrival()

    def deliver(
        self,
        frame_id: int,
        shows: tuple[int, int, bool] | None,
        script: PartScript,
        generation: int,
        t_arrival: int,
    ) -> None:
        if not self.camera_up or generation != self.generation or not self.station_up:
            return
        copies = 2 if script.fault == "doubled" and shows else 1
        for _ in range(copies):
            self.sequence += 1
            status = FrameStatus.INCOMPLETE if script.fault == "incomplete" and shows else FrameStatus.OK
            frame = Frame(self.generation, self.sequence, frame_id, t_arrival, status, 0, 8, 8, "Mono8")
            self.shown[frame_id] = shows
            self.got(self.ledger.on_frame(frame))
            self.at(100_000, self.read)  # the station reads the count as soon as it sees the frame
            if self.ledger.deadline_of(frame) is not None:
                late = 80 if script.fault == "engine_late" else 0
                answer = partial(self.answer, frame, shows, script, self.starts)
                self.at((script.engine_ms + late) * MS, answer)

    def answer(
        self, frame: Frame, shows: tuple[int, int, bool] | None, script: PartScript, start: int
    ) -> None:
        if start != self.starts:
            return
        if script.fault == "engine_fails":
            self.got(self.ledger.on_no_score(frame, Reason.ENGINE, self.now))
            return
        good = shows is not None and shows[2]
        value = 0.5 if good else 1.5
        self.got(self.ledger.on_score(frame, score=value, relative_score=value, engine_ms=1.0, t_ns=self.now))

    def trigger(self, script: PartScript) -> None:
        if script.fault == "extra":
            self.expose(None, script)
            self.at(20 * MS, lambda: self.real_trigger(script))
        else:
            self.real_trigger(script)

    def real_trigger(self, script: PartScript) -> None:
        self.count = next_part_id(self.count) if self.count else 1
        self.t_count = max(self.t_count, self.now + round(self.lag_ms * script.latency_ms / 10 * MS))
        self.at(self.t_count - self.now, partial(self.show_count, self.count, self.epoch))
        if self.t_count == self.now:
            self.visible_count = self.count  # before anything that follows
        part = (self.epoch, self.count, script.good)
        self.triggers.append(part)
        if script.fault != "missed":
            self.expose(part, script)

    def show_count(self, count: int, epoch: int) -> None:
        if epoch == self.epoch:
            self.visible_count = count

    def line_fault(self, kind: str) -> None:
        if not self.station_up:
            return
        if kind == "camera":
            self.camera_up = False
            self.got(self.ledger.on_camera_down(self.now))
            self.at(120 * MS, self.camera_back)
        elif kind == "link":
            self.link_up = False
            self.got(self.ledger.on_link_down(self.now))
            self.at(90 * MS, lambda: setattr(self, "link_up", True))
        elif kind == "stall":  # the machine holds the PLC thread up; the link itself is fine
            self.stalled = True
            self.at(45 * MS, lambda: setattr(self, "stalled", False))
        elif kind == "disable":
            self.enabled = False
            self.at(70 * MS, lambda: setattr(self, "enabled", True))
        elif kind == "frame_ids":
            self.frame_id -= 2000  # never one that was used: the judge tells frames apart by them
        elif kind == "kill" and self.kept is not None:
            self.station_up = self.reading = False
            self.starts += 1
            self.at(130 * MS, self.start_again)
        elif kind == "plc_restart" and self.prompt and self.count > SOON_COUNTED_AGAIN:
            self.read()  # what the PLC forgets before anybody saw it, nobody can account for
            self.link_up = False
            self.epoch += 1
            self.count = self.visible_count = 0
            self.plc_restarted = True
            self.got(self.ledger.on_link_down(self.now))
            self.at(60 * MS, lambda: setattr(self, "link_up", True))

    @property
    def prompt(self) -> bool:
        """Whether a read now would show all that the PLC has counted."""
        return self.link_up and not self.stalled and not self.lag_ms and not self.trip_ms

    def start_again(self) -> None:
        assert self.kept is not None
        self.station_up = True
        self.ledger = Ledger(self.rules, *self.kept)
        self.ledger.on_engine(ready=True, t_ns=self.now)
        self.camera_up = False
        self.camera_back()

    def camera_back(self) -> None:
        if self.station_up and not self.camera_up:
            self.camera_up = True
            self.generation += 1
            self.frame_id += 1000  # ids stay unique, so that the judge can tell frames apart
            self.got(self.ledger.on_camera_up(self.generation))


def run(scripts: list[PartScript], **world_settings: object) -> World:
    world = World(**world_settings)  # type: ignore[arg-type]
    world.at(0, world.poll)
    t = world.now + 100 * MS
    for script in scripts:
        world.at(t - world.now, partial(world.trigger, script))
        if script.line_fault != "none":
            world.at(t - world.now + 7 * MS, partial(world.line_fault, script.line_fault))
        t += round(script.gap_ms * MS)
    world.run_until(t + 500 * MS)
    return world


def judge(world: World) -> None:
    decided = Counter(v.part_id for _, v in world.verdicts)
    triggered = Counter(part_id for _, part_id, _ in world.triggers)
    assert decided == triggered  # I1: each counted part exactly one verdict (an epoch counts from 1 again)
    for t, verdict in world.verdicts:
        if verdict.outcome is Outcome.PASS:
            assert verdict.reason is Reason.NONE
            assert t < verdict.t_deadline_ns  # I2, I3
            shows = world.shown[verdict.frame_id]
            assert shows is not None
            assert shows[1:] == (verdict.part_id, True)  # I4: that very part, and it is good
        else:
            assert verdict.reason is not Reason.NONE
    passed_frames = [v.frame_id for _, v in world.verdicts if v.outcome is Outcome.PASS]
    assert len(set(passed_frames)) == len(passed_frames)  # I4: a frame for one part
    assert world.ledger.waiting == 0
    if world.starts == 1:  # I5; each start counts anew, the sum is the tally's
        assert world.ledger.passed == len(passed_frames)
        assert world.ledger.rejected == Counter(v.reason for _, v in world.verdicts if v.reason)


@given(
    scripts=st.lists(part_scripts, min_size=1, max_size=40),
    poll_ms=st.floats(2, 8),
    lag_ms=st.sampled_from([0.0, 0.0, 3.0, 12.0]),
    trip_ms=st.sampled_from([0.0, 0.5, 4.0, 15.0]),
)
def test_every_counted_part_has_one_verdict_and_no_bad_part_passes(
    scripts: list[PartScript], poll_ms: float, lag_ms: float, trip_ms: float
) -> None:
    world = run(scripts, first_count=1000, poll_ms=poll_ms, lag_ms=lag_ms, trip_ms=trip_ms)
    event(f"passes: {min(world.ledger.passed, 5)}")
    judge(world)


@given(scripts=st.lists(part_scripts, min_size=4, max_size=20))
def test_part_ids_wrap_round_without_a_slip(scripts: list[PartScript]) -> None:
    quiet = [s for s in scripts if s.line_fault != "plc_restart"]
    judge(run(quiet, first_count=65_533))


def good_part(gap_ms: float = 100.0, **changes: object) -> PartScript:
    script = PartScript(gap_ms, 2.0, good=True, fault="none", line_fault="none", engine_ms=5.0)
    for name, value in changes.items():
        setattr(script, name, value)
    return script


def outcomes(world: World) -> list[str]:
    return [v.reason.name for _, v in sorted(world.verdicts, key=lambda tv: tv[1].part_id)]


def test_an_undisturbed_line_passes_every_good_part_and_no_bad_one() -> None:
    world = run([good_part(), good_part(good=False), good_part(), good_part()])
    assert outcomes(world) == ["NONE", "SCORE", "NONE", "NONE"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("missed", "FRAME_LOST"),
        ("lost", "FRAME_LOST"),
        ("incomplete", "FRAME_BAD"),
        ("engine_late", "LATE"),
        ("engine_fails", "ENGINE"),
    ],
)
def test_a_fault_rejects_its_part_with_its_reason_and_later_parts_pass_again(fault: str, reason: str) -> None:
    world = run([good_part(), good_part(fault=fault), good_part(), good_part(), good_part()])
    assert outcomes(world)[:2] == ["NONE", reason]
    assert outcomes(world)[-2:] == ["NONE", "NONE"]


def test_a_trigger_that_the_camera_missed_never_shifts_a_verdict_at_tight_spacing() -> None:
    parts = [
        good_part(21),
        good_part(21, fault="missed", good=False),
        good_part(21),
        good_part(21, good=False),
    ]
    world = run([*parts, good_part(21), good_part(300), good_part()])
    assert outcomes(world)[0] == "NONE"
    assert "NONE" not in outcomes(world)[1:2]
    assert outcomes(world)[-1] == "NONE"
    judge(world)


def test_a_trigger_too_many_is_in_doubt_within_one_part() -> None:
    world = run([good_part(), good_part(fault="extra"), good_part(), good_part()])
    assert outcomes(world) == ["NONE", "HANDSHAKE", "NONE", "NONE"] or outcomes(world)[-2:] == [
        "NONE",
        "NONE",
    ]
    assert any(note.event == "out_of_step" for note in world.ledger.notes())


def test_parts_counted_while_the_station_was_away_are_rejected_not_ready() -> None:
    world = World(first_count=105, last_part_id=100)
    world.read()
    assert [(v.part_id, v.reason) for _, v in world.verdicts] == [
        (p, Reason.NOT_READY) for p in range(101, 106)
    ]


def test_without_a_counting_plc_frame_ids_that_begin_anew_cost_one_frame() -> None:
    rules = Rules(BUDGET, Timing(LATENCY_MIN, LATENCY_MAX), part_source="frame_id")
    ledger = Ledger(rules)
    ledger.on_engine(ready=True, t_ns=0)
    ledger.on_camera_up(1)
    ledger.on_control(0, enabled=True, t_sent_ns=1, t_received_ns=2)
    passed = []
    for sequence, frame_id in enumerate([5000, 5001, 5000, 1, 2, 3], start=1):
        t = sequence * 100 * MS
        frame = Frame(1, sequence, frame_id, t, FrameStatus.OK, 0, 8, 8, "Mono8")
        ledger.on_frame(frame)
        verdicts = ledger.on_score(frame, score=0.5, relative_score=0.5, engine_ms=1.0, t_ns=t)
        passed += [(v.part_id, v.frame_id) for v in verdicts]
    assert passed == [(1, 5000), (2, 5001), (3, 2), (4, 3)]


def test_parts_that_were_undecided_when_the_station_died_are_decided_by_the_next_run() -> None:
    ledger = Ledger(Rules(BUDGET, Timing(LATENCY_MIN, LATENCY_MAX)), 105, undecided=[103, 105])
    assert ledger.undecided == [103, 105]
    verdicts = ledger.on_control(107, enabled=True, t_sent_ns=1, t_received_ns=2)
    assert [(v.part_id, v.reason) for v in verdicts] == [(p, Reason.NOT_READY) for p in (103, 105, 106, 107)]
    assert ledger.undecided == []
    assert ledger.on_control(107, enabled=True, t_sent_ns=3, t_received_ns=4) == []


def test_a_score_that_is_no_number_rejects() -> None:
    world = run([good_part()])
    frame = Frame(1, 999, world.frame_id + 1, world.now + 101 * MS, FrameStatus.OK, 0, 8, 8, "Mono8")
    world.run_until(world.now + 100 * MS)
    world.count = world.visible_count = world.count + 1
    world.got(world.ledger.on_frame(frame))
    world.now += 2 * MS
    world.read()
    nan = float("nan")
    world.got(world.ledger.on_score(frame, score=nan, relative_score=nan, engine_ms=1.0, t_ns=world.now))
    assert world.verdicts[-1][1].reason is Reason.ENGINE


def test_from_the_stop_on_every_part_is_rejected_at_once() -> None:
    world = run([good_part()])
    world.got(world.ledger.on_stop(world.now))
    world.got(world.ledger.on_engine(ready=True, t_ns=world.now))  # it was being opened when the stop came
    world.at(0, partial(world.trigger, good_part()))
    world.run_until(world.now + 8 * MS)
    assert world.verdicts[-1][1].reason is Reason.NOT_READY
    assert not world.ledger.ready


def test_a_frame_that_came_before_its_count_waits_for_no_engine_that_is_not_there() -> None:
    world = run([good_part()])
    world.got(world.ledger.on_engine(ready=False, t_ns=world.now))
    world.got(
        world.ledger.on_frame(Frame(1, 999, world.frame_id + 1, world.now, FrameStatus.OK, 0, 8, 8, "Mono8"))
    )
    world.count = world.visible_count = world.count + 1
    world.now += MS // 2
    world.read()
    assert world.verdicts[-1][1].reason is Reason.NOT_READY
