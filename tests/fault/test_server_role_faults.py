"""The fault proxy between a PLC that is the client and a station that is the server: parts are lost, none is wrongly released."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import Stand
from tests.support.daemon import ROOT, environment, free_port

PARTS = 80
# The proxy may hold an answer longer than a network does, and give one a second time: how often is held against its own account.
EXCUSED = ("--held-ms", 1500, "--old-answers", PARTS)


@contextmanager
def proxied(folder: Path, port: int, seed: int) -> Iterator[int]:
    """Put the fault proxy before the port; yield its own. The line's PLC comes again until it is there."""
    own = free_port()
    words = ["--port", own, "--peer", f"127.0.0.1:{port}", "--schedule", f"random:{seed}", "--every", 500]
    words += ["--json", folder / "proxy.json"]
    command = [sys.executable, str(ROOT / "tools" / "faultproxy"), *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment()) as process:
        try:
            yield own
        finally:
            process.terminate()


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_the_link_does_no_part_is_wrongly_released(stand: Stand, seed: int) -> None:
    port = free_port()
    daemon = stand.daemon(port, plc={"role": "server", "port": port})
    with (
        proxied(stand.folder, port, seed) as between,
        stand.line("--role", "client", "--port", between, "--parts", PARTS, *EXCUSED) as line,
    ):
        status = line.run()
        assert (status, line.result["broken_promises"]) == (0, [])
    assert line.result["released"] > 0
    struck = json.loads((stand.folder / "proxy.json").read_text())["faults"]
    assert sum(struck.values()) >= 1
    assert line.result["old_answers"] <= struck.get("stale_reply", 0)
    assert daemon.events("link_down")
    assert daemon.end() == 0
