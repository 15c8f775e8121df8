"""The PLC's program on its own: what is in its memory when it counts and when it decides."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from inspector.part import Outcome
from inspector.plc.registers import RegisterMap
from tests.integration.stub_station import verdict_words
from tools.linesim.conveyor import Item
from tools.linesim.faults import CameraSocket, Fault
from tools.linesim.judge import Judge, Part
from tools.linesim.line import Line, Plan
from tools.linesim.modbus import RefusedError
from tools.linesim.plc import Plc

ITEM = Item("a", good=True)
FAR_MS = 60_000.0  # a deadline that no test reaches


class Bench:
    """A powered line without a server, and the parts it decided on."""

    def __init__(self, budget_ms: float) -> None:
        self.plc = Plc(RegisterMap(), "127.0.0.1", 0)
        self.plc.powered = True
        self.judge = Judge(slots=16, closed=lambda _: None)
        plan = Plan([ITEM], parts=1, rate_hz=10, min_spacing_ms=60, budget_ms=budget_ms, seed=1)
        self.camera = CameraSocket(None)
        self.line = Line(plan, self.plc, self.judge, self.camera, lambda *_, **__: None)

    def count(self) -> Part:
        self.line._count(1, ITEM)
        return self.line._waiting[-1]

    async def write_pass(self, part_id: int) -> None:
        address = self.plc.registers.slot_address(part_id)
        words = list(verdict_words(part_id, Outcome.PASS))
        self.plc.write(address, words)


def on_bench(test: Callable[[Bench], Awaitable[Any]], budget_ms: float = FAR_MS) -> None:
    async def run() -> None:
        bench = Bench(budget_ms)
        try:
            await test(bench)
        finally:
            bench.camera.close()

    asyncio.run(run())


def pass_the_deadline(part: Part) -> None:
    """Stall this process until the deadline is over, so that the gate's timer is late."""
    while time.monotonic_ns() <= part.deadline_ns:
        pass


def test_a_pass_that_comes_before_the_gate_got_round_to_it_but_after_the_deadline_does_not_release() -> None:
    async def test(bench: Bench) -> None:
        part = bench.count()
        pass_the_deadline(part)
        await bench.write_pass(part.part_id)
        assert part.released is False
        assert (bench.judge.tally.late, bench.judge.tally.wrong_releases) == (1, 0)

    on_bench(test, budget_ms=1)


def test_a_pass_before_the_deadline_releases_however_late_the_gate_is() -> None:
    async def test(bench: Bench) -> None:
        part = bench.count()
        await bench.write_pass(part.part_id)
        assert part.released is None
        bench.line._decide_due(part.deadline_ns)
        assert part.released is True

    on_bench(test)


def test_counting_a_part_clears_its_slot_first() -> None:
    async def test(bench: Bench) -> None:
        await bench.write_pass(1)
        part = bench.count()
        assert bench.plc.slot(1) == (0,) * 8
        bench.line._decide_due(part.deadline_ns)
        assert part.released is False

    on_bench(test)


def test_without_power_the_gate_stays_closed() -> None:
    async def test(bench: Bench) -> None:
        part = bench.count()
        await bench.write_pass(part.part_id)
        bench.plc.powered = False
        bench.line._decide_due(part.deadline_ns)
        assert (part.released, part.reason) == (False, "plc_down")

    on_bench(test)


def test_a_restarted_plc_forgets_the_parts_on_their_way_to_the_gate() -> None:
    async def test(bench: Bench) -> None:
        part = bench.count()
        await bench.write_pass(part.part_id)
        try:
            await bench.line._do(Fault(1, "plc", ("restart", "1")))
            await asyncio.gather(*bench.line._tasks)
            assert (part.released, bench.plc.control.part_count) == (False, 0)
            assert bench.plc.slot(part.part_id) == (0,) * 8
        finally:
            await bench.plc.power_off()

    on_bench(test)


def test_a_request_that_was_under_way_when_the_power_went_changes_nothing() -> None:
    async def test(bench: Bench) -> None:
        bench.plc.powered = False
        words = list(verdict_words(1, Outcome.PASS))
        with pytest.raises(RefusedError):
            bench.plc.write(bench.plc.registers.slot_address(1), words)
        assert bench.plc.slot(1) == (0,) * 8

    on_bench(test)


def test_only_faults_that_came_are_noted_and_by_the_part_that_the_log_knows() -> None:
    async def test(bench: Bench) -> None:
        bench.count()
        await bench.line._do(Fault(60, "camera", ("lose", "1")))
        bench.plc.powered = False
        await bench.line._do(Fault(61, "say", ("kill", "camera")))
        await bench.line._do(Fault(62, "plc", ("down", "1")))
        assert bench.line.made == [
            {"at_part": 60, "part_id": 2, "do": "camera lose 1"},
            {"at_part": 61, "part_id": None, "do": "say kill camera"},
        ]

    on_bench(test)
