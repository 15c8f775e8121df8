"""The measurement of `inspector bench`: first the pack as it is, on the way of a part, then other images and banks in its place."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from inspector.bench.candidates import BANKS, Candidates, Timed
from inspector.bench.frames import CameraFrame, camera_frame
from inspector.bench.path import measure_path
from inspector.bench.plc_reads import read_times
from inspector.bench.reckoning import Budget, Found, Largest, last_that
from inspector.bench.timed_desk import PartTimes
from inspector.clock import NS_PER_S, SystemClock
from inspector.config.loading import LoadedConfig
from inspector.config.schema import Config, RecipeConfig
from inspector.model.pack import Pack, load_pack
from inspector.model.progress import Progress
from inspector.recipes import open_unchanged

PARTS = 3000  # enough for p99.9
_PATH_SHARE = 0.45  # of the time, at most; the rest is for other images and banks
_CANDIDATE_S = 3.0
_TRIED = 9  # images and banks that are tried, about: the pack's own, and halving the rest
_ALIKE = 1.25  # a graph made for the pack's own size may take so many times what the pack's takes


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to measure: the recipe, the size of a frame (None: as stated or assumed), the share to keep free, for how long.

    `plc`: also how long the configured PLC takes to answer.
    """

    recipe: RecipeConfig
    frame: tuple[int, int] | None
    margin: float
    seconds: float
    plc: bool = False


@dataclass(slots=True)
class Page:
    """What was found, as it is shown and written."""

    station: str
    pack: Pack
    engine: str
    budget: Budget
    frame: CameraFrame
    parts: list[PartTimes]
    found: Found
    largest: Largest
    tried: list[tuple[str, Timed, float]] = field(
        default_factory=list
    )  # kind, what, what it would need in all
    notes: list[str] = field(default_factory=list)


def measure(loaded: LoadedConfig, wanted: Wanted, progress: Progress) -> Page:
    """Measure for about `wanted.seconds` at most. Main thread. Raises InspectorError."""
    clock, config = SystemClock(), loaded.config
    t_end_ns = clock.now_ns() + round(wanted.seconds * NS_PER_S)
    pack = load_pack(loaded.resolve(wanted.recipe.pack))
    answers = read_times(config, progress) if wanted.plc else None
    features = config.camera.features | wanted.recipe.features
    frame = camera_frame(config.camera.model_copy(update={"features": features}), pack, wanted.frame)
    engine = open_unchanged(config.model.engine, pack)
    kind = engine.name
    seconds = wanted.seconds * _PATH_SHARE
    parts = measure_path(
        config, engine, pack.geometries, frame, parts=PARTS, seconds=seconds, progress=progress
    )
    candidates = Candidates(pack, frame, kind)
    page = Page(
        config.station.name,
        pack,
        kind,
        _budget(config, wanted.margin),
        frame,
        parts,
        Found.of([part.stages_ms for part in parts], answers),
        Largest(candidates.own_side, candidates.own_bank, shares=candidates.shares),
    )
    if frame.assumed:
        page.notes.append(f"assumed: {frame.assumed}")
    if candidates.refusal:
        page.notes.append(f"no other image and bank was tried: {candidates.refusal}")
    else:
        search = _Search(page, candidates, lambda: (t_end_ns - clock.now_ns()) / NS_PER_S, progress)
        page.largest = search.run()
    return page


def _budget(config: Config, margin: float) -> Budget:
    return Budget(
        config.station.budget_ms,
        config.latency_max_ms,
        config.camera.latency_ms.max is not None,
        config.plc.write_margin_ms,
        margin,
    )


class _Search:
    """Tries other sizes and banks as long as there is time."""

    def __init__(
        self, page: Page, candidates: Candidates, left_s: Callable[[], float], progress: Progress
    ) -> None:
        self._page, self._candidates, self._left_s, self._progress = page, candidates, left_s, progress
        self._cut: set[str] = set()

    def run(self) -> Largest:
        """Return the largest image with the pack's bank, and the largest bank with the pack's image."""
        own_side, own_bank = self._candidates.own_side, self._candidates.own_bank
        self._check_own(own_side, own_bank)
        side = self._largest(
            own_side, self._candidates.sides, lambda side: self._fits("image", side, own_bank)
        )
        bank = self._largest(own_bank, BANKS, lambda bank: self._fits("bank", own_side, bank))
        self._progress("images and banks", _TRIED, _TRIED)
        if self._cut:
            self._page.notes.append(
                "the time was up before all images and banks were tried: --seconds gives more"
            )
        return replace(self._page.largest, side=side, bank=bank, cut=frozenset(self._cut))

    def _largest(self, own: int, choices: Sequence[int], fits: Callable[[int], bool]) -> int | None:
        """Return the largest that fits: upwards from the pack's own where that fits, which is measured best, else downwards."""
        if not self._page.found.fits(self._page.budget):
            return last_that([choice for choice in choices if choice < own], fits)
        return last_that([choice for choice in choices if choice > own], fits) or own

    def _check_own(self, side: int, bank: int) -> None:
        """Find out whether the graphs that are made here take as long as fitted ones."""
        times = self._time("own", side, bank).times
        if not 1 / _ALIKE <= times <= _ALIKE:
            self._page.notes.append(
                f"a graph like the model's, made here to be timed, takes {times:.2f} times as long as the model's own: so far off "
                "are the largest image and bank"
            )

    def _fits(self, kind: str, side: int, bank: int) -> bool:
        if self._left_s() <= 0:
            self._cut.add(kind)
            return False
        self._time(kind, side, bank)
        return self._page.tried[-1][2] <= self._page.budget.left_ms

    def _time(self, kind: str, side: int, bank: int) -> Timed:
        page = self._page
        most = page.budget.left_ms / page.found.engine_ms
        timed = self._candidates.time(side, bank, times_max=most, seconds=_CANDIDATE_S)
        needed_ms = page.budget.needed_ms(page.found.with_engine(timed.times), page.found.needed[1])
        page.tried.append((kind, timed, needed_ms))
        self._progress("images and banks", len(page.tried), max(_TRIED, len(page.tried)))
        return timed
