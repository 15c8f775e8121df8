"""Another product on the line: the PLC asks for its recipe, and lets no part onto the line until the station confirms it."""

import dataclasses
import time
from collections.abc import Awaitable, Callable
from typing import Any

from inspector.plc.registers import State
from tools.linesim.conveyor import InputError
from tools.linesim.plc import Plc

POLL_S = 0.001
HEARD_MS = 250.0  # by then the station has read the request: a refusal before may be that of the one before
CONFIRM_S = 120.0  # opening an engine for a GPU takes long, once
NS_PER_MS = 1e6
REFUSED = 603  # error code of a recipe that the station does not have, as registers.md says: a PLC knows only the number

StoppedWithin = Callable[[float], Awaitable[bool]]  # waits so many seconds; whether the run is to end


class Products:
    """Writes recipe_request, and reads active_recipe and READY."""

    def __init__(self, plc: Plc, tell: Callable[..., None]) -> None:
        self.changes: list[
            dict[str, Any]
        ] = []  # of each change that was waited for: what came of it, and when
        self._plc = plc
        self._tell = tell

    def ask(self, recipe: int) -> None:
        """Ask for it, as a PLC does that does not care who is on the line."""
        self._plc.set_control(dataclasses.replace(self._plc.control, recipe_request=recipe))

    async def change(self, recipe: int, stopped_within: StoppedWithin) -> None:
        """Ask for it, and wait until the station has it and is ready, or refuses it."""
        t_ns, writes = time.monotonic_ns(), self._plc.status_writes
        self.ask(recipe)
        change: dict[str, Any] = {"recipe": recipe, "active_ms": None, "ready_ms": None}
        while change["ready_ms"] is None:
            passed_ms = (time.monotonic_ns() - t_ns) / NS_PER_MS
            status = self._plc.status()
            if passed_ms > HEARD_MS and self._plc.status_writes > writes + 1 and self._refused():
                break
            if change["active_ms"] is None and status.active_recipe == (recipe or status.active_recipe) != 0:
                change["active_ms"] = round(passed_ms, 3)
            if change["active_ms"] is not None and State.READY in status.state:
                change["ready_ms"] = round(passed_ms, 3)
            if passed_ms > CONFIRM_S * 1e3:
                raise InputError(
                    f"expected the station to confirm recipe {recipe} within {CONFIRM_S:g} s, active is "
                    f"{status.active_recipe}, error {status.error_code}: see the station's log"
                )
            if await stopped_within(POLL_S):
                return
        self.changes.append(change)
        self._tell("recipe", **change)

    def _refused(self) -> bool:
        status = self._plc.status()
        return status.active_recipe == 0 and status.error_code == REFUSED
