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

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from inspector.challenge import Challenge, ChallengeRules
from inspector.changeover import Features
from inspector.ledger import Ledger
from inspector.part import Deciding, Finding, Frame, FrameStatus, Reason, next_part_id
from tests.property.scripts import CAMERA_MS, LATENCY_MAX, LATENCY_MIN, MS, SCALE, VIEW, PartScript, good_part
from tests.property.station import Part, Station


@dataclass
class World(Station):
    """The line and its truth."""

    first_count: int = 0
    # the parts and their PLC
    count: int = field(init=False)
    t_count: int = 0  # when it will be what the PLC has counted
    epoch: int = 0
    t_triggers: dict[tuple[int, int], int] = field(default_factory=dict)  # when, by epoch and part id
    forgotten: list[Part] = field(
        default_factory=list
    )  # those that a PLC lost from its memory before anybody had read of them
    product: int = 1  # that the PLC asked for last, also where it has taken that back
    asked: dict[tuple[int, int], int] = field(
        default_factory=dict
    )  # product, or number of no recipe, by epoch and part id, when it was counted
    # the camera
    camera_up: bool = True
    frame_id: int = 100_000
    sequence: int = 0
    wanted_generation: int = 0  # the newest that the camera was asked for
    exposure: int = field(init=False)
    exposed_for: dict[int, int] = field(default_factory=dict)  # what it was set to, by frame id
    shown: dict[int, Part | None] = field(default_factory=dict)  # what each frame id really shows
    in_view: tuple[Part, PartScript] | None = None
    t_in_view: int = 0
    held_back: Callable[[], None] | None = None  # the arrival of a frame that the next one overtakes
    t_ring: int = 0  # when the newest frame is in the ring: they stay in order

    def __post_init__(self) -> None:
        super().__post_init__()
        self.count = self.visible_count = self.first_count
        self.come_up()

    def start_station(self, ledger: Ledger) -> None:
        self.exposure = int(self.recipes[self.kept_recipe or 1].features["ExposureTime"])
        super().start_station(ledger)

    # -- parts and their PLC ----------------------------------------------------------------------

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

    def show_count(self, count: int, epoch: int) -> None:
        self.asked[epoch, count] = self.request or self.product
        if epoch == self.epoch:
            self.visible_count = count

    def ask_for(self, recipe: int) -> None:
        """The PLC asks for a recipe, and for no other until the station can have read that."""
        if self.request_seen:
            self.request = recipe
            self.product = recipe if recipe in self.recipes else self.product
            self.request_seen = False

    @property
    def prompt(self) -> bool:
        """Whether a read now would show all that the PLC has counted."""
        return self.link_up and not self.stalled and not self.lag_ms and not self.trip_ms

    # -- the camera and the engine ----------------------------------------------------------------

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

    def expose(self, shows: Part | None, script: PartScript, *, bounced: bool = False) -> None:
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

    def arrive(self, frame_id: int, shows: Part | None, script: PartScript, generation: int) -> None:
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
        shows: Part | None,
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
        shows: Part | None,
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

    def die(self, ms: float, *, loses_request: bool = False) -> None:
        """The station is gone; what is kept is as of its last verdict, but for the PLC's request, which is kept at once."""
        self.kept_recipe = 0 if loses_request else self.kept_recipe
        self.former = self.totals()
        self.station_up = self.reading = False
        self.starts += 1
        self.at(ms * MS, self.start_again)

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
