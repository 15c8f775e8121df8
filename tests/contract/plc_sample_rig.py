"""The PLC sample code as blocks that a test scans, interpreted or compiled."""

from pathlib import Path

from inspector.part import Outcome
from inspector.plc import registers
from inspector.plc.registers import RegisterMap, State
from tests.contract.matiec import Compiled
from tests.contract.structured_text import Interpreted, Scanned

FOLDER = Path(__file__).parents[2] / "config" / "plc"
SOURCE = "\n".join((FOLDER / name).read_text() for name in ("inspector.st", "line.st", "exchange.st"))
MAP = RegisterMap()
HEARTBEAT, STATE = MAP.status_address, MAP.status_address + 1
CONTROL = {field.name: MAP.control_address + field.offset for field in registers.CONTROL}
GOOD_STATE = State.ONLINE | State.READY
NO_VERDICT = 65535
GATE_SCANS = 10  # 200 counts in steps of 20
PASS, REJECT = Outcome.PASS, Outcome.REJECT


class Bench:
    """Makes blocks of one kind: interpreted or compiled."""

    def __init__(self, library: object) -> None:
        self._library = library

    def make(self, name: str = "INSPECTOR") -> Scanned:
        """Return a new block."""
        if self._library is None:
            return Interpreted(SOURCE, name)
        return Compiled(self._library, name)  # type: ignore[arg-type]
