"""The station in a world: its ledger, challenge and changeover, and what its threads do with them.

It reads the PLC's count every few milliseconds and at once when a frame arrives, and the answer is underway for a while; an engine
is opened, and answers, after a while. What it deals with, PLC and camera, are those of `world.py`.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from inspector.challenge import Challenge, ChallengeRules
from inspector.changeover import Changeover, Features, Recipe
from inspector.handshake import Timing
from inspector.ledger import Ledger
from inspector.open_part import Rules
from inspector.part import Expected, Reason, Verdict
from tests.property.scripts import BUDGET, LATENCY_MAX, LATENCY_MIN, LOAD_MS, MS, recipes
from tests.property.timeline import Timeline

Part = tuple[int, int, bool]  # the epoch of the PLC's memory, the part's id, whether it is good


@dataclass
class Station(Timeline, ABC):
    """What decides, and what it can see of the line."""

    poll_ms: float = 5.0
    lag_ms: float = 0.0  # trigger to count, at most
    trip_ms: float = 0.0  # of a read, there and back
    sampled: float = 0.5  # where on that trip the PLC's memory is read: from 0, an old answer, to 1
    last_part_id: int | None = None
    by_command: bool = False
    recipes: dict[int, Recipe] = field(default_factory=lambda: recipes(own_features=False))
    keep_warm: int = 2
    # what the PLC holds
    visible_count: int = 0  # what a read would find now
    triggers: list[Part] = field(default_factory=list)
    enabled: bool = True
    request: int = 0  # for a recipe
    request_seen: bool = True
    challenge_mode: bool = False
    plc_restarted: bool = False
    link_up: bool = True
    connection: int = 0  # an answer comes on the connection on which it was asked for, or never
    # the station
    station_up: bool = True
    stalled: bool = False
    reading: bool = False
    loading: bool = False
    starts: int = 1
    generation: int = 1
    known: int = 0  # so many triggers' parts have been read of
    t_known: list[tuple[int, int]] = field(default_factory=list)  # since when, of how many; of this start
    kept: tuple[int, list[int]] | None = None  # what outlives it: the last part, those undecided,
    former: Counter[Reason] = field(default_factory=Counter)  # and how many parts got which verdict
    kept_known: int = 0  # as of the last verdict: a station that dies forgets the others
    kept_recipe: int = 1  # that the PLC asked for last; 0 where that is lost
    verdicts: list[tuple[int, Verdict]] = field(default_factory=list)
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
        self.start_station(Ledger(self.rules, self.last_part_id, expectation=self.expectation))

    @abstractmethod
    def change_camera(self, features: Features) -> int:
        """Have the camera set; return the first generation of frames that is taken with these features."""

    @abstractmethod
    def shoot(self) -> None:
        """Trigger the camera."""

    def start_station(self, ledger: Ledger) -> None:
        self.ledger = ledger
        first = self.kept_recipe or 1
        self.changeover = Changeover(
            self.recipes, first, ledger, keep_warm=self.keep_warm, lost=not self.kept_recipe
        )
        self.changeover.change_camera = self.change_camera
        self.changeover.keep = partial(setattr, self, "kept_recipe")
        self.changeover.opened(first)
        self.ledger.on_engine(ready=True, t_ns=self.now)

    def come_up(self) -> None:
        self.got(self.ledger.on_camera_up(self.generation))
        self.changeover.camera_up(self.generation)
        self.proceed()

    def proceed(self) -> None:
        """Do what the station's threads do for a change of recipe."""
        self.got(self.changeover.proceed(self.now))
        if (load := self.changeover.next_load()) is not None and not self.loading:
            self.loading = True
            self.at(LOAD_MS * MS, partial(self.opened, load.recipe, self.starts))

    def opened(self, recipe: int, start: int) -> None:
        if start == self.starts and not self.frozen(partial(self.opened, recipe, start)):
            self.loading = False
            self.changeover.opened(recipe)
            self.got(self.ledger.on_engine(ready=True, t_ns=self.now))
            self.proceed()

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

    def poll(self) -> None:
        self.read()
        self.at(self.poll_ms * MS, self.poll)

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

    def totals(self) -> Counter[Reason]:
        """What the counters say that outlive the station."""
        running = Counter({Reason.NONE: self.ledger.passed}) if self.station_up else Counter()
        return self.former + running + (self.ledger.rejected if self.station_up else Counter())
