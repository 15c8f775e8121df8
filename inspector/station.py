"""One station: what it starts, in which order, how it watches over it, and how it stops. Read it like a table of contents.

    process "camera"    acquisition, copies frames into the ring      supervised by the thread "camera"
    thread  "engine"    scores the frame of each part
    thread  "plc"       verdicts into slots, deadlines, heartbeat
    process "recorder"  log files
    thread  "disk"      has the disk keep counters, stops and the recipe asked for, against a loss of power
    main thread         this file: starts, looks after the others every 100 ms, stops

They meet at the desk (`desk.py`), whose ledger (`ledger.py`) decides.
"""

import logging
import os
import sys
from contextlib import ExitStack
from functools import partial
from typing import Self

from inspector import __version__
from inspector.camera.supervisor import CameraProcess
from inspector.camera_check import CameraCheck
from inspector.changeover import Changeover
from inspector.clock import NS_PER_MS, NS_PER_S, SystemClock
from inspector.config.loading import LoadedConfig
from inspector.desk import Desk
from inspector.engine.base import Engine
from inspector.engine.worker import EngineThread
from inspector.errors import FeatureError, HungError, InspectorError
from inspector.handshake import Timing
from inspector.ledger import Ledger
from inspector.open_part import Rules
from inspector.plc.roles import open_plc
from inspector.recipes import PackedRecipe, first_recipe, keep_asked, open_asked, open_recipe, recipes_of
from inspector.recorder.client import Recorder
from inspector.recorder.handler import routed_logging
from inspector.requests import Requests, socket_path
from inspector.safeguards import Safeguards, open_memory, safeguards_of
from inspector.service import realtime
from inspector.service.kept import KeptNumbers
from inspector.service.lock import StationLock
from inspector.service.notify import Notifier
from inspector.service.stop import StopSignals
from inspector.service.syncing import DiskThread
from inspector.service.tally import Tally, Totals

log = logging.getLogger(__name__)

LOOK_S = 0.1  # how often the main thread looks after the others
TIDY_NS = 60 * NS_PER_S  # how often it frees what failures left behind
RECORDER_STOP_MS = 500.0
HANG_MS = 2000.0  # the PLC thread comes round more often: else it hangs, and the service manager starts anew


def run(loaded: LoadedConfig) -> None:
    """Run the station until SIGTERM or SIGINT. Raises InspectorError where it cannot go on; main thread only."""
    config, clock = loaded.config, SystemClock()
    stop = StopSignals()
    recipes = recipes_of(loaded)
    state = loaded.resolve(config.station.state_folder)
    with ExitStack() as held:
        held.enter_context(StationLock(state / f"{config.station.name}.lock"))
        logs = loaded.resolve(config.recorder.folder)
        if logs != state:  # two stations of one name would remove each other's log files
            held.enter_context(StationLock(logs / f"{config.station.name}.lock", "recorder.folder"))
        recorder = Recorder.start(config.recorder, logs, clock, station=config.station.name)
        held.callback(_stop_recorder, recorder)
        held.enter_context(routed_logging(recorder))
        realtime.use_cpus(config.realtime.cpus, recorder.pid)  # what is started from now on inherits them
        tally = Tally.open(state / f"{config.station.name}.tally")
        held.callback(tally.close)
        latched = open_memory(state / f"{config.station.name}.stops")
        held.callback(latched.close)
        asked = open_asked(state / f"{config.station.name}.recipe")
        held.callback(asked.close)
        station = Station(loaded, recipes, tally, latched, asked, recorder=recorder, clock=clock)
        log.info("station_starting", extra=_identity(loaded, recipes))
        try:
            with station:
                station.watch(stop)
        except InspectorError as error:
            log.critical("station_failed", extra={"code": error.code, "why": str(error)})
            raise
        except Exception:
            log.critical("station_failed", exc_info=True)
            raise
        log.info("station_stopped", extra=station.desk.closing())


class Station:
    """The parts of one station, wired. A context manager: entered it runs, left it has stopped."""

    def __init__(
        self,
        loaded: LoadedConfig,
        recipes: dict[int, PackedRecipe],
        tally: Tally,
        latched: KeptNumbers,
        asked: KeptNumbers,
        *,
        recorder: Recorder,
        clock: SystemClock,
    ) -> None:
        """Wire everything; nothing runs yet."""
        config = loaded.config
        self._engine_kind = config.model.engine
        self._realtime = config.realtime
        self._settled = False
        self._recorder = recorder
        self._clock = clock
        self._t_tidied_ns = clock.now_ns()
        self._notifier = Notifier.from_environment()
        self._doorbell_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        safeguards = safeguards_of(config, latched)
        ledger = _ledger(_rules(loaded), tally.totals(), safeguards)
        first, lost = first_recipe(loaded, asked)
        changeover = Changeover(recipes, first, ledger, keep_warm=config.model.keep_warm, lost=lost)
        self.desk = Desk(
            ledger,
            changeover,
            safeguards,
            tally=tally,
            recorder=recorder,
            clock=clock,
            simulated=config.station.simulated,
            simulated_allowed=config.station.simulated or config.plc.allow_simulated,
        )
        self._plc = open_plc(
            config.plc,
            config.timeout_ms,
            self.desk,
            clock,
            prepare=partial(realtime.prepare_thread, config.realtime),
        )
        self.desk.wake_plc, self.desk.deliver = self._plc.wake, self._plc.deliver
        self._disk = DiskThread([asked, latched, tally], clock, on_synced=self._plc.wake)
        changeover.keep = partial(keep_asked, asked, self._disk.wake)
        changeover.is_kept = lambda: asked.synced
        safeguards.sync, safeguards.disk_stands = self._disk.wake, lambda: self._disk.stands
        self._engine = EngineThread(
            lambda number: self._open_engine(recipes[number]),
            self.desk,
            self._doorbell_fd,
            clock,
            prepare=partial(realtime.prepare_thread, config.realtime, below=1),
        )
        self._plc.hear(self._doorbell_fd)
        self._requests = Requests(socket_path(loaded), self.desk)
        check = CameraCheck(self.desk, lambda: recipes[changeover.wanted].pack.geometry)
        self._camera = self._camera_of(loaded, recipes[first], check)
        changeover.change_camera = self._camera.change
        self.desk.trigger_camera = self._camera.trigger

    def _camera_of(self, loaded: LoadedConfig, first: PackedRecipe, hooks: CameraCheck) -> CameraProcess:
        """Return the camera with the features of the recipe to begin with, ringing our doorbell; it does not run yet."""
        config = loaded.config
        return CameraProcess(
            config.camera.model_copy(update={"features": dict(first.features)}),
            hooks,
            self._doorbell_fd,
            folder=loaded.folder,
            clock=self._clock,
            realtime=config.realtime,
        )

    def __enter__(self) -> Self:
        """Start the PLC thread first, so that every part has someone to reject it; then the engine, then the camera.

        First to stop is the ledger, which rejects at once from then on; then the others in the opposite order, that of a
        part's way: no more frames, no more scores, the last verdicts out.
        """
        with ExitStack() as running:
            running.callback(self._requests.close)
            running.callback(os.close, self._doorbell_fd)
            running.callback(self._notifier.close)
            self._plc.start()
            running.callback(self._plc.stop)
            self._disk.start()
            running.callback(self._disk.stop)  # before the PLC thread, which it wakes
            self._engine.start()
            running.callback(self._engine.stop)
            self._camera.start()
            running.callback(self._camera.stop)
            running.callback(self.desk.close)
            self._running = running.pop_all()
        return self

    def watch(self, stop: StopSignals) -> None:
        """Look after the others until a signal says to stop. Raises what ended a thread, HungError where one hangs."""
        told = False
        while not stop.wait(LOOK_S):
            for thread in (self._plc, self._engine, self._camera, self._disk):
                if thread.error is not None:
                    raise thread.error
            if self.desk.refused_feature:
                raise FeatureError(self.desk.refused_feature)
            self._raise_if_hanging()
            self._recorder.ensure_alive()
            self._disk.look()
            self._requests.look()
            self.desk.tell()
            if not told and self.desk.engine_ready:
                told = True
                self._notifier.ready(self.desk.summary())
            self._notifier.alive(self.desk.summary(), self._clock.now_ns())
            self._tidy()

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Stop all. HungError, which also tells why the station stops, where a thread does not end."""
        self._notifier.stopping()
        try:
            self._running.close()
        except HungError as hung:
            if error is None:
                raise
            raise HungError(f"{error}; {hung}") from error

    def _open_engine(self, recipe: PackedRecipe) -> Engine:
        """Open it; with the first one all is loaded, and the process settles before the PLC hears that parts can pass.

        Settling takes a tenth of a second in which no thread runs: afterwards it cost the first parts their verdicts. Engine thread.
        """
        engine = open_recipe(self._engine_kind, recipe)
        if not self._settled:
            self._settled = True
            realtime.prepare_process(self._realtime)
        return engine

    def _raise_if_hanging(self) -> None:
        now_ns = self._clock.now_ns()
        t_limit_ns = self._engine.t_limit_ns
        if t_limit_ns is not None and now_ns > t_limit_ns:
            raise HungError("the engine does not answer; the service has to be restarted")
        if now_ns - self._plc.t_alive_ns > max(HANG_MS, 4 * self._plc.longest_ms) * NS_PER_MS:
            raise HungError(
                f"the PLC thread has not come round for {HANG_MS:g} ms; if plc.host is a name, write its address instead: "
                "a name server that does not answer holds it up"
            )

    def _tidy(self) -> None:
        now_ns = self._clock.now_ns()
        if now_ns - self._t_tidied_ns >= TIDY_NS and not self.desk.busy:
            self._t_tidied_ns = now_ns
            realtime.collect_garbage()


def _stop_recorder(recorder: Recorder) -> None:
    if not recorder.stop(timeout_ms=RECORDER_STOP_MS):
        sys.stderr.write("the recorder did not end in time: the last lines of the log may be missing\n")


def _identity(loaded: LoadedConfig, recipes: dict[int, PackedRecipe]) -> dict[str, object]:
    config = loaded.config
    return {
        "station": config.station.name,
        "version": __version__,
        "pid": os.getpid(),
        "models": {str(number): recipe.pack.model_hash for number, recipe in recipes.items()},
        "config": loaded.sha256,
        "plc": config.plc.where,
        "log": str(loaded.resolve(config.recorder.folder)),
    }


def _rules(loaded: LoadedConfig) -> Rules:
    config = loaded.config
    return Rules(
        budget_ns=config.budget_ns,
        timing=Timing(
            latency_min_ns=round(config.camera.latency_ms.min * NS_PER_MS),
            latency_max_ns=round(config.latency_max_ms * NS_PER_MS),
            count_lag_ns=round(config.plc.count_lag_ms * NS_PER_MS),
            by_command=config.camera.trigger == "software",
        ),
        write_margin_ns=round(config.plc.write_margin_ms * NS_PER_MS),
        part_source=config.station.part_source,
    )


def _ledger(rules: Rules, before: Totals, safeguards: Safeguards) -> Ledger:
    """Return a ledger that goes on where an earlier run of the station, if there was one, left off."""
    last_part_id = before.last_part_id if before.parts else None
    return Ledger(
        rules,
        last_part_id,
        before.undecided,
        safeguards.expectation,
        withheld=lambda: safeguards.rejecting,
    )
