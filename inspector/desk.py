"""The desk: where the station's threads meet. One lock around the ledger, and nothing slow behind it.

    camera thread  on_up, on_down          (a camera process came or went)
    engine thread  next_job, on_score, on_tick
    PLC thread     on_tick, on_control, take_verdicts, withdraw, on_written
    engine thread  take_verdicts, withdraw, on_written too, within `deliver`

New frames are taken from the ring by whoever comes first, so that the ledger knows of a frame also while the engine
computes; verdicts leave in the order in which they became final, through the PLC thread or, where that sleeps, by `deliver` at once.

What is read without the lock (`_plc.link_up`, `_engine_name`, `_simulated`, whether `_verdicts` is empty) is one reference, written
whole: the reader sees the old value or the new one, and either was true a moment ago.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from inspector.asking import Asking
from inspector.camera.base import CameraInfo
from inspector.camera.life import CameraEvent
from inspector.changeover import Changeover
from inspector.clock import Clock
from inspector.engine.base import Score, finding_of
from inspector.engine.worker import Job, Load
from inspector.entry import entry_of
from inspector.errors import CameraError, EngineError, FeatureError, SimulatedCameraError
from inspector.jobs import Jobs
from inspector.ledger import Ledger
from inspector.notes import tell
from inspector.open_part import Note
from inspector.panel import Panel
from inspector.part import Outcome, Reason, Verdict
from inspector.plc.registers import Control, Flag, Status
from inspector.plc_watch import PlcWatch
from inspector.recorder.client import Recorder
from inspector.recorder.handler import as_extra
from inspector.ring import RingReader
from inspector.safeguards import Progress, Safeguards
from inspector.service.tally import Tally

log = logging.getLogger(__name__)


class Desk:
    """The shared state of one station. Any thread; every method holds the lock for microseconds."""

    def __init__(
        self,
        ledger: Ledger,
        changeover: Changeover,
        safeguards: Safeguards,
        *,
        tally: Tally,
        recorder: Recorder,
        clock: Clock,
        simulated: bool,
        simulated_allowed: bool,
    ) -> None:
        """`simulated_allowed`: the PLC may be told verdicts about images of a simulated camera (I7)."""
        self.wake_plc: Callable[[], None] = lambda: None  # a frame came, or the state has changed
        self.deliver: Callable[[], None] | None = None  # verdicts are final; None: by wake_plc
        self.trigger_camera: Callable[[], None] = lambda: None
        self.refused_feature = ""  # what the camera said to the configuration: no restart of it mends that
        self._ledger = ledger
        self._changeover = changeover
        self._safeguards = safeguards
        self._tally = tally
        self._recorder = recorder
        self._clock = clock
        self._simulated = simulated
        self._simulated_allowed = simulated_allowed
        self._lock = threading.Lock()
        self._panel = Panel(ledger, tally, changeover, safeguards)
        self._plc = PlcWatch(self._panel, tally)
        self._recipe = 0  # the one that was active last
        self._jobs = Jobs(ledger)
        self._camera_was_up = False
        self._camera_down_why = ""  # logged as an error already
        self._asking = Asking(ledger)
        self._verdicts: list[Verdict] = []
        self._engine_name = ""
        self._engine_failed_why = ""  # logged as an error already

    # -- camera thread (CameraHooks) --------------------------------------------------------------

    def on_up(self, generation: int, reader: RingReader, info: CameraInfo) -> None:
        """Take a new ring. A simulated camera is refused where the PLC must not see verdicts about its images (I7)."""
        self._camera_was_up = True
        virtual = info.device.simulated
        if virtual and not self._simulated_allowed:
            refusal = SimulatedCameraError(
                f"{info.device} is no real camera: set station.simulated: true if it may decide, or correct camera.device"
            )
            with self._lock:
                # The ledger does not hear of it, so that its frames go straight back to the ring.
                self._jobs.use(reader)
                self._panel.fault("camera", refusal.code)
            log.error("camera_refused", extra={"code": refusal.code, "why": str(refusal)})
            return
        with self._lock:
            self._simulated = self._simulated or virtual
            self._jobs.use(reader)
            self._panel.well("camera")
            self._camera_down_why = ""
            self._file(self._ledger.on_camera_up(generation))
            self._changeover.camera_up(generation)
            notes = self._proceed()
        tell(notes)
        self.wake_plc()

    def on_down(self, why: str) -> None:
        """Take note that no frame will come any more."""
        with self._lock:
            self._take_frames()
            self._jobs.use(None)
            self._panel.fault("camera", why, CameraError.code)
            self._file(self._ledger.on_camera_down(self._clock.now_ns()))
            if not self._camera_was_up and why.startswith(FeatureError.code):
                self.refused_feature = why.partition(": ")[2]
        self.wake_plc()

    def on_event(self, event: CameraEvent) -> None:
        """Log what the camera process says; of attempts that fail alike only the first is an error."""
        level: int = logging.getLevelNamesMapping().get(event.level.upper(), logging.WARNING)
        if event.name == "camera_down":
            told = (
                event.fields["why"] == self._camera_down_why or self.refused_feature
            )  # which ends the station
            level = logging.INFO if told else level
            self._camera_down_why = event.fields["why"]
        log.log(level, event.name, extra=as_extra(event.fields))

    # -- engine thread (EngineDesk) ---------------------------------------------------------------

    def next_load(self) -> Load | None:
        """Return which engine to open now."""
        with self._lock:
            return self._changeover.next_load()

    def on_engine(self, *, ready: bool, why: str, recipe: int | None) -> None:
        """Take note that a recipe's engine can score, or could not be opened; without a recipe, that none can."""
        with self._lock:
            if ready:
                self._engine_name = why
            else:
                self._panel.fault("engine", why, EngineError.code)
            if recipe is None:
                self._engine_name = ""
                self._changeover.engines_lost()
                self._file(self._ledger.on_engine(ready=False, t_ns=self._clock.now_ns()))
            elif ready:
                self._changeover.opened(recipe)
                self._file(self._ledger.on_engine(ready=True, t_ns=self._clock.now_ns()))
            notes = self._proceed()
        if ready:
            log.info("engine_ready", extra={"engine": why, "recipe": recipe})
        else:
            told = why == self._engine_failed_why  # the same again at each attempt to open it
            log.log(logging.INFO if told else logging.ERROR, "engine_failed", extra={"why": why})
        self._engine_failed_why = "" if ready else why
        tell(notes)
        self.wake_plc()

    def next_job(self) -> Job | None:
        """Take the frames that came; return the oldest that a part waits for, and give those that nobody waits for back to the ring."""
        with self._lock:
            self._take_frames()
            job = self._jobs.next()
        if self._asking.asked():
            self.wake_plc()  # not while the lock is held, for which that thread would wait at once
        return job

    def on_score(self, job: Job, score: Score, *, engine_ms: float) -> None:
        """Take a score; the verdict, if it became final, goes to the PLC at once."""
        finding = finding_of(score, job.deciding, engine_ms=engine_ms)
        self._answer(job, lambda t_ns: self._ledger.on_score(job.frame, finding, t_ns))

    def on_no_score(self, job: Job, reason: Reason) -> None:
        """Take note that a frame was not scored."""
        self._answer(job, lambda t_ns: self._ledger.on_no_score(job.frame, reason, t_ns))

    def _answer(self, job: Job, tell_ledger: Callable[[int], list[Verdict]]) -> None:
        try:
            with self._lock:
                final = self._file(tell_ledger(self._clock.now_ns()))
            # A verdict is to be written; where there is none yet, only another read of the count can make it certain.
            (self.deliver if final and self.deliver else self.wake_plc)()
        finally:
            with self._lock:
                self._jobs.done(job)

    # -- PLC thread (plc.base.Desk) ---------------------------------------------------------------

    def on_tick(self) -> None:
        """Take the frames that came, then decide the parts whose time is up. Engine and PLC thread."""
        with self._lock:
            now_ns = self._clock.now_ns()
            self._take_frames()
            self._file(self._ledger.on_tick(now_ns))
            self._safeguards.on_tick(faults=self._panel.own_fault, t_ns=now_ns)
            self._jobs.drop_decided()
            self._asking.on_tick(now_ns)
        if self._asking.asked():
            self.wake_plc()

    def next_expiry_ns(self) -> int | None:
        """Return when `on_tick` is needed next."""
        with self._lock:
            due_ns = self._ledger.next_expiry_ns(), self._asking.next_ns()
        return min((t_ns for t_ns in due_ns if t_ns is not None), default=None)

    def on_control(
        self, control: Control, *, t_sent_ns: int, t_received_ns: int, enabled: bool, plc_restarted: bool
    ) -> None:
        """Take a read of the control block, after the frames that came before it."""
        with self._lock:
            self._take_frames()
            self._safeguards.on_control(control)
            self._changeover.ask(control.recipe_request)
            if code := self._changeover.fault:
                self._panel.fault("recipe", code)
            else:
                self._panel.well("recipe")
            self._file(
                self._ledger.on_control(
                    control.part_count,
                    enabled=enabled,
                    t_sent_ns=t_sent_ns,
                    t_received_ns=t_received_ns,
                    plc_restarted=plc_restarted,
                )
            )
            if self._ledger.take_shot(self._clock.now_ns()):
                self.trigger_camera()
            self._safeguards.on_counted()
            notes = self._proceed() + self._plc.on_enable(enable=control.enable)
        if self._asking.wanted:
            self.wake_plc()
        tell(notes)
        self._safeguards.tell()

    def on_link_up(self) -> None:
        """Take note that the PLC answers."""
        with self._lock:
            notes = self._plc.on_link_up(self._clock.now_ns())
        tell(notes)

    def on_link_down(self, why: str) -> None:
        """Take note that the PLC does not answer; logged when it begins."""
        with self._lock:
            self._take_frames()
            now_ns = self._clock.now_ns()
            self._file(self._ledger.on_link_down(now_ns))
            notes = self._plc.on_link_down(why, now_ns)
        tell(notes)
        self._safeguards.tell()

    def on_heartbeat(self, *, beats: bool, still_ms: float) -> None:
        """Take note that the PLC's heartbeat has stopped, or goes on after so long."""
        with self._lock:
            notes = self._plc.on_heartbeat(beats=beats, still_ms=still_ms, t_ns=self._clock.now_ns())
        tell(notes)

    def on_foreign_writer(self, *, present: bool) -> None:
        """Take note that somebody else writes our blocks in the PLC, or no longer does."""
        with self._lock:
            notes = self._plc.on_foreign_writer(present=present)
        tell(notes)

    def on_unconfirmed(self, part_id: int) -> None:
        """Take note that a rejected part was not seen to leave the line."""
        with self._lock:
            self._safeguards.on_unconfirmed(part_id)

    def take_verdicts(self) -> list[Verdict]:
        """Return the verdicts that became final since the last call."""
        if not self._verdicts:
            return []
        with self._lock:
            taken, self._verdicts = self._verdicts, []
            return taken

    def withdraw(self, verdict: Verdict, reason: Reason) -> Verdict:
        """Return the REJECT that takes the place of a PASS which could not even be sent in time; the counters follow."""
        with self._lock:
            self._tally.withdraw_pass(reason)
        return replace(verdict, outcome=Outcome.REJECT, reason=reason, t_decided_ns=self._clock.now_ns())

    def on_written(self, verdict: Verdict, t_written_ns: int | None) -> None:
        """Record a verdict and what decided it (I6). `t_written_ns` is None where the PLC never got it."""
        with self._lock:
            self._safeguards.on_verdict(verdict, acknowledged=t_written_ns is not None)
        self._recorder.record("verdict", **entry_of(verdict, t_written_ns, simulated=self._simulated))
        self._safeguards.tell()

    def status(self, heartbeat: int) -> Status:
        """Return the status block as it is now."""
        with self._lock:
            return self._panel.status(heartbeat, simulated=self._simulated)

    def news(self) -> object:
        """Return what the PLC should hear of at once when it changes: the recipe, and whether parts can pass."""
        with self._lock:
            return self._changeover.active, self._ledger.ready

    def flags(self) -> Flag:
        """Return the flags that every verdict carries."""
        return Flag.SIMULATED if self._simulated else Flag(0)

    # -- the station's own ------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether a part could pass now."""
        with self._lock:
            return self._ledger.ready

    @property
    def busy(self) -> bool:
        """Whether a part waits for its verdict."""
        return self._ledger.waiting > 0

    @property
    def engine_ready(self) -> bool:
        """Whether an engine is warm."""
        return bool(self._engine_name)

    def summary(self) -> str:
        """Return one line for `systemctl status`."""
        with self._lock:
            link, camera = self._plc.link_up, self._jobs.has_ring
            return self._panel.summary(link=link, camera=camera, engine=self.engine_ready)

    def tell(self) -> None:
        """Log what has become of stops and challenges, also while no PLC is there to be heard."""
        self._safeguards.tell()

    def closing(self) -> dict[str, int | str]:
        """Return what the last line of the log says: the totals, and what belonged to no part or came too late (I3)."""
        self._safeguards.tell()
        totals = self._tally.totals()
        return {
            "summary": self.summary(),
            "parts": totals.parts,
            "rejects": totals.rejects,
            "discarded_frames": self._ledger.discarded_frames,
            "discarded_scores": self._ledger.discarded_scores,
        }

    def close(self) -> None:
        """Reject what is open: the station goes."""
        with self._lock:
            self._safeguards.stop()
            self._file(self._ledger.on_stop(self._clock.now_ns()))

    # -- whoever asks for a challenge (requests.Desk) ----------------------------------------------

    def ask_challenge(self, asked_by: str) -> int | None:
        """Ask for a challenge; return its ticket, None where one runs already."""
        with self._lock:
            return self._safeguards.ask(asked_by)

    def withdraw_challenge(self, ticket: int) -> None:
        """Take note that nobody waits for it any more."""
        with self._lock:
            self._safeguards.withdraw(ticket)

    def challenge_progress(self, ticket: int) -> Progress:
        """Say how far it is."""
        with self._lock:
            return self._safeguards.progress(ticket)

    # -- behind the lock --------------------------------------------------------------------------

    def _take_frames(self) -> None:
        for frame, reader in self._jobs.new_frames():
            self._asking.frame_came()
            self._file(self._ledger.on_frame(frame))
            self._jobs.put(frame, reader)

    def _proceed(self) -> list[Note]:
        """Go on with a change of recipe, if there is one; return what is to be logged, once the lock is free."""
        self._file(self._changeover.proceed(self._clock.now_ns()))
        active = self._changeover.active
        if active is not None:
            self._panel.well("engine")  # one that could not be opened is no longer wanted
            if self._recipe not in {0, active.number}:
                self._safeguards.on_recipe()
            self._recipe = active.number
        return self._ledger.notes() + self._changeover.notes()

    def _file(self, verdicts: list[Verdict]) -> bool:
        """Count verdicts and have them ready for the PLC thread; return whether there is any."""
        if verdicts:
            self._tally.add(verdicts, self._ledger.last_part_id, self._ledger.undecided)
            self._verdicts += verdicts
        return bool(verdicts)
