"""How tools begin and are ended."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tools.launch import INTERRUPTED, STOPS, interruptible, main_of

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.usefixtures("signals_as_they_were")
BENCHES = sorted(
    path.name for path in (ROOT / "tools" / "bench").iterdir() if path.is_file() and not path.suffix
)


@pytest.mark.parametrize("number", STOPS)
def test_a_signal_ends_what_was_begun_and_a_second_one_does_not_stop_that(number: signal.Signals) -> None:
    ended: list[str] = []

    def main() -> int:
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)
            ended.append("station")
        return 0

    before = signal.getsignal(number)
    assert interruptible(main, "path") == INTERRUPTED
    assert ended == ["station"]
    assert signal.getsignal(number) is before


def test_what_was_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def main() -> int:
        os.kill(os.getpid(), signal.SIGHUP)
        return 7

    assert interruptible(main, "path") == 7


def test_a_package_that_is_missing_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "needs_much.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert main_of("needs_much", "path")() == 2
    assert main_of("needs_much", "gpu-check", "dev")() == 2
    assert capsys.readouterr().err == (
        "path: expected the package no_such_package; run `sh tools/setup` first\n"
        "gpu-check: expected the package no_such_package; run `sh tools/setup dev` first\n"
    )


@pytest.mark.parametrize("name", BENCHES)
def test_a_benchmark_without_set_up_says_what_to_do(name: str) -> None:
    command = [sys.executable, "-S", "-E", str(ROOT / "tools" / "bench"), name, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{name}: expected the package ")
    assert done.stderr.endswith("; run `sh tools/setup` first\n")
    script = (ROOT / "tools" / "bench" / name).read_text()
    assert f'"$root/tools/bench" {name} "$@"' in script
