"""The watch over the machine's own stalls: what it sees, what an outlier owes to it, and that nothing is left behind."""

import os
import signal
from pathlib import Path

import pytest

from inspector.bench.machine import Machine, in_words
from inspector.bench.stalls import Stall, StallWatch, stalled_ms
from inspector.clock import SystemClock
from tests.support.waiting import wait_for

MS = 1_000_000


def test_an_outlier_owes_what_lies_within_it_on_the_worst_cpu() -> None:
    stalls = [Stall(0, 10 * MS, 14 * MS), Stall(0, 20 * MS, 23 * MS), Stall(1, 10 * MS, 15 * MS)]
    assert stalled_ms(stalls, 0, 30 * MS) == 7.0
    assert stalled_ms(stalls, 12 * MS, 16 * MS) == 3.0
    assert stalled_ms(stalls, 15 * MS, 20 * MS) == 0.0


def test_a_stall_is_how_late_the_watcher_woke() -> None:
    assert Stall(0, 0, 6 * MS).ms == 5.0


def test_a_watcher_that_cannot_run_is_seen() -> None:
    """As by a stall of the machine: one that is stopped does not run either."""
    clock = SystemClock()
    with StallWatch() as watch:
        watchers = _children(watch.pid)
        assert len(watchers) == len(watch.cpus) == len(os.sched_getaffinity(0))
        t_start_ns = clock.now_ns()
        os.kill(watchers[0], signal.SIGSTOP)
        wait_for(lambda: clock.now_ns() - t_start_ns > 30 * MS, "30 ms")
        os.kill(watchers[0], signal.SIGCONT)
        wait_for(lambda: stalled_ms(watch.stalls, t_start_ns, clock.now_ns()) >= 25, "the stall")
    assert stalled_ms(watch.stalls, t_start_ns, clock.now_ns()) >= 25  # also once the watch is over
    for pid in watchers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_the_facts_are_those_of_this_machine() -> None:
    with Machine() as machine:
        facts = machine.facts()
    assert facts["cores"] == len(os.sched_getaffinity(0))
    assert 0 <= float(str(facts["busy_before"])) <= 1
    assert facts["stalls"] == 0 or float(str(facts["stall_longest_ms"])) > 1
    assert in_words(facts).count("\n") == 1
    assert str(facts["cpu"]) in in_words(facts)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]
