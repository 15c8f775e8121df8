"""What systemd hears, read from a socket as systemd would."""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from inspector.clock import NS_PER_S
from inspector.service.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A notify socket and the name of it in NOTIFY_SOCKET."""
    name = f"@inspector-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name.replace("@", "\0", 1))
        listening.settimeout(5)
        yield listening, name


def test_systemd_hears_every_state(listener: tuple[socket.socket, str]) -> None:
    listening, name = listener
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": name})
    notifier.ready("12 parts,\n0 rejects")
    notifier.alive("waiting for the PLC", 5 * NS_PER_S)
    notifier.status("waiting for the PLC")
    notifier.stopping()
    heard = [listening.recv(1000) for _ in range(4)]
    assert heard == [
        b"READY=1\nSTATUS=12 parts, 0 rejects",
        b"WATCHDOG=1",
        b"STATUS=waiting for the PLC",
        b"STOPPING=1\nSTATUS=stopping",
    ]
    notifier.close()
    notifier.alive("gone", 9 * NS_PER_S)


@pytest.mark.parametrize(
    ("environment", "beats"),
    [
        ({}, 6),
        ({"WATCHDOG_USEC": "1000000"}, 11),
        ({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid())}, 11),
        ({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}, 6),
        ({"WATCHDOG_USEC": "30000000"}, 6),
        ({"WATCHDOG_USEC": "soon"}, 6),
        ({"WATCHDOG_USEC": "0"}, 6),
    ],
)
def test_five_seconds_are_a_beat_a_second_or_two_in_the_watchdogs_time(
    tmp_path: Path, environment: dict[str, str], beats: int
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        notifier = Notifier.from_environment({**environment, "NOTIFY_SOCKET": str(tmp_path / "notify")})
        heard = []
        for tenth in range(100, 151):
            notifier.alive("up", tenth * NS_PER_S // 10)
            with contextlib.suppress(BlockingIOError):
                while True:
                    heard.append(listening.recv(1000))
        notifier.close()
    assert heard.count(b"WATCHDOG=1") == beats
    assert heard.count(b"STATUS=up") == 1


def test_without_systemd_nothing_happens() -> None:
    notifier = Notifier.from_environment({})
    notifier.ready("up")
    notifier.close()


def test_a_socket_that_is_gone_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier(str(tmp_path / "gone"))
    with caplog.at_level(logging.WARNING):
        notifier.stopping()
        notifier.stopping()
    assert [record.message for record in caplog.records] == ["notify_failed"]
    notifier.close()


def test_a_socket_that_nobody_reads_does_not_hold_the_station(tmp_path: Path) -> None:
    """Its queue is full after some messages: a blocking send would never return."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        notifier = Notifier(str(tmp_path / "notify"))
        for _ in range(2000):
            notifier.stopping()
        notifier.close()
