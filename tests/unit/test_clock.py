import ast
import datetime as dt
from pathlib import Path

import pytest

import inspector
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


def test_no_other_module_of_the_package_reads_time() -> None:
    root = Path(inspector.__file__).parent
    readers = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            if "time" in named or (isinstance(node, ast.ImportFrom) and node.module == "time"):
                readers.add(str(path.relative_to(root)))
    assert readers == {"clock.py"}
