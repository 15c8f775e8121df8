"""The register map for people: what `config/registers.md` says, made from `registers.py` so that it can say nothing else.

python -m inspector.plc.register_table > config/registers.md
"""

import inspect
import sys
from collections.abc import Iterator

from inspector.errors import InspectorError, error_number
from inspector.part import Reason
from inspector.plc import registers
from inspector.plc.registers import (
    CONTROL,
    RESULT_SLOT,
    SLOT_WORDS,
    STATUS,
    VISION_CONTROL,
    VISION_STATUS,
    RegisterMap,
    State,
    VisionControl,
    VisionStatus,
)

CONTROL_SIGNALS = {
    VisionControl.TRIGGER_ENABLE: "TRIGGER is heeded",
    VisionControl.TRIGGER: "rising: part_count has counted a part; held until TRIGGER_ACK",
    VisionControl.BUFFER_RESULTS_ENABLE: "verdicts queue until acknowledged; 0: only the newest waits",
    VisionControl.RESULTS_ACK: "rising: the verdict of result_part was taken; held until RESULTS_VALID falls",
    VisionControl.CLEAR_ERROR: "rising: forget a TRIGGER that was not heeded",
}
STATUS_SIGNALS = {
    VisionStatus.ONLINE: "the station runs",
    VisionStatus.TRIGGER_READY: "enabled, parts can pass, and no TRIGGER waits to be taken back",
    VisionStatus.TRIGGER_ACK: "TRIGGER was taken, see acknowledged_part; falls with it",
    VisionStatus.BUSY: "at least one part waits for its verdict",
    VisionStatus.RESULTS_VALID: "the verdict of result_part waits; falls with RESULTS_ACK",
    VisionStatus.RESULTS_OVERRUN: "a verdict found the queue full; falls when the next one finds room",
    VisionStatus.ERROR: "the station has a fault, or a TRIGGER came while not TRIGGER_READY",
}
PROGRAM = """
The PLC's program in the server role, each cycle (the shorter, the more of the budget is left: 5 to 20 ms):

1. write the whole control block in one write (function 16), count and heartbeat among it, and wait for the answer;
2. when the sensor sees a part, count it, then trigger the camera: the next write shows it;
3. read the slots of the parts under way, but believe a slot only in a read that was sent after the answer to the write that
   counted its part; at the gate, release by the release rule;
4. read the status: a heartbeat that stands still for a second is a station that is gone.

TRIGGER, TRIGGER_ACK, RESULTS_VALID and RESULTS_ACK may be left alone. Who uses them lowers his signal when he sees the other side's.
plc/exchange.st does all of this in Structured Text, beside plc/inspector.st, which is the same in both roles.
"""


def markdown(register_map: RegisterMap) -> str:
    """Return the register table for people, `config/registers.md`."""
    lines = ["# Registers", "", *(registers.__doc__ or "").strip().splitlines()[2:], ""]
    sections = (
        (
            "Results",
            register_map.results_address,
            RESULT_SLOT,
            f"{register_map.slots} slots of {SLOT_WORDS} words.",
        ),
        ("Status", register_map.status_address, STATUS, "Written by Inspector."),
        ("Control", register_map.control_address, CONTROL, "Written by the PLC."),
        (
            "Vision control",
            register_map.vision_control_address,
            VISION_CONTROL,
            "Server role only. Written by the PLC.",
        ),
        (
            "Vision status",
            register_map.vision_status_address,
            VISION_STATUS,
            "Server role only. Written by Inspector.",
        ),
    )
    for title, base, fields, note in sections:
        lines += [f"## {title}, from address {base}", "", note, "", "| address | words | name | meaning |"]
        lines += ["| --- | --- | --- | --- |"]
        lines += [f"| {base + f.offset} | {f.words} | {f.name} | {f.meaning} |" for f in fields]
        lines += [""]
    lines += ["## Reasons", "", "| code | reason |", "| --- | --- |"]
    lines += [f"| {r.value} | {r.name} |" for r in Reason]
    lines += ["", "## States", "", "| bit | state |", "| --- | --- |"]
    lines += [f"| {s.bit_length() - 1} | {s.name} |" for s in State]
    for title, signals in (("control", CONTROL_SIGNALS), ("status", STATUS_SIGNALS)):
        lines += ["", f"## Vision {title} signals", "", "| bit | signal | meaning |", "| --- | --- | --- |"]
        lines += [f"| {s.bit_length() - 1} | {s.name} | {meaning} |" for s, meaning in signals.items()]
    lines += ["", "## Error codes", "", "| error_code | in the log | meaning |", "| --- | --- | --- |"]
    lines += [
        f"| {error_number(error.code)} | {error.code} | {_first_line(error)} |"
        for error in _errors(InspectorError)
    ]
    lines += ["", "## Inspector as the server", "", *PROGRAM.strip().splitlines()]
    return "\n".join(lines) + "\n"


def _errors(root: type[InspectorError]) -> Iterator[type[InspectorError]]:
    """Yield the errors below `root` that have a number of their own, by their number."""
    below = [root]
    for error in below:
        below += error.__subclasses__()
    numbered = (error for error in below if error is not root and error.__module__ == root.__module__)
    yield from sorted(numbered, key=lambda error: error_number(error.code))


def _first_line(error: type[InspectorError]) -> str:
    return " ".join((inspect.getdoc(error) or "").split("\n\n")[0].split())


if __name__ == "__main__":
    sys.stdout.write(markdown(RegisterMap()))
