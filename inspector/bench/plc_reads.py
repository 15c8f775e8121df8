"""How long the configured PLC takes to answer, measured by reads alone: nothing is written, so that no gate moves."""

from inspector.clock import NS_PER_MS, NS_PER_S, SystemClock, sleep_ms
from inspector.config.schema import Config
from inspector.errors import PlcError
from inspector.model.progress import Progress
from inspector.plc.client import PlcConnection
from inspector.plc.link import register_map

READS = 600
SECONDS = 10.0
_TIMEOUT_MS = 1000.0  # longer than the station's own, so that a slow answer is seen instead of an error


def read_times(config: Config, progress: Progress) -> list[float]:
    """Return the milliseconds of READS reads of the control block, or of as many as SECONDS allow, paced as the station reads it.

    Raises PlcError where the PLC does not answer, or is the one that connects.
    """
    plc = config.plc
    if plc.role == "server":
        raise PlcError(
            "expected a PLC that can be asked, but plc.role is server: it asks Inspector; leave out --plc"
        )
    clock, times = SystemClock(), list[float]()
    connection = PlcConnection(
        plc.host, plc.port, unit_id=plc.unit_id, timeout_ms=_TIMEOUT_MS, register_map=register_map(plc)
    )
    try:
        t_end_ns = clock.now_ns() + round(SECONDS * NS_PER_S)
        while len(times) < READS and (not times or clock.now_ns() < t_end_ns):
            t_start_ns = clock.now_ns()
            connection.read_control()
            times.append((clock.now_ns() - t_start_ns) / NS_PER_MS)
            sleep_ms(plc.poll_ms)
            progress("PLC", len(times), READS)
    finally:
        connection.close()
    return times
