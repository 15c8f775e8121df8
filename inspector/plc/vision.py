"""The signals that users of smart cameras know, and the queue of verdicts not yet acknowledged. Pure: no I/O, no clock.

    TRIGGER  ──┐          ┌──  up: part_count has counted a part      RESULTS_VALID ──┐          ┌── up: see result_part
    TRIGGER_ACK ─┐      ┌─     up: taken, its slot is cleared         RESULTS_ACK    ───┐      ┌──── up: taken
               each side lowers its signal when it sees the other's; nothing is lost by being slow

The queue carries part ids, not verdicts. A verdict stands in its part's slot and nowhere else, so that a verdict whose
acknowledge got lost, or that found the queue full, shifts nothing: the release rule needs no queue.
"""

from collections import deque
from collections.abc import Sequence

from inspector.plc.registers import VISION_STATUS, WORD_MAX, State, VisionControl, VisionStatus

_C, _S = VisionControl, VisionStatus


class Vision:
    """Both words of signals, and the queue. Not thread-safe; the PLC thread owns it."""

    def __init__(self, queue: int) -> None:
        """`queue`: verdicts that may wait."""
        self._most = queue
        self._control = _C(0)
        self._results: deque[int] = deque()
        self._valid = 0  # the part that RESULTS_VALID speaks of; it stands until it is acknowledged
        self._overrun = False
        self._lost = 0
        self._triggered = False  # a TRIGGER was heeded, and is not taken back
        self._missed_trigger = False

    @property
    def control(self) -> VisionControl:
        """What the PLC set."""
        return self._control

    def set_control(self, control: VisionControl, *, ready: bool) -> bool:
        """Take the PLC's signals; return whether TRIGGER rose and was heeded. `ready`: parts can pass."""
        rising = control & ~self._control
        self._control = control
        if _C.CLEAR_ERROR in rising:
            self._missed_trigger = False
        if _C.RESULTS_ACK in rising and self._valid:
            self._valid = 0
        self._offer_next()
        self._triggered = self._triggered and _C.TRIGGER in control
        if _C.TRIGGER not in rising:
            return False
        self._triggered = ready and _C.TRIGGER_ENABLE in control
        self._missed_trigger = not self._triggered
        return self._triggered

    def add(self, part_id: int) -> None:
        """Take a part that got its verdict. Without BUFFER_RESULTS_ENABLE it takes the place of one that waits."""
        if _C.BUFFER_RESULTS_ENABLE not in self._control:
            self._results.clear()
            self._valid = 0
            self._overrun = False
        elif self._waiting >= self._most:
            self._overrun = True
            self._lost = min(self._lost + 1, WORD_MAX)
            return
        self._overrun = False
        self._results.append(part_id)
        self._offer_next()

    def clear(self) -> None:
        """Forget everything that a PLC, which may be another one by now, did not acknowledge."""
        self._control = _C(0)
        self._results.clear()
        self._valid = 0
        self._overrun = self._triggered = self._missed_trigger = False

    def words(self, state: State, acknowledged_part: int) -> Sequence[int]:
        """Return the words of the vision status block. `state`: the station's."""
        values = {
            "signals": int(self._signals(state)),
            "acknowledged_part": acknowledged_part,
            "result_part": self._valid,
            "results_waiting": self._waiting,
            "results_lost": self._lost,
        }
        return [values[field.name] for field in VISION_STATUS]

    def _signals(self, state: State) -> VisionStatus:
        enabled = _C.TRIGGER_ENABLE in self._control
        signals = {
            _S.ONLINE: State.ONLINE in state,
            _S.TRIGGER_READY: State.READY in state and enabled and not self._triggered,
            _S.TRIGGER_ACK: self._triggered,
            _S.BUSY: State.BUSY in state,
            _S.RESULTS_VALID: bool(self._valid),
            _S.RESULTS_OVERRUN: self._overrun,
            _S.ERROR: State.FAULT in state or self._missed_trigger,
        }
        return _S(sum(signal for signal, is_set in signals.items() if is_set))

    @property
    def _waiting(self) -> int:
        return len(self._results) + (self._valid != 0)

    def _offer_next(self) -> None:
        """Raise RESULTS_VALID for the oldest that waits, once RESULTS_ACK of the one before is down."""
        if not self._valid and self._results and _C.RESULTS_ACK not in self._control:
            self._valid = self._results.popleft()
