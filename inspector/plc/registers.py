"""The register map, once, as data: the addresses, the encoders and decoders are here, the table for people (`register_table.py`) comes of it.

Three blocks of 16-bit holding registers. Addresses are those on the wire, from 0: address 0 is 40001 in Modicon's notation, 300 is
40301. As the client Inspector reads with function 3 and writes with function 16.

- **results**, written by Inspector: slots of eight words. The verdict of part p stands in slot p % slots, in one write.
- **status**, written by Inspector with its heartbeat.
- **control**, written by the PLC and read by Inspector.

Where Inspector is the server (`plc.role: server`) it holds these blocks itself, and two more with the signals that users of
smart cameras know: **vision control**, written by the PLC, and **vision status**.

The release rule of the PLC, when its part p is at the gate: look into slot p % slots; release only if both part ids equal
p and the verdict word is PASS (0x5A5A). The PLC clears that slot itself when it counts part p, before the camera is
triggered, so that nothing older than the part can release it. In the server role Inspector clears it, before it acknowledges the
write that counts part p; the PLC believes what it reads from then on.

After part 65535 comes part 1. There a slot is needed again after 65535 % slots parts, 15 of 16: by then the gate must have looked.
If it has not, the part finds its slot cleared, or another part's id in it, and is rejected; nothing stale can release it.

A change of product: write `recipe_request`, and let no part of it pass the camera before `active_recipe` is that number and READY is
set; `model_hash` tells whether it is the model you expect. Parts counted in between are rejected (NOT_READY), also those counted so shortly
before the request that Inspector read both at once. Parts counted earlier are decided by their own recipe. Leave the request as it is
until it is confirmed. A number that no recipe has is refused: `active_recipe` is 0, `error_code` 603, until you ask for another, or 0.
After a restart Inspector goes on with the recipe that was asked for last. Where it cannot tell which (607), it waits for a number above 0.

32-bit counters and the model hash take two words, the high word first unless the map says `low_first`.
"""

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from inspector.part import Outcome, Verdict

WordOrder = Literal["high_first", "low_first"]
WORD_MAX = 0xFFFF


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a block: its first word's offset, its width in words, and what it means."""

    name: str
    offset: int
    words: int
    meaning: str


RESULT_SLOT = (
    Field("part_id", 0, 1, "part this slot speaks of, 1..65535; 0 = none"),
    Field("verdict", 1, 1, "0x5A5A PASS, 0xA5A5 REJECT; anything else is no verdict"),
    Field("reason", 2, 1, "why: see the reasons"),
    Field("relative_score", 3, 1, "score / threshold x 1000, at most 65534; 65535 = no score"),
    Field("latency", 4, 1, "trigger to decision in 0.1 ms, at most 65535"),
    Field("recipe", 5, 1, "recipe that decided; 0 = none was active"),
    Field("flags", 6, 1, "bit 0 simulated; bit 1 challenge part"),
    Field("part_id_again", 7, 1, "the part id once more: differs from the first word in a torn read"),
)
SLOT_WORDS = 8

STATUS = (
    Field("heartbeat", 0, 1, "counts up with every write of this block"),
    Field("state", 1, 1, "bits: see the states"),
    Field("error_code", 2, 1, "0 = none; else the oldest present fault: 303 is CAM-003"),
    Field("active_recipe", 3, 1, "recipe that decides the parts counted now; 0 = none, they are rejected"),
    Field("parts", 4, 2, "parts with a verdict"),
    Field("rejects", 6, 2, "of these, rejected"),
    Field("late", 8, 2, "of these, rejected with reason LATE"),
    Field("lost", 10, 2, "of these, rejected with reason FRAME_LOST"),
    Field("model_hash", 12, 2, "of the active recipe's model: the first 32 bits of its SHA-256; 0 = none"),
)
STATUS_WORDS = 14

CONTROL = (
    Field("enable", 0, 1, "1 = inspect; 0 = every part is rejected with reason NOT_READY"),
    Field(
        "clear_fault",
        1,
        1,
        "rising to 1, held until a read has seen it (plc.poll_ms; 100 ms is plenty): forget what is latched; what is still there latches again",
    ),
    Field(
        "challenge_mode",
        2,
        1,
        "rising to 1: a challenge begins, let its parts come when the state says so; while 1 only its good parts are released",
    ),
    Field(
        "recipe_request",
        3,
        1,
        "recipe wanted; 0 = go on with the one that is. Parts are rejected (NOT_READY) until active_recipe says it and READY is set",
    ),
    Field("part_count", 4, 1, "id of the last part counted, 1..65535, round again to 1; 0 = none yet"),
    Field("plc_heartbeat", 5, 1, "changes at least once a second"),
    Field("bin_full", 6, 1, "0 = there is room for rejected parts; anything else asks for a line stop"),
    Field(
        "unconfirmed_rejects",
        7,
        1,
        "counts up with each reject that no sensor confirmed; a change asks for a line stop",
    ),
)
CONTROL_WORDS = 8

VISION_CONTROL = (Field("signals", 0, 1, "bits: see the vision control signals; also coils 0 to 15"),)
VISION_CONTROL_WORDS = 1

VISION_STATUS = (
    Field("signals", 0, 1, "bits: see the vision status signals; also discrete inputs 0 to 15"),
    Field("acknowledged_part", 1, 1, "part_count as Inspector took it: this part's slot is cleared"),
    Field("result_part", 2, 1, "part whose verdict waits to be acknowledged; look into its slot. 0 = none"),
    Field("results_waiting", 3, 1, "verdicts not acknowledged, this one included"),
    Field(
        "results_lost",
        4,
        1,
        "verdicts that found the queue full, at most 65535; each stands in its slot all the same",
    ),
)
VISION_STATUS_WORDS = 5


class State(enum.IntFlag):
    """Bits of the status word `state`."""

    ONLINE = 1 << 0  # the station runs and reaches the PLC
    READY = 1 << 1  # camera, engine and model are ready and the line is synchronised: parts can pass
    BUSY = 1 << 2  # at least one part waits for its verdict
    FAULT = 1 << 3  # something needs a person; see error_code
    SIMULATED = 1 << 4  # camera or engine are simulated
    LINE_STOP = 1 << 5  # Inspector asks the PLC to stop the line; latched until clear_fault rises
    CHALLENGE_DUE = 1 << 6  # a challenge should be run
    CHALLENGE = 1 << 7  # a challenge runs: the next part counted is one of its parts


class Flag(enum.IntFlag):
    """Bits of the results word `flags`."""

    SIMULATED = 1 << 0
    CHALLENGE = 1 << 1


class VisionControl(enum.IntFlag):
    """Signals that the PLC sets in the server role, with the meaning they have in smart cameras."""

    TRIGGER_ENABLE = 1 << 0
    TRIGGER = 1 << 1
    BUFFER_RESULTS_ENABLE = 1 << 2
    RESULTS_ACK = 1 << 3
    CLEAR_ERROR = 1 << 4


class VisionStatus(enum.IntFlag):
    """Signals that Inspector sets in the server role, with the meaning they have in smart cameras."""

    ONLINE = 1 << 0
    TRIGGER_READY = 1 << 1
    TRIGGER_ACK = 1 << 2
    BUSY = 1 << 3
    RESULTS_VALID = 1 << 4
    RESULTS_OVERRUN = 1 << 5
    ERROR = 1 << 6


@dataclass(frozen=True, slots=True)
class RegisterMap:
    """Where the blocks stand in the holding registers (zero-based addresses)."""

    results_address: int = 0
    status_address: int = 200
    control_address: int = 300
    slots: int = 16
    word_order: WordOrder = "high_first"
    vision_control_address: int = 310  # these two in the server role only
    vision_status_address: int = 320

    def slot_address(self, part_id: int) -> int:
        """Return the address of the first word of part `part_id`'s slot."""
        return self.results_address + part_id % self.slots * SLOT_WORDS

    def blocks(self) -> dict[str, range]:
        """Return each block's addresses by name."""
        return {
            "results": range(self.results_address, self.results_address + self.slots * SLOT_WORDS),
            "status": range(self.status_address, self.status_address + STATUS_WORDS),
            "control": range(self.control_address, self.control_address + CONTROL_WORDS),
        }

    def server_blocks(self) -> dict[str, range]:
        """Return the addresses of the server role's blocks by name: those two more."""
        control, status = self.vision_control_address, self.vision_status_address
        return self.blocks() | {
            "vision control": range(control, control + VISION_CONTROL_WORDS),
            "vision status": range(status, status + VISION_STATUS_WORDS),
        }

    def problems(self, *, server: bool = False) -> list[str]:
        """Return one line for each pair of blocks that overlap and each block that leaves the address space."""
        found = []
        blocks = list((self.server_blocks() if server else self.blocks()).items())
        for i, (name, words) in enumerate(blocks):
            if words.stop > WORD_MAX + 1 or words.start < 0:
                found.append(f"{name} block: addresses {words.start}..{words.stop - 1} leave 0..{WORD_MAX}")
            for other, other_words in blocks[i + 1 :]:
                if words.start < other_words.stop and other_words.start < words.stop:
                    found.append(
                        f"{name} block {words.start}..{words.stop - 1} overlaps the "
                        f"{other} block {other_words.start}..{other_words.stop - 1}"
                    )
        return found


@dataclass(frozen=True, slots=True)
class Control:
    """The control block as the PLC left it."""

    enable: bool = False
    clear_fault: bool = False
    challenge_mode: bool = False
    recipe_request: int = 0
    part_count: int = 0
    plc_heartbeat: int = 0
    bin_full: bool = False
    unconfirmed_rejects: int = 0


@dataclass(frozen=True, slots=True)
class Status:
    """The status block as Inspector writes it."""

    heartbeat: int
    state: State
    error_code: int
    active_recipe: int
    parts: int
    rejects: int
    late: int
    lost: int
    model_hash: int = 0


def encode_result(verdict: Verdict, flags: Flag) -> list[int]:
    """Return the eight words of the part's slot. A score that is not a number becomes 65535, never a small one."""
    relative = verdict.finding.relative_score
    return [
        verdict.part_id,
        verdict.outcome,
        verdict.reason,
        _saturated(relative * 1000, WORD_MAX - 1) if math.isfinite(relative) else WORD_MAX,
        _saturated((verdict.t_decided_ns - verdict.t_trigger_ns) / 100_000, WORD_MAX),
        verdict.deciding.recipe,
        flags if verdict.expected is None else flags | Flag.CHALLENGE,
        verdict.part_id,
    ]


def releases(words: Sequence[int], part_id: int) -> bool:
    """Return the release rule's answer: whether these eight words are a PASS of that very part."""
    return part_id != 0 and words[0] == part_id == words[7] and words[1] == Outcome.PASS


def decode_result(words: Sequence[int]) -> dict[str, int]:
    """Return the words of a slot by field name, as they stand."""
    return {field.name: words[field.offset] for field in RESULT_SLOT}


def encode_status(status: Status, word_order: WordOrder = "high_first") -> list[int]:
    """Return the words of the status block; counters wrap at 32 bits."""
    return _encode(STATUS, {f.name: int(getattr(status, f.name)) for f in STATUS}, word_order)


def decode_status(words: Sequence[int], word_order: WordOrder = "high_first") -> Status:
    """Return the status block that the words hold."""
    values = _decode(STATUS, words, word_order)
    return Status(**{**values, "state": State(values["state"])})  # type: ignore[arg-type]  # names are the fields'


def encode_control(control: Control, word_order: WordOrder = "high_first") -> list[int]:
    """Return the eight words of the control block (what a PLC, or its twin, writes)."""
    return _encode(CONTROL, {f.name: int(getattr(control, f.name)) for f in CONTROL}, word_order)


def decode_control(words: Sequence[int], word_order: WordOrder = "high_first") -> Control:
    """Return the control block that the words hold. `enable` and its like are true only for exactly 1, `bin_full` unless 0."""
    v = _decode(CONTROL, words, word_order)
    return Control(
        enable=v["enable"] == 1,
        clear_fault=v["clear_fault"] == 1,
        challenge_mode=v["challenge_mode"] == 1,
        recipe_request=v["recipe_request"],
        part_count=v["part_count"],
        plc_heartbeat=v["plc_heartbeat"],
        bin_full=v["bin_full"] != 0,
        unconfirmed_rejects=v["unconfirmed_rejects"],
    )


def _saturated(value: float, most: int) -> int:
    return max(0, min(most, round(value)))


def _encode(fields: Sequence[Field], values: Mapping[str, int], word_order: WordOrder) -> list[int]:
    words: list[int] = []
    for field in fields:
        value = values[field.name] & ((1 << 16 * field.words) - 1)
        parts = [value >> 16 * i & WORD_MAX for i in range(field.words)]
        words += parts if word_order == "low_first" else parts[::-1]
    return words


def _decode(fields: Sequence[Field], words: Sequence[int], word_order: WordOrder) -> dict[str, int]:
    values = {}
    for field in fields:
        parts = list(words[field.offset : field.offset + field.words])
        if word_order == "high_first":
            parts.reverse()
        values[field.name] = sum(word << 16 * i for i, word in enumerate(parts))
    return values
