"""The command `tools/bench/path`: from the trigger to the slot, stage by stage, without the engine.

Everything on the way is the real thing (simcam behind harvesters, the camera process, the ring, the station, Modbus, linesim) but for the
engine, in whose place something waits `--engine-ms` and finds nothing; all figures but that of the engine are without it. linesim,
which stands for another machine, measures from outside and has real-time priority; the camera exposes for 0.02 ms.

Rows named FIFO ask for all of `realtime` in the configuration: fifo_priority 50, lock_memory and stay_awake; with `--asleep` for
fifo_priority 50 alone. The others ask for nothing of it.

Alone and beside a spinning process, with real-time priority (FIFO) and without, and another checkout with `--against`, take turns:
a machine that is busy for a while is busy for all.
"""

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise, product
from pathlib import Path
from shutil import which

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from inspector.errors import InspectorError
from tools.bench.arguments import above_zero, at_least, checkout, zero_or_more
from tools.bench.machine import Machine, Quantiles, Stall, add_json, finish, show_rows, stalled_ms
from tools.bench.stand import STATION_PRIORITY, Run, Setting, Stand, fifo_allowed
from tools.rehearsal.station import ROOT

BUDGET_MS = 100.0
WARM_UP = 5  # parts: the first one is certain only when no other came
STAGES = {
    "trigger": "pulse to frame in the camera process",
    "ring": "copied, engine thread woken",
    "taken": "matched to its part, to the engine",
    "engine": "stand-in for the engine",
    "decided": "score to verdict",
    "woken": "verdict to its write, by whichever thread",
    "written": "write to slot, seen by the PLC",
    "path": "all of them without the engine",
}
COLUMNS = {
    "under": "under", "stage": "stage", "p50_ms": "p50 ms", "p99_ms": "p99 ms", "p999_ms": "p99.9 ms",
    "p99_unstalled_ms": "p99 *", "samples": "parts",
}  # fmt: skip


USAGE_COLUMNS = {
    "under": "under", "process": "process", "thread": "thread", "wakeups": "woken", "preempted": "preempted",
    "cpu_us": "CPU us", "queued_us": "waits for CPU us",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Condition:
    """Under what a run was made."""

    checkout: Path
    busy: bool
    fifo: bool

    def fields(self) -> dict[str, object]:
        """Return it as fields of a row."""
        words = ["beside a spinning process" if self.busy else "alone", *(["FIFO"] if self.fifo else [])]
        return {
            "under": ", ".join(words + ([] if self.checkout == ROOT else [self.checkout.name])),
            "checkout": self.checkout.name,
            "neighbour": "spinning" if self.busy else "nobody",
            "fifo": "yes" if self.fifo else "no",
        }


@dataclass(slots=True)
class Seen:
    """What was measured under one condition."""

    times_ms: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})
    stalled: list[bool] = field(default_factory=list)  # of each part, whether the machine stalled meanwhile
    reasons: Counter[str] = field(default_factory=Counter)
    usage: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # process, thread, figure
    parts: int = 0


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return 2 where it cannot be measured."""
    arguments = _parser().parse_args(argv)
    try:
        return _measure(arguments)
    except InspectorError as error:
        print(f"path: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="tools/bench/path",
        description=first,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--parts",
        type=at_least(1),
        default=3000,
        metavar="N",
        help="of each condition (default: %(default)s; p99.9 takes 2,995)",
    )
    add("--rate", type=above_zero, default=50.0, metavar="HZ", help="parts per second (default: %(default)s)")
    add(
        "--engine-ms",
        type=zero_or_more,
        default=5.0,
        metavar="MS",
        help="what the stand-in takes (default: %(default)s)",
    )
    add("--turns", type=at_least(1), default=3, metavar="N", help="in so many turns (default: %(default)s)")
    add("--quiet", action="store_true", help="leave out the spinning process")
    add("--fifo-only", action="store_true", help="leave out ordinary priority")
    add(
        "--asleep",
        action="store_true",
        help="FIFO rows ask for fifo_priority alone: memory is not locked, CPUs sleep between parts, and the camera process does "
        "not keep its code in the cache by rehearsing a frame",
    )
    add("--against", type=checkout, metavar="DIR", help="another checkout of Inspector, measured in turn")
    add("--calls", action="store_true", help="count system calls too, in a run of its own under strace")
    add_json(parser)
    return parser


def _measure(arguments: argparse.Namespace) -> int:
    fifo = fifo_allowed()
    conditions = _conditions(arguments, fifo)
    seen = {condition: Seen() for condition in conditions}
    setting = Setting(
        parts=max(1, arguments.parts // arguments.turns) + WARM_UP, rate_hz=arguments.rate, budget_ms=BUDGET_MS,
        engine_ms=arguments.engine_ms, awake=not arguments.asleep,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Machine() as machine:
        stand = Stand(Path(folder))
        for turn in range(arguments.turns):
            for condition in conditions:
                with ExitStack() as held:
                    if condition.busy:
                        held.enter_context(_neighbour())
                    run = stand.run(
                        replace(setting, fifo=condition.fifo, checkout=condition.checkout, seed=turn + 1)
                    )
                _take(run, seen[condition], machine.stalls)
        calls = _count_calls(stand, setting, fifo) if arguments.calls else []
        rows = [row for condition in conditions for row in _rows(condition, seen[condition])]
    usage = [row for condition in conditions for row in _usage_rows(condition, seen[condition])]
    title = f"Trigger to slot at {arguments.rate:g} parts/s, a stand-in of {arguments.engine_ms:g} ms in the engine's place"
    show_rows("What each thread does for a part", usage, USAGE_COLUMNS)
    if calls:
        show_rows("System calls for a part (under strace, which slows everything)", calls)
    if not fifo:
        print("real-time priority (SCHED_FIFO) is not allowed here (ulimit -r): measured without")
    finish(arguments.json, title, rows, machine, COLUMNS, threads=usage, calls=calls, fifo_allowed=fifo)
    print(legend(asleep=arguments.asleep))
    return 0


def legend(*, asleep: bool) -> str:
    """Return what the words of the table mean."""
    asked = f"fifo_priority {STATION_PRIORITY}" + (" alone" if asleep else ", lock_memory, stay_awake")
    return "\n".join([
        *(f"{stage:8} {what}" for stage, what in STAGES.items()),
        f"FIFO     asked of `realtime`: {asked}; the other rows: nothing",
        "*        of the parts that no stall of the machine touched",
    ])  # fmt: skip


def _conditions(arguments: argparse.Namespace, fifo: bool) -> list[Condition]:
    checkouts = [ROOT, *([arguments.against] if arguments.against else [])]
    neighbours = [False] if arguments.quiet else [False, True]
    priorities = [True] if arguments.fifo_only and fifo else [False, True] if fifo else [False]
    return [Condition(*each) for each in product(checkouts, neighbours, priorities)]


@contextmanager
def _neighbour() -> Iterator[None]:
    """Keep one CPU busy with a process that never waits."""
    spinning = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        spinning.kill()
        spinning.wait()


# -- from stamps to stages ------------------------------------------------------------------------


def _take(run: Run, seen: Seen, stalls: list[Stall]) -> None:
    taken = {frame_id: (t_arrival_ns, t_ns) for frame_id, t_arrival_ns, t_ns in run.stamps["taken"]}
    scored = dict(run.stamps["scored"])
    written = {part_id: t_sent_ns for part_id, t_sent_ns, _ in run.stamps["written"]}
    heard = run.stamps["heard"]
    seen.parts += len(run.parts)
    for outcome in run.outcomes[WARM_UP:]:
        verdict, part = outcome.verdict, outcome.seen
        seen.reasons[part["reason"]] += 1
        if verdict is None or verdict["frame_id"] not in scored or part["t_slot_ns"] is None:
            continue
        t_arrival_ns, t_taken_ns = taken[verdict["frame_id"]]
        moments = [
            part["t_trigger_ns"], t_arrival_ns, _last_before(heard, t_taken_ns, t_arrival_ns), t_taken_ns,
            scored[verdict["frame_id"]], verdict["t_decided_ns"], written[verdict["part_id"]], part["t_slot_ns"],
        ]  # fmt: skip
        spans = [(after - before) / 1e6 for before, after in pairwise(moments)]
        for stage, ms in zip(STAGES, spans, strict=False):
            seen.times_ms[stage].append(ms)
        seen.times_ms["path"].append((moments[-1] - moments[0]) / 1e6 - spans[3])
        seen.stalled.append(stalled_ms(stalls, moments[0], moments[-1]) > 0)
    for used in run.usage.values():
        for figure in ("cpu_ns", "queued_ns", "wakeups", "preempted"):
            seen.usage[used.process, used.thread, figure] += getattr(used, figure)


def _last_before(heard: Sequence[tuple[int, int]], t_ns: int, otherwise_ns: int) -> int:
    """Return when the engine thread last began to look before `t_ns`: it woke, or came from another frame."""
    low, high = 0, len(heard)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if heard[middle][0] <= t_ns else (low, middle)
    return max(otherwise_ns, heard[low - 1][0]) if low else otherwise_ns


def _rows(condition: Condition, seen: Seen) -> list[dict[str, object]]:
    rows = []
    for stage, what in STAGES.items():
        times = seen.times_ms[stage]
        if not times:
            continue
        unstalled = [ms for ms, stalled in zip(times, seen.stalled, strict=True) if not stalled]
        rows.append({
            **condition.fields(), "stage": stage, "what": what, **Quantiles.of(times).fields(),
            "p99_unstalled_ms": Quantiles.of(unstalled or times).fields()["p99_ms"],
            "stalled": sum(seen.stalled), "reasons": dict(seen.reasons),
        })  # fmt: skip
    return rows


def _usage_rows(condition: Condition, seen: Seen) -> list[dict[str, object]]:
    rows = []
    for process, thread in sorted({(process, thread) for process, thread, _ in seen.usage}):
        figures = {name: seen.usage[process, thread, name] / max(1, seen.parts) for name in
                   ("wakeups", "preempted", "cpu_ns", "queued_ns")}  # fmt: skip
        if figures["wakeups"] + figures["preempted"] < 0.1:
            continue
        rows.append({
            **condition.fields(), "process": process, "thread": thread, "wakeups": round(figures["wakeups"], 2),
            "preempted": round(figures["preempted"], 2), "cpu_us": round(figures["cpu_ns"] / 1e3),
            "queued_us": round(figures["queued_ns"] / 1e3),
        })  # fmt: skip
    return rows


# -- system calls ---------------------------------------------------------------------------------


def _count_calls(stand: Stand, setting: Setting, fifo: bool) -> list[dict[str, object]]:
    """Run once under strace; return the calls of each thread for a part, and the part of them that is spent between parts."""
    if which("strace") is None:
        print("strace is not installed: system calls are not counted")
        return []
    file = stand.folder / "strace.txt"
    quiet = replace(setting, parts=200, rate_hz=20.0, fifo=fifo)
    run = stand.run(quiet, wrap=["strace", "-D", "-f", "-qq", "-ttt", "-o", str(file)])
    t_first_ns, t_last_ns = run.parts[0]["t_trigger_ns"], run.parts[-1]["t_trigger_ns"]
    names = {tid: f"{used.process} {used.thread}" for tid, used in run.usage.items()}
    return _calls_of(file, names, len(run.parts), (t_last_ns - t_first_ns) / 1e9)


def _calls_of(file: Path, names: dict[int, str], parts: int, seconds: float) -> list[dict[str, object]]:
    """Count the calls of the last `seconds` before the end of the line, by thread."""
    lines = [line.split(maxsplit=2) for line in file.read_text(errors="replace").splitlines()]
    calls = [
        (int(tid), float(t), call.partition("(")[0])
        for tid, t, call in lines
        if "(" in call and call[0] != "<"
    ]
    if not calls:
        return []
    t_end = (
        max(t for tid, t, call in calls if names.get(tid) == "station engine" and call == "epoll_wait") - 1.0
    )
    counted: dict[int, Counter[str]] = {}
    for tid, t, call in calls:
        if t_end - seconds <= t <= t_end:
            counted.setdefault(tid, Counter())[call] += 1
    rows = []
    for tid, counts in counted.items():
        if tid in names and counts.total() > parts / 2:
            most = ", ".join(f"{call} {n / parts:.1f}" for call, n in counts.most_common(6))
            rows.append({"thread": names[tid], "calls": round(counts.total() / parts, 1), "most": most})
    return rows


if __name__ == "__main__":
    sys.exit(main())
