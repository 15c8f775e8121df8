"""What the tests of several tools need."""

import signal
from collections.abc import Iterator

import pytest

from tools.launch import STOPS


@pytest.fixture
def signals_as_they_were() -> Iterator[None]:
    """Give the signals that stop a tool back to pytest."""
    before = {number: signal.getsignal(number) for number in STOPS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
