"""A signal at any moment stops, a second one ends at once. Each case in a process of its own: signals are the process's."""

import signal
import subprocess
import sys

import pytest

BEGIN = """
import os, signal, sys
from inspector.clock import ManualClock
from inspector.service.stop import SAME_NS, StopSignals
"""


def run(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", BEGIN + code], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait_and_a_second_one_the_process(number: int) -> None:
    done = run(
        "clock = ManualClock()\n"
        "stop = StopSignals(clock)\n"
        f"print(stop.wait(0)); os.kill(os.getpid(), {number}); print(stop.wait(60), stop.wait(60), flush=True)\n"
        "clock.advance_ms(SAME_NS / 1e6)\n"
        f"os.kill(os.getpid(), {number}); stop.wait(60); print('still here')"
    )
    assert (done.returncode, done.stdout) == (128 + number, "False\nTrue True\n")
    assert done.stderr == "a second signal to stop: ended at once, without an orderly end\n"


def test_a_signal_that_is_sent_twice_is_one() -> None:
    """As timeout(1) does: to the process, then to its group."""
    done = run(
        "clock = ManualClock()\n"
        "stop = StopSignals(clock)\n"
        "os.kill(os.getpid(), signal.SIGINT); print(stop.wait(60))\n"
        "clock.advance_ms(SAME_NS / 2e6)\n"
        "os.kill(os.getpid(), signal.SIGINT); print(stop.wait(60), 'still here')"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\nTrue still here\n", "")


def test_a_signal_between_any_two_steps_of_a_wait_is_heard() -> None:
    """The signal comes at the first step of the wait, then at the second, and so on, down into the standard library."""
    done = run(
        "def wait_with_a_signal_at(step):\n"
        "    stop, steps = StopSignals(), 0\n"
        "    def trace(frame, what, argument):\n"
        "        nonlocal steps\n"
        "        frame.f_trace_opcodes = True\n"
        "        if steps == step:\n"
        "            os.kill(os.getpid(), signal.SIGTERM)\n"
        "        steps += 1\n"
        "        return trace\n"
        "    sys.settrace(trace)\n"
        "    stop.wait(0.001)\n"
        "    sys.settrace(None)\n"
        "    assert stop.wait(0) == (steps > step)\n"
        "    return steps > step\n"
        "step = 0\n"
        "while wait_with_a_signal_at(step):\n"
        "    step += 1\n"
        "print(step > 3)"
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
