import datetime as dt

import pytest

from inspector.clock import NS_PER_MS, ManualClock, SystemClock, utc_label


def test_the_system_clock_never_goes_back() -> None:
    clock = SystemClock()
    times = [clock.now_ns() for _ in range(1000)]
    assert times == sorted(times)


def test_a_manual_clock_moves_only_when_told_and_only_forward() -> None:
    clock = ManualClock(5)
    assert (clock.now_ns(), clock.now_ns()) == (5, 5)
    clock.advance_ms(1.5)
    assert clock.now_ns() == 5 + 1.5 * NS_PER_MS
    with pytest.raises(ValueError, match="forward"):
        clock.advance_ms(-1)


def test_the_label_is_utc() -> None:
    label = dt.datetime.fromisoformat(utc_label())
    assert label.utcoffset() == dt.timedelta(0)
