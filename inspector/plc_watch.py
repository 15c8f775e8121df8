"""What the station notices of the PLC's side, told once when it begins and once when it ends: link, heartbeat, enable, other writers.

A lost link and a heartbeat that stands still are different things: a cable or a switch, or a PLC whose program does not run while
its network still answers. Not thread-safe: only the PLC thread calls, and the panel is guarded by the desk's lock, which it holds.
"""

from dataclasses import dataclass

from inspector.clock import NS_PER_MS
from inspector.errors import ForeignWriterError, HeartbeatError, PlcError
from inspector.open_part import Note
from inspector.panel import FOREIGN_WRITER, HEARTBEAT, LINK, Panel
from inspector.part import Reason
from inspector.service.tally import Tally


@dataclass(slots=True)
class _Outage:
    """Since when something is missing, and how many parts had been rejected until then."""

    t_ns: int
    rejects: int


class PlcWatch:
    """Shows faults at the panel; returns what is to be logged."""

    def __init__(self, panel: Panel, tally: Tally) -> None:
        self.link_up = False
        self._panel = panel
        self._tally = tally
        self._link_down: _Outage | None = None
        self._silent: _Outage | None = None
        self._enabled: bool | None = None

    def on_link_up(self, t_ns: int) -> list[Note]:
        """Take note that the PLC answers."""
        self.link_up = True
        self._panel.well(LINK)
        outage, self._link_down = self._link_down, None
        down = {"down_ms": round((t_ns - outage.t_ns) / NS_PER_MS)} if outage else {}
        return [Note("link_up", {**down})]

    def on_link_down(self, why: str, t_ns: int) -> list[Note]:
        """Take note that the PLC does not answer, or still not."""
        self.link_up = False
        self._panel.fault(LINK, why, PlcError.code)
        if self._link_down is not None:
            return []
        self._link_down = _Outage(t_ns, 0)
        return [Note("link_down", {"code": PlcError.code, "why": why})]

    def on_heartbeat(self, *, beats: bool, still_ms: float, t_ns: int) -> list[Note]:
        """Take note that the PLC's heartbeat has stopped, or goes on."""
        rejects = self._tally.totals().rejected[Reason.NOT_READY]
        fields: dict[str, int | str] = {"still_ms": round(still_ms)}
        if not beats:
            self._panel.fault(HEARTBEAT, HeartbeatError.code)
            self._silent = _Outage(t_ns, rejects)
            why = "the PLC answers, but its heartbeat stands still: see that its program runs; parts are rejected meanwhile"
            fields |= {"code": HeartbeatError.code, "why": why}
            return [Note("heartbeat_lost", fields)]
        self._panel.well(HEARTBEAT)
        outage, self._silent = self._silent, None
        fields |= {"rejected": rejects - outage.rejects} if outage else {}
        return [Note("heartbeat_back", fields)]

    def on_foreign_writer(self, *, present: bool) -> list[Note]:
        """Take note that somebody else writes our blocks, or no longer does."""
        if not present:
            self._panel.well(FOREIGN_WRITER)
            return [Note("foreign_writer_gone")]
        self._panel.fault(FOREIGN_WRITER, ForeignWriterError.code)
        why = (
            "what stands in our status block or result slots is not what we wrote: another station has addresses of ours; give "
            "each its own plc.registers; parts are rejected meanwhile"
        )
        return [Note("foreign_writer", {"code": ForeignWriterError.code, "why": why})]

    def on_enable(self, *, enable: bool) -> list[Note]:
        """Take the PLC's enable at this read."""
        before, self._enabled = self._enabled, enable
        if before is None or before == enable:
            return []
        return [Note("plc_enabled" if enable else "plc_disabled")]
