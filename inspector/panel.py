"""What the station shows of itself: the faults it knows of, and its state as words of the status block.

Not thread-safe: the desk guards it.
"""

from inspector.changeover import Changeover
from inspector.errors import UNCODED, error_number
from inspector.ledger import Ledger
from inspector.part import Reason
from inspector.plc.registers import State, Status
from inspector.service.tally import Tally


class Panel:
    """The faults by source, the oldest first, since the others may come of it."""

    def __init__(self, ledger: Ledger, tally: Tally, changeover: Changeover) -> None:
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

    def status(self, heartbeat: int, *, simulated: bool) -> Status:
        """Return the status block: counters over all runs of the station, states as they are now."""
        totals, active = self._tally.totals(), self._changeover.active
        state = State.ONLINE
        state |= State.READY if self._ledger.ready else State(0)
        state |= State.BUSY if self._ledger.waiting else State(0)
        state |= State.FAULT if self._faults else State(0)
        state |= State.SIMULATED if simulated else State(0)
        return Status(
            heartbeat=heartbeat,
            state=state,
            error_code=next(iter(self._faults.values()), 0),
            active_recipe=active.number if active else 0,
            parts=totals.parts,
            rejects=totals.rejects,
            late=totals.rejected[Reason.LATE],
            lost=totals.rejected[Reason.FRAME_LOST],
            model_hash=int(active.deciding.model_sha256[:8], 16) if active else 0,
        )

    def summary(self, *, link_up: bool) -> str:
        """Return one line for `systemctl status`."""
        totals = self._tally.totals()
        ready, link = "ready" if self._ledger.ready else "not ready", "up" if link_up else "down"
        return f"{ready}, PLC {link}, {totals.parts} parts, {totals.rejects} rejected"
