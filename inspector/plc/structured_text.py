"""The register map as constants of the PLC sample code, IEC 61131-3 Structured Text.

`config/plc/inspector.st` is written by hand but for one section between two marker lines, which comes from here: so the
map of the sample is that of the station. A section inside the block, since that is what every vendor's editor takes.
"""

from inspector.part import PART_ID_MAX, Outcome, Reason
from inspector.plc.registers import CONTROL, RESULT_SLOT, SLOT_WORDS, STATUS, RegisterMap, State

BEGIN = "(* The register map, generated from plc/registers.py: begin *)"
END = "(* The register map: end *)"


def constants(register_map: RegisterMap) -> str:
    """Return the section, from its first marker line to its last: the register array's bounds, addresses, words, codes."""
    blocks = register_map.blocks().values()
    first, last = min(block.start for block in blocks), max(block.stop for block in blocks) - 1
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
    lines = [BEGIN, "VAR_IN_OUT"]
    lines += [
        f"    registers : ARRAY [{first}..{last}] OF UINT; (* the holding registers; index = address *)"
    ]
    lines += ["END_VAR", "VAR CONSTANT"]
    for section in sections:
        lines += [_constant(name, "UINT", str(value), meaning) for name, value, meaning in section]
    lines += [_constant(f"VERDICT_{outcome.name}", "UINT", f"16#{outcome:04X}", "") for outcome in Outcome]
    lines += [_constant(f"STATE_{state.name}", "WORD", f"16#{state:04X}", "") for state in State]
    return "\n".join([*lines, "END_VAR", END])


def with_constants(source: str, register_map: RegisterMap) -> str:
    """Return the sample's source with the section of this map. Raises ValueError where it has not just one such section."""
    before, begin, rest = source.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in after:
        raise ValueError(f"expected the source to hold one section from {BEGIN!r} to {END!r}")
    return before + constants(register_map) + after


def _constant(name: str, kind: str, value: str, meaning: str) -> str:
    line = f"    {name} : {kind} := {value};"
    return f"{line} (* {meaning} *)" if meaning else line
