"""The whole line: linesim's parts pass simcam, the daemon judges them, linesim's gate follows. linesim judges the daemon."""

import signal
from collections import Counter

from inspector.config.loading import load
from inspector.model.pack import load_pack
from tests.conftest import Stand
from tests.support.daemon import Entry, free_port
from tests.support.line import STALLS
from tests.support.notify import NotifySocket
from tests.support.waiting import wait_for

PARTS = 60


def test_sixty_parts_pass_or_are_rejected_as_they_should(stand: Stand) -> None:
    with stand.line("--parts", PARTS) as line:
        daemon = stand.daemon(line.port)
        assert line.run() == 0, line.result
        result = line.result
        assert result["broken_promises"] == []
        assert (result["parts"], result["wrong_releases"], result["released_bad"]) == (PARTS, 0, 0)
        assert result["rejected_good_by_score"] == 0
        assert {part["reason"] for part in line.parts() if part["truth"] == "good"} <= {"NONE", *STALLS}
        assert result["released"] > result["good"] / 2
        assert daemon.end() == 0
    written = Counter(entry["reason"] for entry in daemon.events("verdict"))
    assert written == Counter(part["reason"] for part in line.parts())
    check_log(daemon.log())
    pack, loaded = load_pack(stand.pack), load(daemon.config)
    decided_by = {"model": pack.model_hash, "threshold": pack.threshold, "config": loaded.sha256}
    for entry in daemon.events("verdict"):  # I6, I7
        assert entry.items() >= {**decided_by, "recipe": 1, "simulated": True}.items()
        assert entry["t_trigger_ns"] <= entry["t_decided_ns"] <= entry["t_written_ns"]


def check_log(entries: list[Entry]) -> None:
    """I8: the numbers of one start are contiguous from 0; at this pace nothing is dropped."""
    assert [entry["seq"] for entry in entries] == list(range(len(entries)))
    assert not any(entry["event"] == "dropped" for entry in entries)


def test_the_service_manager_hears_ready_then_alive_then_stopping(
    stand: Stand, manager: NotifySocket
) -> None:
    daemon = stand.daemon(free_port(), environment={"NOTIFY_SOCKET": str(manager.path)})
    manager.wait_for("READY=1")
    daemon.wait_for("engine_ready")
    beats = manager.rest().count("WATCHDOG=1")
    wait_for(lambda: manager.rest().count("WATCHDOG=1") > beats, "another sign of life")
    assert daemon.end(signal.SIGTERM) == 0
    words = [message.splitlines()[0] for message in manager.rest()]
    assert words.count("READY=1") == words.count("STOPPING=1") == 1
    assert words.index("READY=1") < words.index("STOPPING=1") == len(words) - 1
