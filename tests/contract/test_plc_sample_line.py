"""The example line around the PLC sample code opens its gate for good parts, and for no others."""

import random
from collections import Counter

import pytest

from inspector.part import Reason
from inspector.plc.registers import State
from tests.contract.plc_sample_rig import CONTROL, GATE_SCANS, GOOD_STATE, HEARTBEAT, MAP, PASS, REJECT, Bench
from tests.contract.structured_text import Scanned


class Belt:
    """A belt with parts, its encoder, and an Inspector that answers at once or not at all."""

    def __init__(self, line: Scanned, start: int = 0) -> None:
        self.line, self.position = line, start
        self.opened: list[int] = []  # the part at the gate whenever it was open

    def run(self, counts: int, step: int = 20) -> None:
        """Let the belt move on, without parts."""
        for _ in range(counts // step):
            self._scan(step, sensor=0)

    def part(self, verdict: int | None) -> int:
        """Let a part reach the sensor; Inspector writes its verdict. Return the part's id."""
        self._scan(20, sensor=1)
        part = self.line.read(CONTROL["part_count"])
        if verdict is not None:
            reason = Reason.NONE if verdict == PASS else Reason.SCORE
            self.line.write(MAP.slot_address(part), [part, verdict, reason, 500, 123, 1, 0, part])
        return part

    def _scan(self, step: int, sensor: int) -> None:
        self.position = (self.position + step) % (1 << 32)
        self.line.scan(camera_sensor=sensor, position=self.position, enable_switch=1)
        if self.line.get("gate_open"):
            self.opened.append(self.line.get("gate_part"))


@pytest.mark.parametrize("start", [0, (1 << 32) - 5000])
def test_the_example_line_opens_its_gate_for_good_parts_at_their_place(bench: Bench, start: int) -> None:
    belt = Belt(bench.make("LINE"), start)
    rng = random.Random(4)
    good, triggered = set(), {}
    for _ in range(60):
        verdict = rng.choice([PASS, PASS, PASS, REJECT, None])
        part = belt.part(verdict)
        triggered[part] = belt.position
        if verdict == PASS:
            good.add(part)
        belt.run(rng.randrange(220, 1200, 20))
    belt.run(4000)
    assert len(triggered) == 60
    assert set(belt.opened) == good
    assert set(Counter(belt.opened).values()) == {GATE_SCANS}


@pytest.mark.parametrize("spacing", [40, 120, 140])
def test_too_many_parts_on_the_belt_are_rejected_and_the_next_ones_are_not(
    bench: Bench, spacing: int
) -> None:
    """Sixteen slots hold no more: 17, 20 or 60 parts at once are too many; no pause is needed to go on."""
    belt = Belt(bench.make("LINE"))
    good = set()
    for n in range(60):
        if n % 2:
            good.add(belt.part(PASS))
        else:
            belt.part(REJECT)
        belt.run(spacing - 20)
    later = []
    for _ in range(30):
        later.append(belt.part(PASS))
        belt.run(280)
    belt.run(4000)
    assert set(belt.opened) <= good | set(later)
    assert set(later[-15:]) <= set(belt.opened)
    assert max(Counter(belt.opened).values()) <= GATE_SCANS


@pytest.mark.parametrize("first_id", [1, 65521])  # 65521 and, fifteen parts later, 1 have the same slot
def test_one_part_too_many_leaves_the_part_at_the_gate_alone(bench: Bench, first_id: int) -> None:
    line = bench.make("LINE")
    belt = Belt(line)
    line.put("station.part_id", first_id - 1)
    first = belt.part(PASS)
    for _ in range(13):
        belt.run(160)
        belt.part(PASS)
    belt.run(80)
    assert belt.opened[-1] == first == first_id
    for _ in range(3):
        belt.run(20)
        belt.part(PASS)
    belt.run(4000)
    assert belt.opened == [first] * GATE_SCANS


def test_the_belt_runs_while_inspector_is_there_and_asks_for_no_stop(bench: Bench) -> None:
    line = bench.make("LINE")
    runs = []
    for beat, state in (
        (1, GOOD_STATE),
        (2, GOOD_STATE),
        (3, GOOD_STATE | State.LINE_STOP),
        (4, GOOD_STATE),
        (4, GOOD_STATE),
    ):
        line.write(HEARTBEAT, [beat, state])
        line.scan(ms=10)
        line.scan(ms=1500 if beat == 4 else 10)
        runs.append(line.get("belt_runs"))
    line.scan(ms=10)
    assert runs == [0, 1, 0, 1, 0]
