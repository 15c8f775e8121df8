"""A small world with its own truth, which runs beside the ledger so that a test can judge it.

The world: parts with known truth trigger a camera; a PLC counts them, at once or some milliseconds later; the station reads the
count every few milliseconds and at once when a frame arrives, and the answer is underway for a while; an engine answers
after a while. Faults: trigger missed, trigger too many, trigger that bounces, frame lost on the wire, doubled, incomplete, overtaken,
stuck on its way into the ring; engine late, failing, silent or gone; camera, link and PLC down and back; frame ids that begin anew; the
machine stalls, or the station's process alone; the station is killed, or stopped, and started again. The PLC asks for challenges
and takes the signal back, whatever is on the line. The ledger never sees the truth.

Where the station triggers the camera (`by_command`), it shows whatever stands before it by then. With `recipes`, the PLC asks for
another one now and then, and holds to that until the station has read it; each part is of the product that was asked for when it
was counted, and each model's scores are told from those of another.
"""

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from inspector.challenge import Challenge, ChallengeRules
from inspector.changeover import Changeover, Features, Recipe
from inspector.handshake import Timing
from inspector.ledger import Ledger
from inspector.open_part import Rules
from inspector.part import Deciding, Expected, Finding, Frame, FrameStatus, Reason, Verdict, next_part_id
from tests.property.scripts import (
    BUDGET,
    CAMERA_MS,
    LATENCY_MAX,
    LATENCY_MIN,
    LOAD_MS,
    MS,
    SCALE,
    VIEW,
    PartScript,
    good_part,
    recipes,
)


@dataclass
class World:
    """The line and its truth; time is nanoseconds and jumps from event to event."""

    first_count: int = 0
    poll_ms: float = 5.0
    lag_ms: float = 0.0  # trigger to count, at most
    trip_ms: float = 0.0  # of a read, there and back
    sampled: float = 0.5  # where on that trip the PLC's memory is read: from 0, an old answer, to 1
    last_part_id: int | None = None
    by_command: bool = False
    recipes: dict[int, Recipe] = field(default_factory=lambda: recipes(own_features=False))
    keep_warm: int = 2
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
    t_triggers: dict[tuple[int, int], int] = field(default_factory=dict)  # when, by epoch and part id
    forgotten: list[tuple[int, int, bool]] = field(
        default_factory=list
    )  # those that a PLC lost from its memory before anybody had read of them
    known: int = 0  # so many triggers' parts have been read of
    kept_known: int = 0  # as of the last verdict: a station that dies forgets the others
    t_known: list[tuple[int, int]] = field(default_factory=list)  # since when, of how many; of this start
    shown: dict[int, tuple[int, int, bool] | None] = field(
        default_factory=dict
    )  # what each frame id really shows
    verdicts: list[tuple[int, Verdict]] = field(default_factory=list)
    request: int = 0  # of the PLC for a recipe
    request_seen: bool = True
    asked: dict[tuple[int, int], int] = field(
        default_factory=dict
    )  # request by epoch and part id, when it was counted
    exposed_for: dict[int, int] = field(default_factory=dict)  # what the camera was set to, by frame id
    exposure: int = 0
    in_view: tuple[tuple[int, int, bool], PartScript] | None = None
    t_in_view: int = 0
    epoch: int = 0
    plc_restarted: bool = False
    connection: int = 0  # an answer comes on the connection on which it was asked for, or never
    stalled: bool = False
    t_awake: int = 0  # until then the station's process stands still
    station_up: bool = True
    reading: bool = False
    visible_count: int = 0  # what a read would find now
    t_count: int = 0  # when it will be what the PLC has counted
    t_ring: int = 0  # when the newest frame is in the ring: they stay in order
    held_back: Callable[[], None] | None = None  # the arrival of a frame that the next one overtakes
    wanted_generation: int = 0  # the newest that the camera was asked for
    loading: bool = False
    starts: int = 1
    kept: tuple[int, list[int]] | None = None  # what outlives the station: the last part, those undecided,
    former: Counter[Reason] = field(default_factory=Counter)  # and how many parts got which verdict
    challenge_mode: bool = False  # the PLC's signal
    told: list[tuple[str, object]] = field(
        default_factory=list
    )  # what the challenge heard and said, in order

    def __post_init__(self) -> None:
        self.rules = Rules(
            budget_ns=BUDGET,
            timing=Timing(
                LATENCY_MIN, LATENCY_MAX, count_lag_ns=round(self.lag_ms * MS), by_command=self.by_command
            ),
            write_margin_ns=MS,
        )
        self.challenge = Challenge(ChallengeRules())
        self.count = self.visible_count = self.first_count
        self.start_station(Ledger(self.rules, self.last_part_id, expectation=self.expectation))
        self.come_up()

    def start_station(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.changeover = Changeover(self.recipes, 1, ledger, keep_warm=self.keep_warm)
        self.changeover.change_camera = self.change_camera
        self.changeover.opened(1)
        self.exposure = int(self.recipes[1].features["ExposureTime"])
        self.ledger.on_engine(ready=True, t_ns=self.now)

    def come_up(self) -> None:
        self.got(self.ledger.on_camera_up(self.generation))
        self.changeover.camera_up(self.generation)
        self.proceed()

    def proceed(self) -> None:
        """Do what the station's threads do for a change of recipe."""
        self.changeover.proceed(self.now)
        if (load := self.changeover.next_load()) is not None and not self.loading:
            self.loading = True
            self.at(LOAD_MS * MS, partial(self.opened, load.recipe, self.starts))

    def opened(self, recipe: int, start: int) -> None:
        if start == self.starts and not self.frozen(partial(self.opened, recipe, start)):
            self.loading = False
            self.changeover.opened(recipe)
            self.got(self.ledger.on_engine(ready=True, t_ns=self.now))
            self.proceed()

    def change_camera(self, features: Features) -> int:
        """The camera takes its time; what it exposes meanwhile is of the old generation."""
        self.wanted_generation = max(self.generation, self.wanted_generation) + 1
        self.at(CAMERA_MS * MS, partial(self.camera_set, int(features["ExposureTime"]), self.starts))
        return self.wanted_generation

    def camera_set(self, exposure: int, start: int) -> None:
        if start == self.starts and not self.frozen(partial(self.camera_set, exposure, start)):
            self.exposure = exposure
            if self.camera_up:
                self.generation = max(self.generation + 1, self.wanted_generation)
                self.come_up()

    def at(self, delay_ns: float, action: Callable[[], None]) -> None:
        self.order += 1
        heapq.heappush(self.events, (self.now + round(delay_ns), self.order, action))

    def run_until(self, t_end: int) -> None:
        while self.events and self.events[0][0] <= t_end:
            self.now, _, action = heapq.heappop(self.events)
            action()
        self.now = t_end

    def freeze(self, ms: float) -> None:
        """The station's process stands still: what happens to it meanwhile happens when it goes on, in that order."""
        self.t_awake = self.now + round(ms * MS)

    def frozen(self, then: Callable[[], None]) -> bool:
        """Whether it stands still now; `then` is what happens when it goes on."""
        if self.now < self.t_awake:
            self.at(self.t_awake - self.now, then)
            return True
        return False

    def got(self, verdicts: list[Verdict]) -> None:
        self.verdicts += [(self.now, v) for v in verdicts]
        for verdict in verdicts:
            self.told.append(("decided", verdict))
            self.challenge.on_verdict(verdict, acknowledged=True)
        if verdicts:
            self.kept = self.ledger.last_part_id, self.ledger.undecided
            self.kept_known = self.known

    def expectation(self, part_id: int) -> Expected | None:
        expected = self.challenge.expectation(part_id)
        self.told.append(("counted", (part_id, expected)))
        return expected

    def read(self) -> None:
        if self.stalled or self.reading or not self.station_up or self.now < self.t_awake:
            return
        asked = self.now, self.starts, self.connection
        if not self.trip_ms or not self.link_up:
            self.hear(*asked, self.visible_count, mode=self.challenge_mode, request=self.request)
            return
        self.reading = True
        there, back = (self.trip_ms * share * MS for share in (self.sampled, 1 - self.sampled))
        self.at(there, lambda: self.at(back, self.answer_of_the_plc(*asked)))

    def answer_of_the_plc(self, t_sent: int, start: int, connection: int) -> Callable[[], None]:
        return partial(
            self.hear,
            t_sent,
            start,
            connection,
            self.visible_count,
            mode=self.challenge_mode,
            request=self.request,
        )

    def hear(self, t_sent: int, start: int, connection: int, count: int, *, mode: bool, request: int) -> None:
        """The answer of the PLC, if it comes to the station that asked, on the connection on which it asked."""
        if (start, connection) != (self.starts, self.connection):
            return
        again = partial(self.hear, t_sent, start, connection, count, mode=mode, request=request)
        if self.frozen(again):
            return
        if self.stalled:
            self.at(MS, again)
            return
        self.reading = False
        if self.link_up:
            self.learn(count)
            self.request_seen = self.request_seen or request == self.request
            self.changeover.ask(request)
            self.challenge.on_control(challenge_mode=mode)
            self.told.append(("read", mode))
            verdicts = self.ledger.on_control(
                count,
                enabled=self.enabled,
                t_sent_ns=t_sent,
                t_received_ns=self.now,
                plc_restarted=self.plc_restarted,
            )
            self.challenge.on_counted()
            self.told.append(("counted all", None))
            self.got(verdicts)
            if self.ledger.take_shot(self.now):
                self.shoot()
            self.proceed()
            self.plc_restarted = False
        self.got(self.ledger.on_tick(self.now))

    def learn(self, count: int) -> None:
        """The station has read of all parts up to this one."""
        unread = [part_id for _, part_id, _ in self.triggers[self.known :]]
        if count in unread:
            self.known += unread.index(count) + 1
        if not self.t_known or self.t_known[-1][0] != self.known:
            self.t_known.append((self.known, self.now))

    def poll(self) -> None:
        self.read()
        self.at(self.poll_ms * MS, self.poll)

    def expose(
        self, shows: tuple[int, int, bool] | None, script: PartScript, *, bounced: bool = False
    ) -> None:
        if not self.camera_up:
            return
        self.frame_id += 1
        self.exposed_for[self.frame_id] = self.exposure
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
        if self.frozen(partial(self.deliver, frame_id, shows, script, generation, t_arrival)):
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
                answer = partial(
                    self.answer, frame, shows, script, self.starts, self.ledger.deciding_of(frame)
                )
                self.at((script.engine_ms + late) * MS, answer)

    def answer(
        self,
        frame: Frame,
        shows: tuple[int, int, bool] | None,
        script: PartScript,
        start: int,
        deciding: Deciding,
    ) -> None:
        if start != self.starts or self.frozen(partial(self.answer, frame, shows, script, start, deciding)):
            return
        if script.fault == "engine_hangs":
            return
        if script.fault == "engine_fails":
            self.got(self.ledger.on_no_score(frame, Reason.ENGINE, self.now))
            return
        good = shows is not None and shows[2]
        value = 0.5 if good else 1.5
        self.got(self.ledger.on_score(frame, Finding(deciding.recipe * SCALE + value, value, 1.0), self.now))

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
            self.show_count(self.count, self.epoch)  # before anything that follows
        part = (self.epoch, self.count, script.good)
        self.triggers.append(part)
        self.t_triggers[self.epoch, self.count] = self.now
        if self.by_command:
            self.in_view, self.t_in_view = (part, script), self.now
        elif script.fault != "missed":
            self.expose(part, script)

    def shoot(self) -> None:
        """The station triggers the camera: it exposes a moment later what stands before it then."""
        script = self.in_view[1] if self.in_view else good_part()
        if script.fault != "missed":
            delay_ms = 0.3 * script.latency_ms
            self.at(delay_ms * MS, lambda: self.expose_view(script.latency_ms - delay_ms))

    def expose_view(self, latency_ms: float) -> None:
        part, script = self.in_view or (None, good_part())
        if self.now - self.t_in_view > VIEW:
            part = None
        self.expose(part, replace(script, latency_ms=latency_ms))

    def show_count(self, count: int, epoch: int) -> None:
        self.asked[epoch, count] = self.request
        if epoch == self.epoch:
            self.visible_count = count

    def ask_for(self, recipe: int) -> None:
        """The PLC asks for a recipe, and for no other until the station can have read that."""
        if self.request_seen:
            self.request = recipe
            self.request_seen = False

    @property
    def prompt(self) -> bool:
        """Whether a read now would show all that the PLC has counted."""
        return self.link_up and not self.stalled and not self.lag_ms and not self.trip_ms

    def fresh_ids(self, *, forward: bool) -> None:
        """The camera counts from elsewhere on; never an id that was used, since the judge tells frames apart by them."""
        used = [self.frame_id, *self.exposed_for]
        self.frame_id = max(used) + 1000 if forward else min(used) - 2000

    # -- down and back ----------------------------------------------------------------------------

    def lose_camera(self, ms: float) -> None:
        self.camera_up = False
        self.got(self.ledger.on_camera_down(self.now))
        self.at(ms * MS, self.camera_back)

    def camera_back(self) -> None:
        if self.station_up and not self.camera_up and not self.frozen(self.camera_back):
            self.camera_up = True
            self.generation = max(self.generation + 1, self.wanted_generation)
            self.fresh_ids(forward=bool(self.generation % 3))
            self.come_up()

    def lose_link(self, ms: float) -> None:
        self.link_up = self.reading = False
        self.connection += 1
        self.got(self.ledger.on_link_down(self.now))
        self.at(ms * MS, partial(self.link_back, self.connection))

    def link_back(self, connection: int) -> None:
        self.link_up = self.link_up or connection == self.connection

    def lose_engine(self) -> None:
        """The engine hangs or breaks; the station opens it anew."""
        self.changeover.engines_lost()
        self.got(self.ledger.on_engine(ready=False, t_ns=self.now))
        self.proceed()

    def restart_plc(self, *, retains_count: bool) -> None:
        """The PLC loses its memory. Parts that it had not shown to anybody by then are nobody's."""
        self.epoch += 1
        if not retains_count:
            self.forgotten += self.triggers[self.known :]
            del self.triggers[self.known :]
            self.count = 0
        self.visible_count = self.count
        self.plc_restarted = True
        self.lose_link(60)

    def die(self, ms: float) -> None:
        """The station is gone; what is kept is as of its last verdict."""
        self.former = self.totals()
        self.station_up = self.reading = False
        self.starts += 1
        self.at(ms * MS, self.start_again)

    def totals(self) -> Counter[Reason]:
        """What the counters say that outlive the station."""
        running = Counter({Reason.NONE: self.ledger.passed}) if self.station_up else Counter()
        return self.former + running + (self.ledger.rejected if self.station_up else Counter())

    def stop(self) -> None:
        """The station stops in order: for a moment it still answers for parts."""
        self.got(self.ledger.on_stop(self.now))
        self.at(20 * MS, partial(self.end, self.starts))

    def end(self, start: int) -> None:
        if start == self.starts:
            self.die(130)

    def start_again(self) -> None:
        assert self.kept is not None
        self.station_up = True
        self.known = self.kept_known
        self.t_known.clear()
        self.plc_restarted = False  # nobody remembers how it was before
        self.challenge = Challenge(ChallengeRules())
        self.told.append(("started", None))
        self.loading = False
        self.start_station(Ledger(self.rules, *self.kept, expectation=self.expectation))
        self.camera_up = False
        self.camera_back()
