"""What ends a rehearsal."""

import os
import signal

import pytest

from tools.launch import STOPS, heeded
from tools.rehearsal.run import _signals

pytestmark = pytest.mark.usefixtures("signals_as_they_were")


@pytest.mark.parametrize("number", STOPS)
def test_the_first_signal_ends_the_line_and_the_second_the_rehearsal(number: signal.Signals) -> None:
    heard: list[str] = []
    with _signals(lambda: heard.append("end in order")):
        signal.raise_signal(number)
        assert heard == ["end in order"]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert heard == ["end in order"]


def test_under_nohup_a_closed_terminal_ends_nothing() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert heeded() == [signal.SIGTERM, signal.SIGINT]
    heard: list[str] = []
    with _signals(lambda: heard.append("end in order")):
        os.kill(os.getpid(), signal.SIGHUP)
    assert heard == []
