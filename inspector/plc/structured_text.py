"""The register map as constants of the PLC sample code, IEC 61131-3 Structured Text.

`config/plc/inspector.st` and `exchange.st` are written by hand but for one section between two marker lines, which comes from
here: so the map of the sample is that of the station. A section inside the block, since that is what every vendor's editor takes.
"""

from inspector.part import PART_ID_MAX, Outcome, Reason
from inspector.plc.registers import (
    CONTROL,
    CONTROL_WORDS,
    RESULT_SLOT,
    SLOT_WORDS,
    STATUS,
    STATUS_WORDS,
    VISION_CONTROL_WORDS,
    VISION_STATUS,
    VISION_STATUS_WORDS,
    RegisterMap,
    State,
    VisionControl,
    VisionStatus,
)

BEGIN = "(* The register map, generated from plc/registers.py: begin *)"
END = "(* The register map: end *)"


READ_WORDS_MAX = 125  # of one call of function 3


def constants(register_map: RegisterMap) -> str:
    """Return the section of INSPECTOR, from its first marker line to its last: the register array's bounds, addresses, words, codes."""
    sections = (
        [
            ("RESULTS", register_map.results_address, "first word of slot 0"),
            ("SLOTS", register_map.slots, "part p has slot p MOD SLOTS"),
            ("SLOT_WORDS", SLOT_WORDS, ""),
            ("PART_ID_MAX", PART_ID_MAX, "after this part comes part 1"),
        ],
        [(f"SLOT_{field.name.upper()}", field.offset, field.meaning) for field in RESULT_SLOT],
        [
            (f"STATUS_{field.name.upper()}", register_map.status_address + field.offset, field.meaning)
            for field in STATUS
        ],
        [
            (f"CONTROL_{field.name.upper()}", register_map.control_address + field.offset, field.meaning)
            for field in CONTROL
        ],
        [(f"REASON_{reason.name}", int(reason), "") for reason in Reason],
    )
    lines = [BEGIN, "VAR_IN_OUT", _registers(register_map), "END_VAR", "VAR CONSTANT"]
    for section in sections:
        lines += [_constant(name, "UINT", str(value), meaning) for name, value, meaning in section]
    lines += [_constant(f"VERDICT_{outcome.name}", "UINT", f"16#{outcome:04X}", "") for outcome in Outcome]
    lines += [_constant(f"STATE_{state.name}", "WORD", f"16#{state:04X}", "") for state in State]
    return "\n".join([*lines, "END_VAR", END])


def exchange_constants(register_map: RegisterMap) -> str:
    """Return the section of EXCHANGE, likewise: what is moved by each call of the PLC's Modbus client, and the signals."""
    # In reads of equal size, since the results may be more than one call takes.
    slots_at_once = max(n for n in range(1, READ_WORDS_MAX // SLOT_WORDS + 1) if register_map.slots % n == 0)
    most = max(slots_at_once * SLOT_WORDS, STATUS_WORDS)
    control = next(field for field in CONTROL if field.name == "part_count")
    clear = next(field for field in CONTROL if field.name == "clear_fault")
    state = next(field for field in STATUS if field.name == "state")
    at = register_map.control_address
    rows = [
        ("RESULTS", register_map.results_address, "first word of slot 0"),
        ("SLOTS", register_map.slots, "part p has slot p MOD SLOTS"),
        ("SLOT_WORDS", SLOT_WORDS, ""),
        ("READS", register_map.slots // slots_at_once, "calls that it takes to read all slots"),
        ("READ_WORDS", slots_at_once * SLOT_WORDS, "of each"),
        ("STATUS", register_map.status_address, ""),
        ("STATUS_WORDS", STATUS_WORDS, ""),
        ("STATUS_STATE", register_map.status_address + state.offset, state.meaning),
        ("CONTROL", at, ""),
        ("CONTROL_WORDS", CONTROL_WORDS, ""),
        ("CONTROL_CLEAR_FAULT", at + clear.offset, ""),
        ("CONTROL_PART_COUNT", at + control.offset, control.meaning),
        ("VISION_CONTROL", register_map.vision_control_address, ""),
        ("VISION_CONTROL_WORDS", VISION_CONTROL_WORDS, ""),
        ("VISION_STATUS", register_map.vision_status_address, ""),
        ("VISION_STATUS_WORDS", VISION_STATUS_WORDS, ""),
        *[(f"VISION_{field.name.upper()}", field.offset, field.meaning) for field in VISION_STATUS],
        *[(f"SET_{signal.name}", int(signal), "") for signal in VisionControl],
    ]
    words = f"    words : ARRAY [0..{most - 1}] OF UINT; (* what a call moves, from the first word on *)"
    lines = [BEGIN, "VAR_IN_OUT", _registers(register_map), words, "END_VAR", "VAR CONSTANT"]
    lines += [_constant(name, "UINT", str(value), meaning) for name, value, meaning in rows]
    lines += [_constant(f"SIGNAL_{signal.name}", "WORD", f"16#{signal:04X}", "") for signal in VisionStatus]
    lines += ["END_VAR", "VAR"]
    lines += [
        f"    unwritten : ARRAY [0..{register_map.slots - 1}] OF UINT; (* slots of parts that the station has not been told of *)"
    ]
    return "\n".join([*lines, "END_VAR", END])


def with_constants(source: str, register_map: RegisterMap) -> str:
    """Return the sample's source with the section of this map. Raises ValueError where it has not just one such section."""
    make = exchange_constants if "FUNCTION_BLOCK EXCHANGE" in source else constants
    before, begin, rest = source.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in after:
        raise ValueError(f"expected the source to hold one section from {BEGIN!r} to {END!r}")
    return before + make(register_map) + after


def _registers(register_map: RegisterMap) -> str:
    """Return the array of all registers that both blocks share."""
    blocks = register_map.blocks().values()
    first, last = min(block.start for block in blocks), max(block.stop for block in blocks) - 1
    return f"    registers : ARRAY [{first}..{last}] OF UINT; (* the holding registers; index = address *)"


def _constant(name: str, kind: str, value: str, meaning: str) -> str:
    line = f"    {name} : {kind} := {value};"
    return f"{line} (* {meaning} *)" if meaning else line
