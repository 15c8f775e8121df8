"""The ledger: one final verdict for every part the PLC counted. A pure state machine: no I/O, no threads, no clock.

Whoever owns it reports what happened and when, and gets back the verdicts that became final by it:

    counted ──► open ──frame──► waits for its score ──score──► fate known ──certain, in time──► PASS | REJECT
                 │                     │                           │
                 no frame              no score                    in doubt which part the frame shows
                 FRAME_LOST            LATE at the deadline        HANDSHAKE: all open parts, and out of step

Only a PASS has conditions: counted by the PLC, scored within the threshold, certain to be this part's frame
(`handshake.py`), before the deadline, with camera, engine and link as they should be. Everything else rejects,
and a challenge part that must come out bad is rejected in any case.

`part_source = "frame_id"` is for lines whose PLC does not count: every frame is a part, and parts follow the frame ids.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable

from inspector.handshake import BEHIND, PLAUSIBLE_GAP, Handshake
from inspector.open_part import Note, OpenPart, OpenParts, Rules
from inspector.part import Deciding, Expected, Finding, Frame, FrameStatus, Reason, Verdict, next_part_id


class Ledger:
    """The state machine. Not thread-safe: its owner guards it."""

    def __init__(
        self,
        rules: Rules,
        last_part_id: int | None = None,
        undecided: Iterable[int] = (),
        expectation: Callable[[int], Expected | None] = lambda _: None,
        withheld: Callable[[], bool] = lambda: False,
    ) -> None:
        """Start with nothing up, where an earlier run, if there was one, left off: the last part it counted, those it left open.

        `expectation` is asked once for each part when it is counted: how it must come out, if it belongs to a challenge.
        `withheld` is asked at that time, and before each PASS: whether none may leave now, since the line must stand.
        """
        self._expectation = expectation
        self._withheld = withheld
        self._rules = rules
        self._handshake = Handshake(rules.timing, last_part_id)
        self._by_frame_ids = rules.part_source == "frame_id"
        self._away = last_part_id is not None  # parts counted while nobody was here
        self._left_open = tuple(undecided)
        self._enabled = False
        self._engine_ready = False
        self._deciding = Deciding()
        self._recipe_ready = True
        self._leaving = False
        self._link_lost = False
        self._generation: int | None = None  # of the camera; None = down
        self._next_frame_id: int | None = None  # for frame_id only
        self._open = OpenParts()
        self._to_shoot: OpenPart | None = None  # counted just now: its picture is to be taken
        self._verdicts: list[Verdict] = []
        self._notes: deque[Note] = deque(maxlen=1000)
        self.passed = 0
        self.rejected: Counter[Reason] = Counter()
        self.discarded_frames = 0
        self.discarded_scores = 0

    # -- what the owner may ask -------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether a part could pass now: engine, recipe and camera are ready and the line is in step."""
        engine_ready = self._engine_ready and self._recipe_ready
        return engine_ready and self._generation is not None and self.in_step

    @property
    def in_step(self) -> bool:
        """Whether frames are matched to parts."""
        return self._handshake.in_step or (self._by_frame_ids and self._generation is not None)

    @property
    def waiting(self) -> int:
        """How many parts have no verdict yet."""
        return len(self._open)

    @property
    def undecided(self) -> list[int]:
        """The parts that are counted and have no verdict yet."""
        return [*self._left_open, *(part.part_id for part in self._open.counted())]

    @property
    def last_part_id(self) -> int:
        """The last part counted, 0 before the first."""
        return self._handshake.count or 0

    def next_expiry_ns(self) -> int | None:
        """Return when `on_tick` is needed next, or None."""
        return min((part.t_expiry_ns for part in self._open.counted()), default=None)

    @property
    def t_empty_ns(self) -> int | None:
        """When a read of the count can get the line in step again, if nothing comes before; None where none can."""
        return None if self.in_step else self._handshake.t_empty_ns

    def deadline_of(self, frame: Frame) -> int | None:
        """Return the deadline of the part that waits for this frame's score; None = do not score it."""
        part = self._open.of_frame(frame)
        return part.t_deadline_ns if part is not None and part.fate is None else None

    def deciding_of(self, frame: Frame) -> Deciding:
        """Return what is to score this frame; that of nobody where no part waits for it."""
        part = self._open.of_frame(frame)
        return part.deciding if part is not None else Deciding()

    def notes(self) -> list[Note]:
        """Return what happened since the last call, for the log."""
        return [self._notes.popleft() for _ in range(len(self._notes))]

    # -- what the owner reports -------------------------------------------------------------------

    def on_engine(self, *, ready: bool, t_ns: int) -> list[Verdict]:
        """Report that the engine is ready, or no longer is."""
        self._engine_ready = ready and not self._leaving
        if not ready:
            self._reject_all(Reason.ENGINE, t_ns)
        return self._taken()

    def on_recipe(self, deciding: Deciding, *, ready: bool) -> None:
        """Report what decides the parts counted from now on; not `ready`: they are rejected until another such report.

        Parts that are open keep what they were counted or seen under.
        """
        self._deciding = deciding
        self._recipe_ready = ready

    def on_stop(self, t_ns: int) -> list[Verdict]:
        """Report that the station goes: what is open, and what is counted from now on, is rejected at once."""
        self._leaving = True
        self._engine_ready = False
        self._reject_all(Reason.NOT_READY, t_ns)
        return self._taken()

    def on_camera_up(self, generation: int) -> list[Verdict]:
        """Report that the camera delivers; it counts its frames anew."""
        self._generation = generation
        self._next_frame_id = None
        self._handshake.camera_restarted()
        return self._taken()

    def on_camera_down(self, t_ns: int, why: str = "camera down") -> list[Verdict]:
        """Report that no frame will come: parts that wait for one are rejected, parts that have one are still scored."""
        self._generation = None
        self._lose_step(why)
        for part in self._open:
            if part.frame is None:
                self._close(part, Reason.CAMERA, t_ns)
        return self._taken()

    def on_link_down(self, t_ns: int) -> list[Verdict]:
        """Report that the PLC cannot be reached: no verdict arrives, and what it counts meanwhile is not seen."""
        self._link_lost = True
        self._lose_step("link down")
        self._reject_all(Reason.LINK, t_ns)
        return self._taken()

    def on_control(
        self, count: int, *, enabled: bool, t_sent_ns: int, t_received_ns: int, plc_restarted: bool = False
    ) -> list[Verdict]:
        """Report a read of the control block, after every frame that arrived before the read was sent.

        `plc_restarted`: the PLC has lost its memory since the last read, so that it counts from 0 again.
        """
        self._enabled = enabled
        for part_id in self._left_open:
            self._count_part(part_id, t_received_ns)
        self._left_open = ()
        if not self._by_frame_ids:
            parts, restarted = self._handshake.read(count, t_sent_ns, t_received_ns, plc_restarted)
            if restarted:
                self._note("plc_restarted", count=count)
                self._doubt("the PLC restarted", t_received_ns)
            for part_id in parts:
                self._count_part(part_id, t_received_ns)
            if self._rules.timing.by_command:
                self._choose_shot(parts, t_received_ns)
            self._check_uncounted(t_received_ns)
            for part in self._open:
                self._settle(part, t_received_ns)
            if self._generation is not None and self._handshake.watch_for_an_empty_line(
                t_sent_ns, t_received_ns
            ):
                self._note("in_step", next_part=next_part_id(count))
        self._away = self._link_lost = False
        return self._taken()

    def take_shot(self, t_ns: int) -> bool:
        """Return whether to trigger the camera at `t_ns`, which is now: right after a read that counted one part."""
        part, self._to_shoot = self._to_shoot, None
        if part is None or part not in self._open:
            return False
        self._handshake.commanded(part.part_id, t_ns)
        part.t_frame_due_ns = t_ns + self._rules.timing.latency_max_ns
        return True

    def on_frame(self, frame: Frame) -> list[Verdict]:
        """Report a frame, in the order of the ring."""
        if frame.generation != self._generation:
            self.discarded_frames += 1
        elif self._by_frame_ids:
            self._count_by_frame(frame)
        else:
            self._assign(frame)
        return self._taken()

    def on_score(self, frame: Frame, finding: Finding, t_ns: int) -> list[Verdict]:
        """Report the engine's answer. Anything but a relative score of at most 1 rejects; one too late is discarded."""
        part = self._open.of_frame(frame)
        if part is None or part.fate is not None:
            self.discarded_scores += 1
            return []
        part.found(finding)
        self._settle(part, t_ns)
        return self._taken()

    def on_no_score(self, frame: Frame, reason: Reason, t_ns: int) -> list[Verdict]:
        """Report that the frame was not scored, and why (ENGINE, OVERRUN)."""
        part = self._open.of_frame(frame)
        if part is not None and part.fate is None:
            part.fate = reason
            self._settle(part, t_ns)
        return self._taken()

    def on_tick(self, t_ns: int) -> list[Verdict]:
        """Decide the parts whose time is up, after every frame that arrived before `t_ns` was reported."""
        for part in self._open.counted():
            if t_ns >= part.t_expiry_ns:
                if part.frame is None:
                    self._close(part, Reason.FRAME_LOST, t_ns)
                elif part.fate is None:
                    self._close(part, Reason.LATE, t_ns)
                else:  # scored in time, and never certain that the frame is this part's
                    self._close(part, Reason.HANDSHAKE, t_ns)
        return self._taken()

    # -- parts ------------------------------------------------------------------------------------

    def _count_part(self, part_id: int, t_ns: int) -> None:
        window = self._handshake.window(part_id)
        after_ns, before_ns = (window.after_ns, window.before_ns) if window else (t_ns, t_ns)
        part = self._open.get(part_id) or self._new_part(part_id, after_ns)
        # The count alone says when: a frame that came before it may be of a trigger that bounced, and later than it should be.
        part.triggered_not_before(after_ns, self._rules)
        part.counted = True
        part.expected = self._expectation(part_id)
        part.t_frame_due_ns = before_ns + self._rules.timing.latency_max_ns
        closed = self._closed_for()
        if part.deciding != self._deciding:  # its frame came before the recipe did
            closed = Reason.NOT_READY
        if closed and (part.frame is None or closed is Reason.NOT_READY):
            self._close(part, closed, t_ns)

    def _choose_shot(self, parts: list[int], t_ns: int) -> None:
        """Have the camera triggered for the part just counted; of several, or long after, none is surely before it."""
        self._to_shoot = None
        for part in [part for part in map(self._open.get, parts) if part is not None]:
            if len(parts) == 1 and t_ns - part.t_trigger_ns <= self._rules.timing.latency_max_ns:
                self._to_shoot = part
            else:
                self._close(part, Reason.FRAME_LOST, t_ns)

    def _closed_for(self) -> Reason | None:
        """Return why a part that is counted now is rejected at once; None where its frame may come, and its score."""
        if self._link_lost:
            return Reason.LINK
        if self._away or not self._allowed or not self._engine_ready or not self._recipe_ready:
            return Reason.NOT_READY
        if self._generation is None:
            return Reason.CAMERA
        return None if self.in_step else Reason.HANDSHAKE

    @property
    def _allowed(self) -> bool:
        return self._enabled and not self._withheld()

    def _check_uncounted(self, t_ns: int) -> None:
        uncounted = next((part for part in self._open if not part.counted), None)
        if uncounted is not None and uncounted.frame is not None and self._handshake.overdue(uncounted.frame):
            self._doubt(f"frame {uncounted.frame.frame_id} came without a counted part", t_ns)

    def _assign(self, frame: Frame) -> None:
        place = self._handshake.place(frame)
        if place.doubt:
            self.discarded_frames += 1
            self._doubt(place.doubt, frame.t_arrival_ns)
            return
        for back in range(place.skipped, 0, -1):
            skipped = self._open.get(next_part_id(place.part_id, -back))
            if skipped is not None and skipped.counted and skipped.frame is None:
                self._close(skipped, Reason.FRAME_LOST, frame.t_arrival_ns)
        part = self._open.get(place.part_id)
        if part is None and place.part_id and self._handshake.window(place.part_id) is None:
            part = self._new_part(place.part_id, frame.t_arrival_ns - self._rules.timing.latency_max_ns)
        if part is None:
            self.discarded_frames += 1
            if place.repeated:
                self._note("frame_repeated", frame_id=frame.frame_id)
        else:
            self._take_frame(part, frame)

    def _count_by_frame(self, frame: Frame) -> None:
        step = 0 if self._next_frame_id is None else frame.frame_id - self._next_frame_id
        if not 0 <= step <= PLAUSIBLE_GAP:
            repeated = -BEHIND <= step < 0
            self.discarded_frames += 1
            self._note("frame_repeated" if repeated else "frame_id_jumped", frame_id=frame.frame_id)
            self._next_frame_id = self._next_frame_id if repeated else frame.frame_id + 1
            return
        self._next_frame_id = frame.frame_id + 1
        for missing in range(step, -1, -1):
            self._handshake.count = next_part_id(self._handshake.count or 0)
            part = self._new_part(
                self._handshake.count, frame.t_arrival_ns - self._rules.timing.latency_max_ns
            )
            part.counted = True
            part.expected = self._expectation(part.part_id)
            if reason := Reason.FRAME_LOST if missing else self._closed_for():
                self._close(part, reason, frame.t_arrival_ns)
            else:
                self._take_frame(part, frame)

    def _take_frame(self, part: OpenPart, frame: Frame) -> None:
        self._open.give_frame(part, frame)
        if frame.status is not FrameStatus.OK:
            part.fate = Reason.OVERRUN if frame.status is FrameStatus.OVERRUN else Reason.FRAME_BAD
            self._settle(part, frame.t_arrival_ns)

    def _new_part(self, part_id: int, t_trigger_ns: int) -> OpenPart:
        part = OpenPart(part_id, t_trigger_ns, 0, self._deciding)
        part.triggered_not_before(t_trigger_ns, self._rules)
        self._open.add(part)
        return part

    # -- doubt ------------------------------------------------------------------------------------

    def _doubt(self, why: str, t_ns: int) -> None:
        """Reject every open part, since it is not certain which part a frame shows; the line must be empty once."""
        self._lose_step(why)
        self._reject_all(Reason.HANDSHAKE, t_ns)

    def _lose_step(self, why: str) -> None:
        """Stop matching, and forget frames whose part was not counted: the part may not exist."""
        if self._handshake.in_step:
            self._note("out_of_step", why=why)
        self._handshake.lose_step()
        for part in self._open:
            if not part.counted:
                self.discarded_frames += 1
                self._open.drop(part)

    # -- verdicts ---------------------------------------------------------------------------------

    def _settle(self, part: OpenPart, t_ns: int) -> None:
        """Close the part if it is counted and its fate is known; a PASS only if it is certain, and in time."""
        if part.fate is None or not part.counted or part not in self._open or part.frame is None:
            return
        if part.fate is not Reason.NONE:
            self._close(part, part.fate, t_ns)
        elif not self._allowed:
            self._close(part, Reason.NOT_READY, t_ns)
        elif t_ns >= part.t_deadline_ns:
            self._close(part, Reason.LATE, t_ns)
        elif self._by_frame_ids:
            self._close(part, Reason.NONE, t_ns)
        else:
            certain = self._handshake.certain(part.frame, part.part_id)
            if certain:
                self._close(part, Reason.NONE, t_ns)
            elif certain is False:
                self._doubt(f"the frame of part {part.part_id} may show another part", t_ns)

    def _reject_all(self, reason: Reason, t_ns: int) -> None:
        for part in self._open.counted():
            self._close(part, reason, t_ns)

    def _close(self, part: OpenPart, reason: Reason, t_ns: int) -> None:
        self._open.drop(part)
        if part.expected is Expected.BAD and reason is Reason.NONE:
            reason = Reason.CHALLENGE  # it must be rejected, whatever its score
        if reason:
            self.rejected[reason] += 1
        else:
            self.passed += 1
        self._verdicts.append(part.verdict(reason, t_ns))

    def _taken(self) -> list[Verdict]:
        taken, self._verdicts = self._verdicts, []
        return taken

    def _note(self, event: str, **fields: int | str) -> None:
        self._notes.append(Note(event, fields))
