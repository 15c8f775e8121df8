"""The command: `python tools/linesim --images FILE --camera SOCKET ...`. Exit status 0, 1 broken promise, 2 bad input."""

import argparse
import asyncio
import gc
import json
import os
import selectors
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console

from inspector.plc.registers import RegisterMap
from tools.linesim.arguments import argument_parser
from tools.linesim.conveyor import InputError, check_budget, least_spacing_ms, read_items
from tools.linesim.faults import CameraSocket, read_faults
from tools.linesim.judge import Judge
from tools.linesim.line import Line, Plan
from tools.linesim.plc import GateCoil, Plc
from tools.linesim.polling import PollingPlc
from tools.linesim.report import NS_PER_MS, PartLog, percentile_ms, result, show, write_json

RECENT = 200  # parts that the live latency speaks of
HELD_MAX_MS = 60_000


def main(argv: Sequence[str] | None = None) -> int:
    """Run the line that the arguments describe."""
    arguments = argument_parser().parse_args(argv)
    try:
        plan = _plan(arguments)
        with asyncio.Runner(loop_factory=_precise_loop) as runner:
            return runner.run(_run(arguments, plan))
    except InputError as error:
        print(f"linesim: {error}", file=sys.stderr)
        return 2


def _precise_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop whose timers are not late by up to a millisecond, as those on epoll are: select takes microseconds."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def _plan(arguments: argparse.Namespace) -> Plan:
    """Return the plan, or raise InputError for figures that contradict each other."""
    items = read_items(arguments.images)
    if not (arguments.rate > 0 and arguments.budget_ms > 0):  # nor NaN
        raise InputError("expected --rate and --budget-ms above zero")
    least_ms = (
        least_spacing_ms(arguments.rate) if arguments.min_spacing_ms is None else arguments.min_spacing_ms
    )
    if not 0 < least_ms <= 1000 / arguments.rate:
        raise InputError(
            f"expected --min-spacing-ms above zero and at most 1000 / rate = {1000 / arguments.rate:g}, got {least_ms:g}"
        )
    gate_ms = arguments.budget_ms if arguments.gate_ms is None else arguments.gate_ms
    if gate_ms < arguments.budget_ms:
        raise InputError(f"expected --gate-ms of at least --budget-ms, got {gate_ms:g}")
    check_budget(gate_ms, least_ms, arguments.slots)
    if not 0 <= arguments.held_ms <= HELD_MAX_MS:
        raise InputError(f"expected --held-ms from 0 to {HELD_MAX_MS}, got {arguments.held_ms:g}")
    if not arguments.clear_after_ms >= 0:
        raise InputError(f"expected --clear-after-ms of zero or more, got {arguments.clear_after_ms:g}")
    if arguments.parts is not None and arguments.parts < 1:
        raise InputError(f"expected --parts to be at least 1, got {arguments.parts}")
    if not 1 <= arguments.first_part_id <= 65535:
        raise InputError(f"expected --first-part-id in 1..65535, got {arguments.first_part_id}")
    parts = len(items) if arguments.parts is None else arguments.parts
    return Plan(
        items=items,
        parts=parts,
        rate_hz=arguments.rate,
        min_spacing_ms=least_ms,
        budget_ms=arguments.budget_ms,
        seed=arguments.seed,
        first_part_id=arguments.first_part_id,
        faults=read_faults(arguments.faults, parts) if arguments.faults else (),
        ready_timeout_s=arguments.ready_timeout,
        settle_timeout_s=arguments.settle_timeout,
        gate_ms=arguments.gate_ms,
        challenge=_sequence(arguments.challenge),
        clear_after_ms=arguments.clear_after_ms,
        software_trigger=arguments.software_trigger,
    )


def _sequence(text: str) -> list[str]:
    sequence = text.split(",")
    if not set(sequence) <= {"good", "bad"}:
        raise InputError(f"expected --challenge as bad,good,bad, got: {text}")
    return sequence


async def _run(arguments: argparse.Namespace, plan: Plan) -> int:
    registers = RegisterMap(
        arguments.results_address,
        arguments.status_address,
        arguments.control_address,
        arguments.slots,
        arguments.word_order,
    )
    if problems := registers.problems(server=arguments.role == "client"):
        raise InputError("; ".join(problems))
    plc = _plc(arguments, registers)
    with PartLog(arguments.record) as log:
        judge = Judge(
            slots=registers.slots,
            closed=log.write,
            held_ns=round(arguments.held_ms * NS_PER_MS),
            old_answers=arguments.old_answers,
        )
        tell = _teller(judge, plan) if arguments.live else _silent
        camera = CameraSocket(arguments.camera)
        line = Line(plan, plc, judge, camera, tell)
        _stop_on_signals(line)
        await plc.power_on()
        tell("listening", host=plc.host, port=plc.port)
        # A collection in the middle of a part would be counted as the station's delay.
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            await line.run()
            outcome = result(line, judge)
            _say(arguments, outcome, tell)
            await line.linger(arguments.linger)
        finally:
            await plc.power_off()
            camera.close()
    return 1 if outcome["broken_promises"] else 0


def _plc(arguments: argparse.Namespace, registers: RegisterMap) -> Plc:
    if arguments.role == "server":
        plc = Plc(registers, arguments.host, arguments.port)
        if arguments.gate_coil is not None:
            plc.gate_coil = GateCoil(arguments.gate_coil, round(arguments.coil_hold_ms * NS_PER_MS))
        return plc
    if arguments.port < 1 or not arguments.cycle_ms > 0:
        raise InputError("expected --role client with the station's --port, and --cycle-ms above zero")
    return PollingPlc(
        registers, arguments.host, arguments.port, unit_id=arguments.unit_id, cycle_ms=arguments.cycle_ms
    )


def _say(arguments: argparse.Namespace, outcome: dict[str, Any], tell: Callable[..., None]) -> None:
    if arguments.json:
        write_json(arguments.json, outcome)
    if arguments.live:
        tell("result", **outcome)
    else:
        show(outcome, Console())


def _stop_on_signals(line: Line) -> None:
    """End in order on the first SIGTERM or Ctrl-C, at once on the second."""
    loop = asyncio.get_running_loop()

    def heard(number: signal.Signals) -> None:
        if line.stopping:
            os._exit(128 + number)
        line.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, heard, number)


def _silent(event: str, **fields: Any) -> None:
    """Say nothing."""


def _teller(judge: Judge, plan: Plan) -> Callable[..., None]:
    """Return the function that says each event as one JSON line; progress carries the counts so far."""

    def tell(event: str, **fields: Any) -> None:
        if event == "progress":
            tally, recent = judge.tally, judge.latencies_ns[-RECENT:]
            fields |= {
                "planned": plan.parts,
                "parts": tally.parts,
                "good": tally.good,
                "bad": tally.bad,
                "released": tally.released,
                "released_bad": tally.released_bad,
                "rejected_good": tally.rejected_good,
                "rejects": dict(tally.rejects),
                "late": tally.late,
                "p50_ms": percentile_ms(recent, 0.5),
                "p99_ms": percentile_ms(recent, 0.99),
            }
        try:
            print(json.dumps({"event": event, **fields}), flush=True)
        except BrokenPipeError:
            os.kill(os.getpid(), signal.SIGTERM)  # whoever watched is gone: end in order

    return tell
