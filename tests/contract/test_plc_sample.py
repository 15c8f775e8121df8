"""The PLC sample code does what the registers promise: interpreted everywhere, compiled where matiec's iec2c is installed."""

import random

import pytest

from inspector.part import PART_ID_MAX
from inspector.plc import registers
from inspector.plc.registers import SLOT_WORDS, Control, RegisterMap, State
from inspector.plc.structured_text import BEGIN, END, constants, exchange_constants, with_constants
from tests.contract.plc_sample_rig import (
    CONTROL,
    FOLDER,
    GOOD_STATE,
    HEARTBEAT,
    MAP,
    NO_VERDICT,
    PASS,
    REJECT,
    Bench,
)
from tests.contract.structured_text import Scanned
from tools.linesim.plc import Plc

# What stands in the slot, the part at the gate, and whether it may pass. The one table for every release rule we have.
VECTORS = [
    ([7, PASS, 0, 500, 123, 1, 0, 7], 7, True),
    ([65535, PASS, 0, 0, 0, 1, 0, 65535], 65535, True),
    ([1, PASS, 0, 65535, 65535, 65535, 3, 1], 1, True),
    ([16, PASS, 0, 500, 123, 1, 0, 16], 16, True),
    ([7, REJECT, 1, 1500, 123, 1, 0, 7], 7, False),
    ([23, PASS, 0, 500, 123, 1, 0, 23], 7, False),  # the part that has the slot next
    ([7, PASS, 0, 500, 123, 1, 0, 7], 23, False),  # the part that had it before
    ([7, PASS, 0, 500, 123, 1, 0, 23], 7, False),  # torn
    ([23, PASS, 0, 500, 123, 1, 0, 7], 7, False),
    ([7, PASS, 0, 500, 123, 1, 0, 0], 7, False),  # not yet whole
    ([0, PASS, 0, 500, 123, 1, 0, 7], 7, False),
    ([7, 0, 0, 500, 123, 1, 0, 7], 7, False),  # no verdict
    ([7, 1, 0, 500, 123, 1, 0, 7], 7, False),
    ([7, 0x5A5B, 0, 500, 123, 1, 0, 7], 7, False),
    ([7, 0x5A00, 0, 500, 123, 1, 0, 7], 7, False),
    ([7, 0xFFFF, 0, 500, 123, 1, 0, 7], 7, False),
    ([7, 0, PASS, 500, 123, 1, 0, 7], 7, False),  # the right word in the wrong place
    ([0] * 8, 7, False),
    ([0xFFFF] * 8, 65535, False),
    ([0, PASS, 0, 0, 0, 0, 0, 0], 0, False),  # no part at the gate
]

# -- the map --------------------------------------------------------------------------------------


def test_the_sample_has_the_stations_map() -> None:
    """Else: write what `with_constants(text, RegisterMap())` of inspector/plc/structured_text.py returns for the file's text."""
    text = (FOLDER / "inspector.st").read_text()
    assert text == with_constants(text, MAP)
    declared = constants(MAP).split("registers : ")[1].split(";")[0]
    assert f"registers : {declared};" in (FOLDER / "line.st").read_text()
    exchange = (FOLDER / "exchange.st").read_text()
    assert exchange == with_constants(exchange, MAP)
    cell = exchange.partition("PROGRAM CELL")[2]
    assert f"registers : {declared};" in cell
    moved = exchange_constants(MAP).split("words : ")[1].split(";")[0]
    assert f"words : {moved};" in cell


def test_a_moved_map_moves_the_constants() -> None:
    text = constants(RegisterMap(1000, 40, 60, 32))
    assert "ARRAY [40..1255] OF UINT" in text
    for line in ("RESULTS : UINT := 1000;", "SLOTS : UINT := 32;", "STATUS_STATE : UINT := 41;"):
        assert line in text
    assert "CONTROL_PLC_HEARTBEAT : UINT := 65;" in text


@pytest.mark.parametrize(("slots", "reads", "words"), [(16, 2, 64), (8, 1, 64), (15, 1, 120), (3, 1, 24)])
def test_the_results_are_read_in_equal_calls_of_at_most_125_words(slots: int, reads: int, words: int) -> None:
    text = exchange_constants(RegisterMap(slots=slots))
    assert f"READS : UINT := {reads};" in text
    assert f"READ_WORDS : UINT := {words};" in text


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_source_without_one_section_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected the source to hold one section"):
        with_constants(text, MAP)


# -- the release rule -----------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "part_id", "passes"), VECTORS)
def test_the_release_rule(bench: Bench, words: list[int], part_id: int, *, passes: bool) -> None:
    assert registers.releases(words, part_id) == passes
    block = bench.make()
    block.write(MAP.slot_address(part_id), words)
    block.scan(gate_part=part_id)
    assert block.get("release") == passes
    said = words[2] if part_id and words[0] == part_id == words[7] else NO_VERDICT if part_id else 0
    assert block.get("reason") == said


@pytest.mark.parametrize("slot", range(MAP.slots))
def test_each_part_has_its_slot(bench: Bench, slot: int) -> None:
    part = 160 + slot
    block = bench.make()
    block.write(MAP.results_address + slot * SLOT_WORDS, [part, PASS, 0, 500, 123, 1, 0, part])
    block.scan(gate_part=part)
    assert block.get("release") == 1


def test_a_verdict_that_comes_when_the_part_is_at_the_gate_is_too_late(bench: Bench) -> None:
    block = bench.make()
    block.scan(gate_part=7)
    block.write(MAP.slot_address(7), [7, PASS, 0, 500, 123, 1, 0, 7])
    block.scan()
    assert (block.get("release"), block.get("reason")) == (0, NO_VERDICT)


def test_a_decision_stands_until_the_part_has_gone(bench: Bench) -> None:
    block = bench.make()
    block.write(MAP.slot_address(7), [7, PASS, 0, 500, 123, 1, 0, 7])
    block.scan(gate_part=7)
    block.write(MAP.slot_address(7), [0] * SLOT_WORDS)
    block.scan()
    assert block.get("release") == 1
    block.scan(gate_part=0)
    assert block.get("release") == 0
    block.scan(gate_part=7)
    assert block.get("release") == 0


def test_a_part_close_behind_a_released_one_is_decided_for_itself(bench: Bench) -> None:
    block = bench.make()
    block.write(MAP.slot_address(7), [7, PASS, 0, 500, 123, 1, 0, 7])
    block.scan(gate_part=7)
    assert block.get("release") == 1
    block.scan(gate_part=8)
    assert (block.get("release"), block.get("reason")) == (0, NO_VERDICT)


# -- the part count -------------------------------------------------------------------------------


def count_part(block: Scanned) -> int:
    """Let a part pass the sensor, in two scans there and two away; return how many triggers there were."""
    triggers = 0
    for there in (1, 1, 0, 0):
        block.scan(part_at_camera=there)
        triggers += block.get("trigger")
    return triggers


def test_each_part_is_counted_once_and_triggers_once(bench: Bench) -> None:
    block = bench.make()
    block.scan()
    assert block.read(CONTROL["part_count"]) == 0
    for part in (1, 2, 3):
        assert count_part(block) == 1
        assert block.get("part_id") == block.read(CONTROL["part_count"]) == part


def test_after_the_last_id_comes_one_and_never_zero(bench: Bench) -> None:
    block = bench.make()
    block.scan(part_id=PART_ID_MAX - 1)
    ids = []
    for _ in range(3):
        count_part(block)
        ids.append(block.read(CONTROL["part_count"]))
    assert ids == [PART_ID_MAX, 1, 2]


def test_counting_clears_the_parts_slot_and_no_other(bench: Bench) -> None:
    block = bench.make()
    size = MAP.slots * SLOT_WORDS
    for part in (1, 15, 16, PART_ID_MAX):
        block.write(MAP.results_address, [PASS] * size)
        block.scan(part_id=part - 1)
        count_part(block)
        left = [block.read(MAP.results_address + n) for n in range(size)]
        first = MAP.slot_address(part) - MAP.results_address
        assert left[first : first + SLOT_WORDS] == [0] * SLOT_WORDS
        assert left.count(0) == SLOT_WORDS


def test_the_simulated_plc_counts_as_the_sample_does(bench: Bench) -> None:
    plc, block = Plc(MAP, "127.0.0.1", 0), bench.make()
    words = [part % 16 for part in range(MAP.slots * SLOT_WORDS)]
    for part in (*range(1, 35), PART_ID_MAX - 1, PART_ID_MAX, 1, 2):
        plc.set_control(Control(part_count=part - 1))
        plc._words[MAP.results_address : MAP.results_address + len(words)] = words
        block.put("part_id", part - 1)
        block.write(MAP.results_address, words)
        counted, _ = plc.count_part()
        count_part(block)
        assert (counted, plc.control.part_count) == (part, block.read(CONTROL["part_count"]))
        assert [plc.slot(n) for n in range(16)] == [
            tuple(block.read(MAP.slot_address(n) + i) for i in range(SLOT_WORDS)) for n in range(16)
        ]


def test_an_old_pass_of_the_same_id_releases_nothing(bench: Bench) -> None:
    """Once round all ids: the slot still holds the PASS of 65535 parts ago."""
    block = bench.make()
    block.write(MAP.slot_address(7), [7, PASS, 0, 500, 123, 1, 0, 7])
    block.scan(part_id=6)
    count_part(block)
    block.scan(gate_part=7)
    assert block.get("release") == 0


# -- heartbeats and status ------------------------------------------------------------------------


def test_the_plcs_heartbeat_changes_ten_times_a_second(bench: Bench) -> None:
    block = bench.make()
    block.write(CONTROL["plc_heartbeat"], [65530])
    changes = 0
    for _ in range(3000):
        before = block.read(CONTROL["plc_heartbeat"])
        block.scan(ms=1)
        changes += block.read(CONTROL["plc_heartbeat"]) != before
    assert changes in range(28, 31)
    assert block.read(CONTROL["plc_heartbeat"]) in range(20, 25)  # past 65535


def test_a_line_is_ok_only_while_inspectors_heartbeat_beats(bench: Bench) -> None:
    block = bench.make()
    block.write(HEARTBEAT, [40, GOOD_STATE])
    block.scan()
    assert (block.get("alive"), block.get("line_ok")) == (0, 0)  # it may stand there since yesterday
    for beat in range(41, 60):
        block.write(HEARTBEAT, [beat])
        block.scan(ms=100)
        assert (block.get("alive"), block.get("line_ok")) == (1, 1)
    for _ in range(9):
        block.scan(ms=100)
        assert block.get("alive") == 1
    block.scan(ms=200)
    assert (block.get("alive"), block.get("line_ok")) == (0, 0)
    block.write(HEARTBEAT, [1])
    block.scan(ms=100)
    assert block.get("line_ok") == 1


@pytest.mark.parametrize(
    ("state", "outputs"),
    [
        (GOOD_STATE, {"line_ok"}),
        (GOOD_STATE | State.BUSY, {"line_ok"}),
        (State.READY, set()),
        (State.ONLINE, set()),
        (GOOD_STATE | State.FAULT, {"fault"}),
        (GOOD_STATE | State.SIMULATED, {"line_ok", "simulated"}),
        (GOOD_STATE | State.LINE_STOP, {"line_ok", "line_stop"}),
        (GOOD_STATE | State.CHALLENGE_DUE, {"line_ok", "challenge_due"}),
        (GOOD_STATE | State.CHALLENGE, {"line_ok", "challenge_on"}),
        (State(0), set()),
    ],
)
def test_the_states_bits_come_out_by_name(bench: Bench, state: State, outputs: set[str]) -> None:
    block = bench.make()
    block.scan()
    block.write(HEARTBEAT, [1, state])
    block.scan()
    names = ("line_ok", "fault", "simulated", "line_stop", "challenge_due", "challenge_on")
    assert {name for name in names if block.get(name)} == outputs


def test_what_the_plc_wants_stands_in_the_control_block(bench: Bench) -> None:
    block = bench.make()
    block.scan(enable=True, clear_fault=True, challenge=True, recipe=12)
    first = MAP.control_address
    words = [block.read(first + n) for n in range(registers.CONTROL_WORDS)]
    control = registers.decode_control(words)
    assert (control.enable, control.clear_fault, control.challenge_mode) == (True, True, True)
    assert (control.recipe_request, control.bin_full) == (12, False)
    block.scan(enable=False, clear_fault=False, challenge=False, recipe=0, bin_full=True)
    assert [block.read(first + n) for n in range(4)] == [0, 0, 0, 0]
    assert block.read(CONTROL["bin_full"]) == 1


def test_each_reject_that_no_sensor_saw_is_counted_once(bench: Bench) -> None:
    block = bench.make()
    block.write(CONTROL["unconfirmed_rejects"], [65535])
    for unconfirmed, count in [(0, 65535), (1, 0), (1, 0), (0, 0), (1, 1), (0, 1)]:
        block.scan(reject_unconfirmed=unconfirmed)
        assert block.read(CONTROL["unconfirmed_rejects"]) == count


def test_it_writes_nothing_that_is_inspectors(bench: Bench) -> None:
    block = bench.make()
    mine = list(range(1, 1 + registers.STATUS_WORDS))
    block.write(MAP.status_address, mine)
    count_part(block)
    block.scan(gate_part=1)
    assert [block.read(MAP.status_address + n) for n in range(registers.STATUS_WORDS)] == mine


# -- both ways of running it ----------------------------------------------------------------------


def test_interpreter_and_compiler_agree_on_anything(compiled: object) -> None:
    if compiled is None:
        pytest.skip("no iec2c (matiec) with its library on this machine: nothing to compare with")
    one, other = Bench(None).make(), Bench(compiled).make()
    rng = random.Random(9)
    inputs = {
        "part_at_camera": 2,
        "enable": 2,
        "clear_fault": 2,
        "challenge": 2,
        "bin_full": 2,
        "reject_unconfirmed": 2,
        "gate_part": 20,
        "recipe": 99,
    }
    outputs = (
        "trigger",
        "part_id",
        "release",
        "reason",
        "line_ok",
        "alive",
        "fault",
        "line_stop",
        "simulated",
        "challenge_on",
    )
    for _ in range(1500):
        part = rng.randrange(20)
        words = [part, rng.choice([PASS, PASS, REJECT]), 0, 0, 0, 0, 0, rng.choice([part, part, 3])]
        given = {name: rng.randrange(n) for name, n in inputs.items() if rng.random() < 0.3}
        ms, beat, state = rng.choice([1, 50, 400]), rng.randrange(3), rng.randrange(256)
        for block in (one, other):
            block.write(MAP.slot_address(part), words)
            block.write(HEARTBEAT, [beat, state])
            block.scan(ms, **given)
        assert [one.get(name) for name in outputs] == [other.get(name) for name in outputs]
        addresses = range(MAP.blocks()["control"].stop)
        assert [one.read(n) for n in addresses] == [other.read(n) for n in addresses]
