"""The command `tools/bench/rate`: what becomes of the parts on a line that is slower, and faster, than the engine.

    tools/bench/rate                                              the curve from 1 to 500 parts per second
    tools/bench/rate --rate 50 --minutes 10 --budget-ms 45        one rate for long: each late part with what made it late

simcam, the camera process, the station and linesim are the real ones. In the engine's place something waits for a constant time
(`--engine-ms`), so that what the engine can do is known: 1000 / engine-ms parts per second. `--engine own` takes the real one.

What must be seen: each part gets its verdict in time (late 0), the backlog does not grow (the last quarter of the parts waits no
longer than the second), and the parts scored per second stay at what the engine can do.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from inspector.clock import NS_PER_MS, NS_PER_S
from inspector.errors import InspectorError, ServiceError
from inspector.part import Reason
from tools.bench.arguments import above_zero, checkout, spaced, zero_or_more
from tools.bench.machine import Machine, Quantiles, Stall, add_json, finish, show_rows, stalled_ms, write_rows
from tools.bench.stand import QUICK, Run, Setting, Stand, fifo_allowed
from tools.linesim.conveyor import least_spacing_ms
from tools.rehearsal.station import ROOT

RATES = (1, 2, 5, 10, 20, 50, 100, 200, 350, 500)
SECONDS = 10.0
LEAST_PARTS = 20
SLOW = 1.5  # times what is usual: then the engine is named
MOST_SHOWN = 15  # of the parts that were late; the JSON has them all
BY_SCORE = (Reason.NONE.name, Reason.SCORE.name)
IN_TIME = (*BY_SCORE, Reason.OVERRUN.name)  # and nothing else is as it should be
OWN = ("--size", 256, "--bank", 3000)
COLUMNS = {
    "rate_hz": "parts/s", "parts": "parts", "scored_hz": "scored/s", "overrun": "OVERRUN", "late": "late", "doubt": "doubt",
    "other": "other", "slot_p50_ms": "p50 ms", "slot_p99_ms": "p99 ms", "backlog_ms": "grew",
}  # fmt: skip
LATE_COLUMNS = {
    "part": "part", "reason": "verdict", "slot_ms": "slot after ms", "stalled_ms": "machine stalled ms",
    "engine_ms": "engine ms", "cause": "cause",
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 where a part was late that no stall of the machine excuses, 2 where it cannot be measured."""
    arguments = _parser().parse_args(argv)
    try:
        return _measure(arguments)
    except InspectorError as error:
        print(f"rate: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tools/bench/rate", description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add(
        "--rate",
        type=above_zero,
        nargs="+",
        default=RATES,
        metavar="HZ",
        help=f"parts per second (default: {spaced(RATES)})",
    )
    add("--minutes", type=above_zero, metavar="MIN", help=f"of each rate (default: {SECONDS:g} s)")
    add(
        "--budget-ms",
        type=above_zero,
        default=45.0,
        metavar="MS",
        help="trigger to slot (default: %(default)s)",
    )
    add(
        "--engine-ms",
        type=zero_or_more,
        default=12.0,
        metavar="MS",
        help="what the stand-in takes (default: %(default)s)",
    )
    add(
        "--engine",
        choices=("stand-in", "own"),
        default="stand-in",
        help="own: a model of 256 x 256, bank 3000, by this machine (default: %(default)s)",
    )
    add(
        "--ordinary",
        action="store_true",
        help="ask nothing of `realtime`; without it, where that is allowed, fifo_priority, lock_memory and stay_awake",
    )
    add("--against", type=checkout, metavar="DIR", help="another checkout of Inspector, measured in turn")
    add_json(parser)
    return parser


def _measure(arguments: argparse.Namespace) -> int:
    fifo = fifo_allowed() and not arguments.ordinary
    own = arguments.engine == "own"
    seconds = 60 * arguments.minutes if arguments.minutes else SECONDS
    what = (
        "its own engine, 256 x 256, bank 3000"
        if own
        else f"a stand-in of {arguments.engine_ms:g} ms for the engine"
    )
    title = f"Budget {arguments.budget_ms:g} ms, {what}, {'FIFO' if fifo else 'ordinary priority'}"
    rows: list[dict[str, Any]] = []
    late: list[dict[str, Any]] = []
    checkouts = [ROOT, *([arguments.against] if arguments.against else [])]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Machine() as machine:
        stand = Stand(Path(folder), fit=OWN if own else QUICK)
        for rate_hz in arguments.rate:
            for checkout in checkouts:
                setting = Setting(
                    parts=max(LEAST_PARTS, round(rate_hz * seconds)), rate_hz=rate_hz, budget_ms=arguments.budget_ms,
                    engine_ms=None if own else arguments.engine_ms, fifo=fifo, checkout=checkout,
                    slots=slots_for(rate_hz, arguments.budget_ms),
                )  # fmt: skip
                run = stand.run(setting)
                lost = late_parts(run, setting, machine.stalls)
                rows.append({"checkout": checkout.name, **_row(run, setting, lost)})
                late += [{"rate_hz": rate_hz, "checkout": checkout.name, **each} for each in lost]
                write_rows(arguments.json, rows, machine, late=late)
    if late:
        show_rows("Each part that was late, or in doubt, and why", late[:MOST_SHOWN], LATE_COLUMNS)
    columns = ({"checkout": "checkout"} if arguments.against else {}) | COLUMNS
    finish(arguments.json, title, rows, machine, columns, late=late)
    unexcused = sum(not each["excused"] and each["checkout"] == checkouts[0].name for each in late)
    dropped = sum(row["dropped"] for row in rows)
    print(
        f"late: rejected as LATE or written too late; doubt: HANDSHAKE; grew: the wait, from the second to the last quarter, ms\n"
        f"{len(late)} parts late or in doubt, {unexcused} of them without a stall of the machine; "
        f"{dropped} entries of the log dropped"
    )
    return int(unexcused > 0)


def slots_for(rate_hz: float, budget_ms: float) -> int:
    """Return as many result slots as parts may be between camera and gate, and as many again: a power of two, 16 at least."""
    slots = 16
    while budget_ms >= least_spacing_ms(rate_hz) * (slots - 1) * 0.75:
        slots *= 2
    if slots > 1024:
        raise ServiceError(
            f"expected a budget below {768 * least_spacing_ms(rate_hz):g} ms at {rate_hz:g} parts/s"
        )
    return slots


def _row(run: Run, setting: Setting, late: Sequence[dict[str, Any]]) -> dict[str, Any]:
    reasons = Counter(part["reason"] for part in run.parts)
    seconds = (run.parts[-1]["t_trigger_ns"] - run.parts[0]["t_trigger_ns"]) / NS_PER_S
    slots_ms = [_slot_ms(part) for part in run.parts if part["t_slot_ns"] is not None]
    quarter = max(1, len(slots_ms) // 4)
    second, last = slots_ms[quarter : 2 * quarter], slots_ms[-quarter:]
    return {
        "rate_hz": setting.rate_hz,
        "parts": len(run.parts),
        "scored_hz": round(sum(reasons[reason] for reason in BY_SCORE) / max(seconds, 1e-9), 1),
        "scored_share": round(sum(reasons[reason] for reason in BY_SCORE) / len(run.parts), 4),
        "capacity_hz": None if setting.engine_ms is None else round(1000 / setting.engine_ms, 1),
        "overrun": reasons[Reason.OVERRUN.name],
        "late": run.line["late"],
        "doubt": reasons[Reason.HANDSHAKE.name],
        "other": reasons.total() - sum(reasons[name] for name in (*IN_TIME, Reason.LATE.name, Reason.HANDSHAKE.name)),
        "stalled": sum(each["excused"] for each in late),
        **{f"slot_{name}": value for name, value in Quantiles.of(slots_ms).fields().items()},
        "backlog_ms": round(Quantiles.of(last).p50 - Quantiles.of(second or last).p50, 2),
        "reasons": dict(reasons),
        "broken_promises": run.line["broken_promises"],
        "dropped": sum(entry.get("count", 0) for entry in run.log if entry["event"] == "dropped"),
        "line_lag_p99_ms": run.line["own_lag_ms"]["p99"],
        "slots": setting.slots,
    }  # fmt: skip


def late_parts(run: Run, setting: Setting, stalls: Sequence[Stall]) -> list[dict[str, Any]]:
    """Return each part without a verdict in time, or in doubt, with what made it so: a stall of the machine in its time, if any.

    A stall in the time of the part before counts too, a budget back at most: it may have left work behind, or the two in doubt.
    """
    found = []
    engine_ms = _engine_ms(run)
    usual_ms = Quantiles.of(list(engine_ms.values()) or [0.0]).p50
    t_before_ns = 0
    for outcome in run.outcomes:
        part = outcome.seen
        t_from_ns, t_to_ns = part["t_trigger_ns"], part["t_trigger_ns"] + round(setting.budget_ms * NS_PER_MS)
        slot_ms = None if part["t_slot_ns"] is None else _slot_ms(part)
        if part["reason"] not in IN_TIME or slot_ms is None or slot_ms > setting.budget_ms:
            t_back_ns = max(t_before_ns, 2 * t_from_ns - t_to_ns)
            ms = stalled_ms(list(stalls), min(t_from_ns, t_back_ns), t_to_ns)
            took_ms = engine_ms.get(outcome.verdict["frame_id"], 0.0) if outcome.verdict else 0.0
            ours = f"the engine took {took_ms:.1f} ms" if took_ms > SLOW * usual_ms else "the station"
            found.append({
                "part": part["index"], "reason": part["reason"], "t_trigger_ns": t_from_ns,
                "slot_ms": None if slot_ms is None else round(slot_ms, 2), "engine_ms": round(took_ms, 2),
                "stalled_ms": round(ms, 2), "excused": ms > 0, "cause": f"the machine stalled {ms:.1f} ms" if ms else ours,
            })  # fmt: skip
        t_before_ns = t_from_ns
    return found


def _engine_ms(run: Run) -> dict[int, float]:
    """Return by frame id what its score took, also of those that came too late to be recorded."""
    taken = {frame_id: t_taken_ns for frame_id, _, t_taken_ns in run.stamps["taken"]}
    return {frame_id: (t_ns - taken[frame_id]) / NS_PER_MS for frame_id, t_ns in run.stamps["scored"]}


def _slot_ms(part: dict[str, Any]) -> float:
    return float(part["t_slot_ns"] - part["t_trigger_ns"]) / NS_PER_MS


if __name__ == "__main__":
    sys.exit(main())
