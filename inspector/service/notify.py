"""Telling systemd how the station is: ready, alive, stopping (sd_notify(3)). Without systemd all of it does nothing."""

import logging
import os
import socket
from collections.abc import Mapping
from typing import Final, Self

from inspector.clock import NS_PER_S

log = logging.getLogger(__name__)

_NS_PER_US: Final = 1000


class Notifier:
    """The way to the service manager's socket. Any thread; never waits, never raises: a lost message is logged once."""

    def __init__(self, address: str = "", watchdog_ns: int = 0) -> None:
        """Send to `address`, a path or `@name`; empty = nobody listens. `watchdog_ns` = 0: no watchdog."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._interval_ns = min(watchdog_ns // 2, NS_PER_S) if watchdog_ns else NS_PER_S
        self._t_next_ns = 0
        self._failed = False
        self._shown = ""
        self._socket = (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) if address else None
        )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read what systemd set: NOTIFY_SOCKET, WATCHDOG_USEC and for whom (WATCHDOG_PID)."""
        microseconds = environment.get("WATCHDOG_USEC", "")
        meant = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        watchdog_ns = int(microseconds) * _NS_PER_US if meant and microseconds.isdigit() else 0
        return cls(environment.get("NOTIFY_SOCKET", ""), watchdog_ns)

    def ready(self, status: str) -> None:
        """Say that the station is up: systemd starts what waits for it."""
        self._send(f"READY=1\nSTATUS={_one_line(status)}")

    def status(self, status: str) -> None:
        """Set the line that `systemctl status` shows. The line it shows already is not sent again."""
        line = _one_line(status)
        if line != self._shown:
            self._send(f"STATUS={line}")
            self._shown = line

    def alive(self, status: str, now_ns: int) -> None:
        """Say that the station is alive, and how it is. Call it only where its hot threads have shown that they move.

        However often it is called, it speaks once a second, and no less than twice in the watchdog's time.
        """
        if now_ns >= self._t_next_ns:
            self._t_next_ns = now_ns + self._interval_ns
            self._send("WATCHDOG=1")
            self.status(status)

    def stopping(self, status: str = "stopping") -> None:
        """Say that the station ends in order."""
        self._send(f"STOPPING=1\nSTATUS={_one_line(status)}")

    def close(self) -> None:
        """Close the socket; later calls do nothing."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(message.encode(), socket.MSG_DONTWAIT, self._address)
        except OSError as error:
            if not self._failed:
                log.warning("notify_failed", extra={"error": str(error)})
            self._failed = True
        else:
            self._failed = False


def _one_line(status: str) -> str:
    return " ".join(status.split())
