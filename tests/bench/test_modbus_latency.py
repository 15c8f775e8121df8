"""tools/bench/modbus measures both roles and says so to scripts. What it measures is for people to judge."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.daemon import ROOT


def test_both_roles_are_measured_beside_a_plain_socket(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    done = subprocess.run(
        [ROOT / "tools" / "bench" / "modbus", "--calls", "500", "--json", file],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    if done.returncode == 2:
        pytest.skip(done.stderr.strip())
    assert done.stderr == ""
    written = json.loads(file.read_text())
    assert written["machine"]["cores"] > 0
    rows = written["rows"]
    assert [(row["role"], row["bound"]) for row in rows] == [
        ("client", False), ("client", True), ("client", False), ("server", False), ("server", True),
    ]  # fmt: skip
    for row in rows:
        assert 0 < row["p50_us"] <= row["p99_us"]
        assert row["times_plain"] > 0
