"""What `tools/linesim` is told: the arguments, a group for each side of the line."""

import argparse
from pathlib import Path

from inspector.plc.registers import RegisterMap
from tools.linesim.faults import LIST
from tools.linesim.judge import HELD_NS
from tools.linesim.line import CHALLENGE
from tools.linesim.report import NS_PER_MS


class _Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Defaults are shown, and the list of faults keeps its lines."""


def argument_parser() -> argparse.ArgumentParser:
    """Return the parser of all arguments."""
    parser = argparse.ArgumentParser(
        prog="linesim",
        description="A simulated conveyor, its PLC (a Modbus TCP server, or client) and its gate. Judges a station from outside.",
        epilog=LIST,
        formatter_class=_Formatter,
    )
    _add_parts(parser.add_argument_group("parts"))
    _add_gate(parser.add_argument_group("gate"))
    _add_plc(parser.add_argument_group("PLC"))
    _add_registers(parser.add_argument_group("registers"))
    _add_waiting(parser.add_argument_group("waiting"))
    _add_output(parser.add_argument_group("output"))
    return parser


def _add_parts(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add(
        "--images",
        type=Path,
        required=True,
        help='JSON file {"good": [image, ...], "bad": [...]}: the camera\'s names',
    )
    add("--camera", type=Path, help="the camera's trigger socket; without it nothing is triggered")
    add("--parts", type=int, help="how many parts pass (default: each image once)")
    add("--rate", type=float, default=10.0, metavar="HZ", help="parts per second, on average")
    add("--min-spacing-ms", type=float, help="least time between two parts (default: 0.6 / rate)")
    add("--budget-ms", type=float, default=100.0, help="from a part's trigger to its gate")
    add("--seed", type=int, default=1, help="order and spacing of the parts")
    add("--first-part-id", type=int, default=1, help="id of the first part, 1..65535")
    add(
        "--software-trigger",
        action="store_true",
        help="the station triggers the camera by software: tell the camera which part stands before it, and send no pulse",
    )
    add("--faults", type=Path, help="YAML list of {at_part: N, do: ...}; see below")
    add(
        "--challenge",
        default=",".join(CHALLENGE),
        metavar="bad,good,...",
        help="how the station wants the parts of a challenge to come out",
    )


def _add_gate(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add("--gate-ms", type=float, help="from a part's trigger to its gate (default: the budget)")
    add(
        "--gate-coil",
        type=int,
        metavar="ADDRESS",
        help="the gate follows this coil (1 = let pass), not the release rule",
    )
    add(
        "--coil-hold-ms",
        type=float,
        default=30.0,
        help="the PLC drops the coil if it is not written again for so long",
    )


def _add_plc(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add(
        "--role",
        choices=("server", "client"),
        default="server",
        help="the PLC's side of Modbus: client is for a station in the server role, at --host and --port",
    )
    add("--host", default="127.0.0.1", help="address to listen at, or the station's")
    add("--port", type=int, default=5020, help="port to listen at (0 takes a free one), or the station's")
    add("--unit-id", type=int, default=1, help="the station's, for --role client")
    add(
        "--cycle-ms",
        type=float,
        default=2.0,
        help="pause of the PLC's program between two rounds, for --role client",
    )
    add(
        "--clear-after-ms",
        type=float,
        default=500.0,
        metavar="MS",
        help="after so long somebody empties the bin and clears the fault of a line that was stopped",
    )


def _add_registers(group: "argparse._ArgumentGroup") -> None:
    registers = RegisterMap()
    add = group.add_argument
    add(
        "--results-address",
        type=int,
        default=registers.results_address,
        help="first register of the results",
    )
    add("--status-address", type=int, default=registers.status_address, help="first register of the status")
    add(
        "--control-address",
        type=int,
        default=registers.control_address,
        help="first register of the control block",
    )
    add("--slots", type=int, default=registers.slots, help="result slots")
    add(
        "--word-order",
        choices=("high_first", "low_first"),
        default=registers.word_order,
        help="of 32-bit counters",
    )


def _add_waiting(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add(
        "--ready-timeout",
        type=float,
        default=30.0,
        metavar="S",
        help="how long the station may take to be READY",
    )
    add("--settle-timeout", type=float, default=5.0, metavar="S", help="how long the last counters may take")
    add(
        "--held-ms",
        type=float,
        default=HELD_NS / NS_PER_MS,
        metavar="MS",
        help="how long the network may hold a call: a PASS that comes later than that after its deadline was sent too late",
    )
    add(
        "--old-answers",
        type=int,
        default=0,
        metavar="N",
        help="so many reads of a PLC that is the client may get an answer from before: a gateway may answer from memory",
    )
    add(
        "--linger",
        type=float,
        default=0.0,
        metavar="S",
        help="keep the PLC alive after the result, at most so long",
    )


def _add_output(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add("--json", type=Path, help="write the result here, as one JSON object")
    add("--record", type=Path, help="write each part here, as JSON lines")
    add(
        "--live",
        action="store_true",
        help="say what happens on standard output, as JSON lines, instead of the table",
    )
