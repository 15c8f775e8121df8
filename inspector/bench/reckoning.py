"""What fits: the budget, what it leaves for this PC, and what to change where it is not enough. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from inspector.bench.quantiles import Quantiles

T = TypeVar("T")
STAGES = {
    "handed": "frame to the engine thread",
    "prepared": "cut and scale it",
    "scored": "engine",
    "woken": "verdict to the PLC thread",
    "written": "write it (Modbus)",
}
# Shares of what the budget leaves to the PC above which a stage is worth a word.
_LARGE = 0.25
_BUSY = 0.2


@dataclass(frozen=True, slots=True)
class Budget:
    """Milliseconds from the trigger: all, what the camera may take of them, and what is kept for the write. `margin`: a share of all."""

    budget_ms: float
    camera_ms: float
    camera_is_stated: bool
    write_margin_ms: float
    margin: float

    @property
    def left_ms(self) -> float:
        """What is left to the PC from the frame to the verdict in the PLC."""
        return self.budget_ms * (1 - self.margin) - self.camera_ms

    def needed_ms(self, scored_ms: float, written_ms: float) -> float:
        """Return what a part needs of the PC: until it is scored, then the write or what is kept for it, whichever is more.

        The station rejects (LATE) whatever has no score `plc.write_margin_ms` before the deadline.
        """
        return scored_ms + max(written_ms, self.write_margin_ms)


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured of the pack as it is: each of STAGES, up to the score, the write, and all of it together.

    `answer`: of the real PLC, where it was asked; a write to it takes about as long.
    """

    stages: dict[str, Quantiles]
    until_scored: Quantiles
    write: Quantiles
    whole: Quantiles
    answer: Quantiles | None = None

    @classmethod
    def of(cls, parts: Sequence[Sequence[float]], answers: Sequence[float] | None = None) -> "Found":
        """Return the quantiles of the stages' milliseconds of each part; sums are those of each part, not of quantiles."""
        columns = list(zip(*parts, strict=True))
        return cls(
            {name: Quantiles.of(column) for name, column in zip(STAGES, columns, strict=True)},
            Quantiles.of([sum(part[:3]) for part in parts]),
            Quantiles.of([sum(part[3:]) for part in parts]),
            Quantiles.of([sum(part) for part in parts]),
            None if answers is None else Quantiles.of(answers),
        )

    @property
    def needed(self) -> tuple[float, float]:
        """Up to the score and for the write: p99, or the worst where the parts were too few to tell."""
        write_ms = tail(self.write)
        if self.answer is not None:
            write_ms = max(write_ms, tail(self.stages["woken"]) + tail(self.answer))
        return tail(self.until_scored), write_ms

    def fits(self, budget: Budget) -> bool:
        """Whether the budget holds all of it, with its margin."""
        return budget.needed_ms(*self.needed) <= budget.left_ms

    @property
    def engine_ms(self) -> float:
        """What the engine thread does for a part, p50: prepare and score."""
        return self.stages["prepared"].p50 + self.stages["scored"].p50

    @property
    def parts_per_second(self) -> float:
        """How many parts a second the engine thread keeps up with: one after the other."""
        return 1000 / self.engine_ms

    def with_engine(self, times: float) -> float:
        """Return what p99 up to the score would be, were prepare and engine to take so many times as long.

        All that p99 is above p50 grows with them: what disturbs this PC disturbs a longer run more often.
        """
        handed = self.stages["handed"].p50
        return handed + times * max(tail(self.until_scored) - handed, self.engine_ms)


def tail(values: Quantiles) -> float:
    """Return p99, or the worst where there are too few samples for it."""
    return values.worst if values.p99 is None else values.p99


def last_that(choices: Sequence[T], holds: Callable[[T], bool]) -> T | None:
    """Return the last of ascending `choices` for which it holds, asking for as few as possible; None where the first does not."""
    low, high = 0, len(choices)  # all before `low` hold, none from `high` on
    while low < high:
        middle = (low + high) // 2
        if holds(choices[middle]):
            low = middle + 1
        else:
            high = middle
    return choices[low - 1] if low else None


@dataclass(frozen=True, slots=True)
class Largest:
    """The pack's own image (side of a square of its area) and bank, and the largest of each that fit; None where none was found.

    `shares`: the sides of the branches over that of the largest. `cut`: "image" and "bank" where the time was up before all were tried.
    """

    own_side: int
    own_bank: int
    side: int | None = None
    bank: int | None = None
    shares: tuple[float, ...] = (1.0,)
    cut: frozenset[str] = frozenset()

    @property
    def sizes(self) -> str:
        """The largest image as `inspector fit --size` takes it."""
        return ",".join(str(round(share * (self.side or 0))) for share in self.shares)


def advice(
    budget: Budget, found: Found, largest: Largest, machine: dict[str, object], *, fifo_priority: int
) -> list[str]:
    """Return what to change, best first, where the pack does not fit; where it does, what would make it surer. Plain words."""
    return [
        *_busy(machine),
        *_of_the_model(budget, found, largest),
        *_of_the_pc(budget, found, machine, fifo_priority),
    ]


def _busy(machine: dict[str, object]) -> list[str]:
    busy = float(str(machine["busy_before"]))
    if busy <= _BUSY:
        return []
    return [
        f"stop what else runs on this PC, and measure again: it was {busy:.0%} busy before the measurement began"
    ]


def _of_the_model(budget: Budget, found: Found, largest: Largest) -> list[str]:
    said = []
    fits = found.fits(budget)
    if not fits and not budget.camera_is_stated:
        said.append(
            f"state camera.latency_ms.max: half of the budget ({budget.camera_ms:g} ms) is set aside for the camera as long as "
            "nobody says how long it takes at most"
        )
    if not fits and largest.side is not None and largest.side < largest.own_side:
        said.append(
            f"fit with smaller images: inspector fit --size {largest.sizes} (now {largest.own_side}), then evaluate again"
        )
    if not fits and largest.bank is not None and largest.bank < largest.own_bank:
        said.append(
            f"fit with a smaller bank: inspector fit --bank {largest.bank} (now {largest.own_bank}), then evaluate again"
        )
    if found.stages["prepared"].p50 > _LARGE * max(budget.left_ms, 1):
        said.append(
            "make frames smaller: a region (Width, Height, OffsetX, OffsetY in camera.features, or inspector fit --roi), binning, or "
            "Mono8 instead of colour: cutting and scaling takes a large share"
        )
    if not fits:
        rest_ms = budget.needed_ms(
            tail(found.stages["handed"]) + tail(found.stages["prepared"]), found.needed[1]
        )
        said.append(
            "take a PC with more or faster cores, or a GPU: the engine uses all cores that it is given"
            if rest_ms <= budget.left_ms
            else "allow a longer budget (station.budget_ms; the gate may stand further from the camera) or shorten the exposure: it would "
            "not fit without the engine either"
        )
    return said


def _of_the_pc(budget: Budget, found: Found, machine: dict[str, object], fifo_priority: int) -> list[str]:
    said = []
    stolen = float(str(machine["stolen_share"]))
    hops = tail(found.stages["handed"]) + tail(found.stages["woken"])
    if not fifo_priority and hops > 0.1 * max(budget.left_ms, 1):
        said.append(
            "set realtime.fifo_priority: 50, which keeps other programs from delaying camera and PLC (the service needs LimitRTPRIO=)"
        )
    if machine["governor"] not in {None, "performance"}:
        said.append(
            f"set the CPU's governor to performance (it is {machine['governor']}): a core that slept clocks up too late"
        )
    longest = float(str(machine["stall_longest_ms"]))
    if machine["stalls_are_the_machines"] and longest > 0.1 * max(budget.left_ms, 1):
        kind = (
            "a virtual machine shares its cores; take a real PC"
            if machine["virtual"]
            else "look at BIOS power saving"
        )
        said.append(f"the PC itself stood still for up to {longest:g} ms, whatever program runs: {kind}")
    elif stolen > 0.01:
        said.append(f"{stolen:.0%} of the CPU went to other virtual machines; take a real PC")
    return said
