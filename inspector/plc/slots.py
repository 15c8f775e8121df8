"""Verdicts on their way into the PLC's slots: in their order, one write at a time, each reported exactly once.

    final ──take──► waits ──send──► under way ──hear──► written
                      │  ▲              │
                      │  └────lose──────┘ the PLC may have it all the same
                      └──► given up: too old, its slot a later part's, or of a PLC that began anew

`send` never waits, so that whoever has a verdict may call it, as long as `sendable_at_once`; the rest is the PLC thread's. A PASS is sent
before its deadline or not at all: one that was never sent is a REJECT from then on, so that the PLC, the counters and the record
say the same.
"""

from inspector.clock import Clock
from inspector.part import PART_ID_MAX, Outcome, Reason, Verdict, part_distance
from inspector.plc.base import Desk
from inspector.plc.client import PlcConnection
from inspector.plc.direct import Gate
from inspector.plc.registers import SLOT_WORDS, RegisterMap, encode_result
from inspector.plc.writers import ForeignWriter


class Slots:
    """Not thread-safe: the link guards it."""

    def __init__(
        self, registers: RegisterMap, desk: Desk, foreign: ForeignWriter, gate: Gate, clock: Clock
    ) -> None:
        """Nothing on its way."""
        self._map = registers
        self._desk = desk
        self._foreign = foreign
        self._gate = gate
        self._clock = clock
        self._waiting: dict[int, Verdict] = {}  # by slot: what the PLC has not acknowledged yet
        self._under_way: int | None = None  # the slot whose verdict was sent on this connection
        self._sent: Verdict | None = (
            None  # the last one: without an acknowledgement the PLC may have it all the same
        )
        self._newest_part = 0  # of the last verdict taken

    @property
    def waiting(self) -> bool:
        """Whether there is a verdict to send or to hear of."""
        return bool(self._waiting)

    @property
    def under_way(self) -> bool:
        """Whether the PLC's acknowledgement is to be heard before anything else is asked of it."""
        return self._under_way is not None

    @property
    def sendable_at_once(self) -> bool:
        """Whether there is a verdict that may be sent without a look at its slot, for which somebody would have to wait."""
        return self.waiting and not self._look_due(next(iter(self._waiting.values())))

    def take(self) -> None:
        """Take what is final. Of several verdicts for one slot only the newest can still matter to the PLC. Nothing is under way."""
        for verdict in self._desk.take_verdicts():
            self._newest_part = verdict.part_id
            slot = verdict.part_id % self._map.slots
            older = self._waiting.pop(slot, None)
            self._waiting[slot] = verdict
            if older is not None:
                self._give_up(older)

    def look(self, connection: PlcConnection) -> None:
        """Before the next one is sent, see at times whether another station's verdict on that part stands: no PASS goes there."""
        slot, verdict = next(iter(self._waiting.items()))
        if self._look_due(verdict):
            stands = connection.read_words(self._map.slot_address(verdict.part_id), SLOT_WORDS)
            if self._foreign.met(verdict.part_id, stands, self._clock.now_ns()):
                self._waiting[slot] = self._desk.withdraw(verdict, Reason.NOT_READY)

    def send(self, connection: PlcConnection) -> bool:
        """Send the oldest verdict, or give up what can no longer matter; return which. Never waits, never fails."""
        slot, taken = next(iter(self._waiting.items()))
        now_ns = self._clock.now_ns()  # one look for both: a PASS must be withdrawn, or written
        verdict = self._withdrawn_if_late(taken, now_ns)
        if not self._still_matters(verdict, now_ns):
            del self._waiting[slot]
            self._give_up(verdict)
            return False
        words = encode_result(verdict, self._desk.flags())
        self._gate.take(verdict)
        self._sent = self._waiting[slot] = verdict
        self._under_way = slot
        self._foreign.sends(self._map.slot_address(verdict.part_id), words)
        connection.send_slot(verdict.part_id, words)
        return True

    def hear(self, connection: PlcConnection) -> None:
        """Wait for the acknowledgement of what is under way, if anything, and report it. Raises PlcError."""
        if self._under_way is None:
            return
        connection.hear_slot()
        verdict = self._waiting.pop(self._under_way)
        self._under_way = None
        self._desk.on_written(verdict, self._clock.now_ns())

    def lose(self) -> None:
        """Take note that the connection has ended: what is under way has to be sent again, if it still matters."""
        self._under_way = None

    def give_up(self) -> None:
        """Report as never written what waits: new parts may bear the ids of those that we decided. Nothing is under way."""
        self.take()
        while self._waiting:
            self._give_up(self._waiting.pop(next(iter(self._waiting))))

    def _look_due(self, verdict: Verdict) -> bool:
        unsent_pass = verdict.outcome is Outcome.PASS and verdict is not self._sent
        return unsent_pass and self._foreign.look_due(self._clock.now_ns())

    def _withdrawn_if_late(self, verdict: Verdict, now_ns: int) -> Verdict:
        """Return the verdict, or the REJECT that it has become: a PASS after its time that the PLC cannot have yet."""
        in_time = verdict.outcome is not Outcome.PASS or now_ns < verdict.t_deadline_ns
        if in_time or verdict is self._sent:
            return verdict
        return self._desk.withdraw(verdict, Reason.LATE)

    def _still_matters(self, verdict: Verdict, now_ns: int) -> bool:
        """Return whether the verdict may be written: no PASS after its time, and after an outage no part of long ago.

        The PLC counts on while we write: the slot of a part that is almost a round of slots old may be the next part's by then.
        """
        if verdict.outcome is Outcome.PASS and now_ns >= verdict.t_deadline_ns:
            return False
        too_old = range(max(2, self._map.slots * 3 // 4), PART_ID_MAX // 2)
        return part_distance(verdict.part_id, self._newest_part) not in too_old

    def _give_up(self, verdict: Verdict) -> None:
        if verdict.outcome is Outcome.PASS and verdict is not self._sent:
            verdict = self._desk.withdraw(verdict, Reason.LINK)
        self._desk.on_written(verdict, None)
