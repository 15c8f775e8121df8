"""What the station shows of itself: the faults it knows of, and its state as words of the status block.

Not thread-safe: the desk guards it.
"""

from inspector.changeover import Changeover
from inspector.errors import UNCODED, DiskError, error_number
from inspector.ledger import Ledger
from inspector.part import Reason
from inspector.plc.registers import State, Status
from inspector.safeguards import Safeguards
from inspector.service.tally import Tally

LINK, HEARTBEAT, FOREIGN_WRITER, DISK = "link", "heartbeat", "foreign writer", "disk"  # sources of faults
_OF_THE_PLC = {LINK, HEARTBEAT}


class Panel:
    """The faults by source, the oldest first, since the others may come of it."""

    def __init__(self, ledger: Ledger, tally: Tally, changeover: Changeover, safeguards: Safeguards) -> None:
        self._safeguards = safeguards
        self._ledger = ledger
        self._tally = tally
        self._changeover = changeover
        self._faults: dict[str, int] = {}

    def fault(self, source: str, code: str, otherwise: str = "") -> None:
        """Show a fault by the code that `code` begins with, or else `otherwise`: a process that was killed names none."""
        number = error_number(code)
        self._faults[source] = error_number(otherwise) if number == UNCODED and otherwise else number

    def well(self, source: str) -> None:
        """Show no fault of this source any more."""
        self._faults.pop(source, None)

    @property
    def own_fault(self) -> bool:
        """Whether something of the station itself, not of the PLC, is as it should not be."""
        return any(source not in _OF_THE_PLC for source in self._faults)

    def status(self, heartbeat: int, *, simulated: bool) -> Status:
        """Return the status block: counters over all runs of the station, states as they are now."""
        totals, active, guards = self._tally.totals(), self._changeover.active, self._safeguards
        if guards.disk_stands():
            self._faults.setdefault(DISK, error_number(DiskError.code))
        else:
            self.well(DISK)
        code = next(iter(self._faults.values()), 0) or (
            error_number(guards.latched_code) if guards.latched_code else 0
        )
        shown = {
            State.ONLINE: True,
            State.READY: self._ledger.ready and FOREIGN_WRITER not in self._faults,
            State.BUSY: self._ledger.waiting > 0,
            State.FAULT: bool(code),
            State.SIMULATED: simulated,
            State.LINE_STOP: guards.line_stop,
            State.CHALLENGE_DUE: guards.challenge_due,
            State.CHALLENGE: guards.challenge_running,
        }
        state = State(sum(bit for bit, on in shown.items() if on))
        return Status(
            heartbeat=heartbeat,
            state=state,
            error_code=code,
            active_recipe=active.number if active else 0,
            parts=totals.parts,
            rejects=totals.rejects,
            late=totals.rejected[Reason.LATE],
            lost=totals.rejected[Reason.FRAME_LOST],
            model_hash=int(active.deciding.model_sha256[:8], 16) if active else 0,
        )

    def summary(self, *, link: bool, camera: bool, engine: bool) -> str:
        """Return one line for `systemctl status`: of camera and engine only what is missing."""
        totals = self._tally.totals()
        ready, plc = "ready" if self._ledger.ready else "not ready", "up" if link else "down"
        missing = "".join((", camera down" * (not camera), ", engine down" * (not engine)))
        stop = ", line stop" if self._safeguards.line_stop else ""
        return f"{ready}, PLC {plc}{missing}{stop}, {totals.parts} parts, {totals.rejects} rejected"
