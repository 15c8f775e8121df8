"""Shows a rehearsal while it runs: a live table in a terminal, a line every few seconds elsewhere."""

import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from inspector.plc.registers import State

QUIET_S = 5.0
Event = dict[str, Any]


class Display:
    """Takes linesim's events. A context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = (
            Live(console=console, refresh_per_second=5, transient=True) if console.is_terminal else None
        )
        self._t_said = 0.0
        self._running = False

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, event: Event) -> None:
        """Show one event."""
        match event["event"]:
            case "waiting":
                self._say("The station starts.")
            case "said":
                self._say(f"The station says: {event['words']}")
            case "ready":
                self._running = True
                self._say("The station is ready: the line runs.")
            case "fault":
                in_log = f" (part_id {event['part_id']})" if event.get("part_id") else ""
                do = str(event["do"]).removeprefix("say ")
                self._say(f"Fault before part {event['at_part']}{in_log}: {do}")
            case "link_lost" if self._running:
                self._say("The PLC has no connection.")
            case "plc_back":
                self._say("The PLC is back.")
            case "restarted":
                self._say("The station died and is started again.")
            case "result":
                self._running = False
            case "progress" if self._running:
                self._progress(event)

    def _progress(self, event: Event) -> None:
        if self._live is not None:
            self._live.update(_table(event))
        elif time.monotonic() - self._t_said >= QUIET_S:
            self._t_said = time.monotonic()
            latency = (
                ""
                if event["p50_ms"] is None
                else f", p50 {event['p50_ms']:.1f} ms, p99 {event['p99_ms']:.1f} ms"
            )
            self._say(
                f"{event['parts']} of {event['planned']} parts: {event['released']} released, "
                f"{sum(event['rejects'].values())} rejected, {event['late']} late{latency}"
            )

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)


def _table(event: Event) -> Table:
    table = Table(title="The line, live", show_header=False, title_justify="left", min_width=60)
    reasons = ", ".join(f"{name} {n}" for name, n in sorted(event["rejects"].items()))
    states = " ".join(str(state.name) for state in State if event["state"] & state)
    rows = {
        "station": states or "silent",
        "parts": f"{event['parts']} of {event['planned']}  ({event['good']} good, {event['bad']} bad)",
        "released": f"{event['released']}  (escapes: {event['released_bad']})",
        "rejected": f"{sum(event['rejects'].values())}  ({reasons or 'none'})",
        "false rejects": str(event["rejected_good"]),
        "late": str(event["late"]),
    }
    if event["p50_ms"] is not None:
        rows["trigger to slot"] = f"p50 {event['p50_ms']:.2f}  p99 {event['p99_ms']:.2f}  ms (last 200 parts)"
    for name, text in rows.items():
        table.add_row(name, text)
    return table
