"""Which side of the Modbus connection Inspector is: `plc.role`. Both sides are the same to the station."""

from collections.abc import Callable

from inspector.clock import Clock
from inspector.config.schema import PlcConfig
from inspector.plc.base import Desk, PlcThread
from inspector.plc.link import PlcLink
from inspector.plc.server_link import ServedLink

ROLES: dict[str, type[PlcLink] | type[ServedLink]] = {"client": PlcLink, "server": ServedLink}


def open_plc(
    config: PlcConfig, timeout_ms: float, desk: Desk, clock: Clock, *, prepare: Callable[[], None]
) -> PlcThread:
    """Return the PLC side that the configuration names; nothing runs yet."""
    return ROLES[config.role](config, timeout_ms, desk, clock, prepare=prepare)
