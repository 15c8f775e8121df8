"""What is asked of Linux is granted or refused, and said once; a refusal stops nothing.

Each case runs in a process of its own: these settings stay with the process.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPORTED = """
import gc, json, logging, os, resource, sys, threading
from inspector.config.schema import RealtimeConfig
from inspector.service import realtime
said = []
class Keep(logging.Handler):
    def emit(self, record):
        said.append([record.getMessage(), record.what])
logging.getLogger().addHandler(Keep()); logging.getLogger().setLevel(logging.INFO)
"""


def run(code: str) -> dict[str, Any]:
    """Run the code after REPORTED; return the object that it prints."""
    done = subprocess.run([sys.executable, "-c", REPORTED + code], capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_the_process_is_prepared_once() -> None:
    answer = run(
        "realtime.prepare_process(RealtimeConfig())\n"
        "print(json.dumps({'switch': sys.getswitchinterval(),"
        "'gc': gc.isenabled(), 'frozen': gc.get_freeze_count() > 1000, 'said': said}))"
    )
    assert answer == {
        "switch": 0.0005,
        "gc": False,
        "frozen": True,
        "said": [],
    }


def test_cycles_are_freed_on_request_after_the_collector_was_stopped() -> None:
    answer = run(
        "import weakref\n"
        "class Cycle: ...\n"
        "def make():\n"
        "    cycle = Cycle(); cycle.self = cycle\n"
        "    return weakref.ref(cycle)\n"
        "realtime.stop_garbage_collection()\n"
        "cycle = make()\n"
        "kept = cycle() is not None\n"
        "realtime.collect_garbage()\n"
        "print(json.dumps({'kept': kept, 'freed': cycle() is None, 'enabled': gc.isenabled()}))"
    )
    assert answer == {"kept": True, "freed": True, "enabled": False}


def test_cpus_that_are_not_there_are_refused() -> None:
    answer = run(
        "before = os.sched_getaffinity(0)\n"
        "granted = realtime.use_cpus([9999])\n"
        "print(json.dumps({'granted': granted, 'same': before == os.sched_getaffinity(0), 'said': said}))"
    )
    assert answer == {"granted": False, "same": True, "said": [["realtime_refused", "CPUs [9999]"]]}


def test_threads_and_processes_that_run_already_are_kept_on_the_cpus_too() -> None:
    cpu = min(os.sched_getaffinity(0))
    answer = run(
        "go, where = threading.Event(), []\n"
        "def hot():\n"
        "    go.wait(); where.extend(os.sched_getaffinity(0))\n"
        "thread = threading.Thread(target=hot); thread.start()\n"
        "import subprocess\n"
        "before = subprocess.Popen(['cat'], stdin=subprocess.PIPE)\n"
        f"realtime.use_cpus([{cpu}], before.pid)\n"
        "after = subprocess.Popen(['cat'], stdin=subprocess.PIPE)\n"
        "children = [list(os.sched_getaffinity(child.pid)) for child in (before, after)]\n"
        "before.communicate(); after.communicate()\n"
        "go.set(); thread.join()\n"
        "print(json.dumps({'cpus': where, 'children': children, 'said': said}))"
    )
    assert answer == {
        "cpus": [cpu],
        "children": [[cpu], [cpu]],
        "said": [["realtime_granted", f"CPUs [{cpu}]"]],
    }


def test_a_priority_is_of_the_calling_thread_alone() -> None:
    answer = run(
        "policies = []\n"
        "def hot():\n"
        "    realtime.prepare_thread(RealtimeConfig(fifo_priority=5))\n"
        "    policies.append(os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK)\n"
        "thread = threading.Thread(target=hot); thread.start(); thread.join()\n"
        "policies.append(os.sched_getscheduler(0))\n"
        "print(json.dumps({'policies': policies, 'said': said}))"
    )
    ((verdict, what),) = answer["said"]
    assert what == "SCHED_FIFO 5"
    if verdict == "realtime_granted":  # as root, or with a limit that allows it
        assert answer["policies"] == [os.SCHED_FIFO, os.SCHED_OTHER]
    else:
        assert verdict == "realtime_refused"
        assert answer["policies"] == [os.SCHED_OTHER, os.SCHED_OTHER]


def test_a_priority_beyond_the_limit_is_refused() -> None:
    if os.geteuid() == 0:
        drop = "os.setgid(65534); os.setuid(65534)\n"
    else:
        drop = "resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))\n"
    answer = run(
        f"resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))\n{drop}"
        "granted = realtime.use_fifo(5)\n"
        "print(json.dumps({'granted': granted, 'said': said}))"
    )
    assert answer == {"granted": False, "said": [["realtime_refused", "SCHED_FIFO 5"]]}


@pytest.mark.parametrize("limit", [65536])
def test_memory_beyond_the_limit_is_not_locked(limit: int) -> None:
    drop = "os.setgid(65534); os.setuid(65534)\n" if os.geteuid() == 0 else ""
    answer = run(
        f"resource.setrlimit(resource.RLIMIT_MEMLOCK, ({limit}, {limit}))\n{drop}"
        "granted = realtime.lock_memory()\n"
        "print(json.dumps({'granted': granted, 'said': said}))"
    )
    assert answer == {"granted": False, "said": [["realtime_refused", "mlockall"]]}


def test_the_cpus_stay_awake_for_as_long_as_the_process_lives(tmp_path: Path) -> None:
    device = tmp_path / "latency"
    device.touch()
    answer = run(
        f"granted = realtime.stay_awake({str(device)!r})\n"
        "held = [os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd')"
        " if os.path.exists(f'/proc/self/fd/{fd}')]\n"
        f"print(json.dumps({{'granted': granted, 'held': {str(device)!r} in held, 'said': said}}))"
    )
    assert answer == {"granted": True, "held": True, "said": [["realtime_granted", "CPUs that stay awake"]]}
    assert device.read_bytes() == bytes(4)  # microseconds that a CPU may take to wake


def test_cpus_that_may_not_be_kept_awake_are_left_asleep(tmp_path: Path) -> None:
    answer = run(
        f"granted = realtime.stay_awake({str(tmp_path / 'none')!r})\n"
        "print(json.dumps({'granted': granted, 'said': said}))"
    )
    assert answer == {"granted": False, "said": [["realtime_refused", "CPUs that stay awake"]]}
