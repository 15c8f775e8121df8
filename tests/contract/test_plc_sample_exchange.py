"""The PLC sample code of the server role, against the server that the station is: whatever the wire does, only fresh PASSes release."""

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Self

import pytest

from inspector.part import Outcome
from inspector.plc.registers import SLOT_WORDS, State, VisionControl, VisionStatus
from tests.contract.plc_sample_rig import CONTROL, MAP, PASS, SOURCE
from tests.contract.structured_text import Interpreted
from tests.unit.plc.link_rig import FakeDesk, verdict
from tests.unit.plc.served_rig import BareClient, Served, serving

SCANS = 400  # far more than a round takes
COUNTS = (True, MAP.control_address, 8)  # the call that tells the station of new parts


class Cell(Interpreted):
    """The PLC's program, and the vendor's client block behind it: one call at a time, answered by `answer` some scans later."""

    def __init__(self, wire: "Wire", delay: Callable[[], int] = lambda: 0) -> None:
        super().__init__(SOURCE, "CELL")
        self.wire, self._delay = wire, delay
        self._left: int | None = None  # scans until the call is answered
        self._answer: list[int] | None = []
        self.calls: list[tuple[bool, int, int]] = []
        self.results: list[int] = []
        self.signals: list[int] = []
        self.stations_signals: list[int] = []

    def scan(self, ms: int = 1, **inputs: int) -> None:
        super().scan(ms, **inputs)
        self.put("done", 0)
        self.put("error", 0)
        if self.get("result_new"):
            self.results.append(self.get("result_part"))
        if not self.get("request"):
            self._left = None
        elif self._left is None:
            self._ask()
        elif self._left:
            self._left -= 1
        elif self._answer is None:
            self.put("error", 1)
        else:
            self._block.values["words"][: len(self._answer)] = self._answer
            self.put("done", 1)

    def _ask(self) -> None:
        """The server answers at once, and so by what it knows now; the PLC hears of it later."""
        self._left = self._delay()
        address, count = self.get("address"), self.get("count")
        writes = bool(self.get("writes"))
        self.calls.append((writes, address, count))
        try:
            if writes:
                self.wire.write(address, self._block.values["words"][:count])
                self._answer = []
                if address == MAP.vision_control_address:
                    self.signals.append(self._block.values["words"][0])
            else:
                self._answer = self.wire.read(address, count)
                if address == MAP.vision_status_address:
                    self.stations_signals.append(self._answer[0])
        except OSError:
            self._answer = None

    def scan_until(self, condition: Callable[[], object], **inputs: int) -> None:
        for _ in range(SCANS):
            if condition():
                return
            self.scan(**inputs)
        raise AssertionError("the PLC's program never did what the test waits for")

    def has_made(self, call: tuple[bool, int, int], times: int) -> bool:
        """Return whether it made this call more often."""
        return self.calls.count(call) > times

    def count_part(self) -> int:
        """Let a part pass the sensor; return its id."""
        self.scan(camera_sensor=0)
        self.scan(camera_sensor=1)
        return self.read(CONTROL["part_count"])

    def at_gate(self, part_id: int) -> bool:
        """Return whether the gate opens for the part."""
        self.scan(gate_part=part_id)
        opened = bool(self.get("gate_open"))
        self.scan(gate_part=0)
        return opened

    def slot(self, part_id: int) -> list[int]:
        first = MAP.slot_address(part_id)
        return [self.read(first + n) for n in range(SLOT_WORDS)]

    def rounds(self, n: int = 1) -> None:
        """Let whole rounds pass, the present one not counted."""
        begun = self.calls.count(COUNTS)
        self.scan_until(lambda: self.calls.count(COUNTS) > begun + n)


class Wire:
    """One connection to a station in the server role, made again after it broke."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._client: BareClient | None = None
        self.broken = False  # and cannot be made again

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def cut(self) -> None:
        """Break the connection."""
        if self._client is not None:
            self._client.socket.close()
            self._client = None

    def read(self, address: int, count: int) -> list[int]:
        return self._connected().read(address, count)

    def write(self, address: int, words: list[int]) -> None:
        self._connected().write(address, words)

    def _connected(self) -> BareClient:
        if self.broken:
            self.cut()
            raise ConnectionResetError
        if self._client is None:
            self._client = BareClient(self._port)
        return self._client


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


@pytest.fixture
def served(desk: FakeDesk) -> Iterator[Served]:
    with serving(desk, status_ms=20.0) as link:
        yield link


@pytest.fixture
def wire(served: Served) -> Iterator[Wire]:
    with Wire(served.port) as connection:
        yield connection


def decide(served: Served, desk: FakeDesk, part_id: int, *, passed: bool = True) -> None:
    """Let the station find its verdict."""
    before = len(desk.written)
    desk.file(verdict(part_id, passed=passed))
    served.wake()
    desk.wait_for(lambda: len(desk.written) > before)


def test_a_part_is_counted_decided_and_released(wire: Wire, served: Served, desk: FakeDesk) -> None:
    cell = Cell(wire)
    cell.scan(enable_switch=1)
    good, bad, open_ = cell.count_part(), cell.count_part(), cell.count_part()
    cell.rounds()
    told = desk.controls[-1]["control"]
    assert (told.enable, told.part_count) == (True, open_)
    decide(served, desk, good)
    decide(served, desk, bad, passed=False)
    cell.rounds()
    assert [cell.at_gate(part) for part in (good, bad, open_)] == [True, False, False]


def test_the_heartbeats_go_both_ways(wire: Wire, desk: FakeDesk) -> None:
    cell = Cell(wire)
    for _ in range(20):
        cell.rounds()
    assert len({told["control"].plc_heartbeat for told in desk.controls}) > 1
    cell.scan_until(lambda: cell.read(MAP.status_address + 1) & State.READY)


def test_what_was_asked_before_the_count_was_answered_releases_nothing(
    wire: Wire, served: Served, desk: FakeDesk
) -> None:
    """A PLC that begins to count anew while a read is on its way gets the verdict of an earlier part of that id."""
    cell = Cell(wire, delay=lambda: 3)
    part, *_ = [cell.count_part() for _ in range(3)]
    cell.rounds()
    decide(served, desk, part)
    cell.rounds()
    assert cell.slot(part)[1] == PASS
    first_read = (False, MAP.results_address, 64)
    cell.scan_until(partial(cell.has_made, first_read, cell.calls.count(first_read)))
    cell.put("station.part_id", 0)
    assert cell.count_part() == part
    for _ in range(100):
        assert cell.slot(part) == [0] * SLOT_WORDS
        assert not cell.at_gate(part)
    decide(served, desk, part)
    cell.rounds()
    assert cell.at_gate(part)


@pytest.mark.parametrize("at_once", [0, 1])
def test_a_program_that_begins_anew_gets_no_verdict_of_its_last_run(
    wire: Wire, served: Served, desk: FakeDesk, at_once: int
) -> None:
    """Over the same connection, which some clients keep; also where a part stands at the sensor in the first scan."""
    before = Cell(wire)
    part = before.count_part()
    before.rounds()
    decide(served, desk, part)
    before.rounds()
    assert before.slot(part)[1] == PASS
    cell = Cell(wire)
    cell.scan(enable_switch=1, camera_sensor=at_once)
    if not at_once:
        assert cell.count_part() == part
    assert cell.read(CONTROL["part_count"]) == part
    cell.rounds(3)
    assert cell.slot(part) == [0] * SLOT_WORDS
    decide(served, desk, part)
    cell.rounds()
    assert cell.at_gate(part)


def test_a_program_that_kept_its_count_goes_on(wire: Wire, desk: FakeDesk) -> None:
    cell = Cell(wire)
    cell.put("station.part_id", 500)
    cell.rounds(2)
    assert {told["control"].part_count for told in desk.controls} == {500}


def test_after_an_error_nothing_that_was_read_counts(wire: Wire, served: Served, desk: FakeDesk) -> None:
    cell = Cell(wire)
    part = cell.count_part()
    cell.rounds()
    decide(served, desk, part)
    cell.rounds()
    assert cell.slot(part)[1] == PASS
    begun = len(cell.calls)
    wire.broken = True
    cell.scan_until(lambda: not cell.get("connected"))
    assert cell.slot(part) == [0] * SLOT_WORDS
    assert not cell.at_gate(part)
    assert not cell.get("line_ok")
    cell.scan_until(lambda: len(cell.calls) > begun + 3)
    _, *again = cell.calls[begun:]
    assert set(again) == {COUNTS}
    wire.broken = False
    cell.rounds()
    assert cell.get("connected")
    assert cell.slot(part) == [0] * SLOT_WORDS  # the station forgot it with the connection


def test_signals_acknowledge_each_verdict_once_and_in_order(
    wire: Wire, served: Served, desk: FakeDesk
) -> None:
    cell = Cell(wire)
    cell.scan(enable_switch=1, use_signals=1)
    cell.rounds(2)
    parts = [cell.count_part() for _ in range(5)]
    cell.rounds()
    for part in parts:
        decide(served, desk, part)
    cell.scan_until(lambda: len(cell.results) == len(parts))
    cell.rounds(3)
    assert cell.results == parts
    assert wire.read(MAP.vision_status_address, 5)[2:] == [0, 0, 0]


def test_a_trigger_is_raised_for_a_count_and_taken_back(wire: Wire) -> None:
    cell = Cell(wire)
    cell.scan(enable_switch=1, use_signals=1)
    cell.rounds(2)
    cell.count_part()
    cell.rounds(3)
    assert [bool(word & VisionControl.TRIGGER) for word in cell.signals].count(True) == 1
    acknowledged = [bool(word & VisionStatus.TRIGGER_ACK) for word in cell.stations_signals]
    assert acknowledged.count(True) == 1
    assert acknowledged[-1] is False


def test_without_signals_the_station_is_asked_for_verdicts_and_status_only(wire: Wire) -> None:
    cell = Cell(wire)
    cell.rounds(3)
    assert {address for _, address, _ in cell.calls} == {0, 64, MAP.status_address, MAP.control_address}


def test_whatever_the_wire_does_only_parts_that_passed_are_released(
    wire: Wire, served: Served, desk: FakeDesk
) -> None:
    rng = random.Random(3)
    cell = Cell(wire, delay=lambda: rng.randrange(4))
    cell.scan(enable_switch=1)
    good, released, under_way = set(), set(), []
    for n in range(60):
        part = cell.count_part()
        under_way.append(part)
        if rng.random() < 0.05:
            wire.cut()
        for _ in range(rng.randrange(60)):
            cell.scan()
        # Else the station knows nothing of it.
        if desk.controls and desk.controls[-1]["control"].part_count == part:
            outcome = rng.choice([Outcome.PASS, Outcome.PASS, Outcome.REJECT])
            decide(served, desk, part, passed=outcome is Outcome.PASS)
            good |= {part} if outcome is Outcome.PASS else set()
        if n % 3:
            cell.rounds()
        while len(under_way) > 6:
            at_gate = under_way.pop(0)
            released |= {at_gate} if cell.at_gate(at_gate) else set()
    assert released <= good
    assert len(released) > len(good) / 4
