"""What a command at the shell may ask of the running station: a challenge. The main thread looks at it ten times a second.

The command is told, a packet each: `refused` and why; or `asked`, `waiting` with what the station lacks, `begun` (the next part counted is the first), `part` for each
that has its verdict, and `over` with the outcome. A command that goes before that ends its challenge.
"""

from pathlib import Path
from typing import Protocol

from inspector.config.loading import LoadedConfig
from inspector.safeguards import Progress, described, part_described
from inspector.service.local_socket import Listener

BUSY = "another challenge runs; wait until it is over"


def socket_path(loaded: LoadedConfig) -> Path:
    """Return where the daemon of this configuration listens."""
    station = loaded.config.station
    return loaded.resolve(station.state_folder) / f"{station.name}.sock"


class Desk(Protocol):
    """What this asks of the desk."""

    def ask_challenge(self, asked_by: str) -> int | None:
        """Ask for a challenge; return its ticket, None where one runs already."""

    def withdraw_challenge(self, ticket: int) -> None:
        """Take note that nobody waits for it any more."""

    @property
    def ready(self) -> bool:
        """Whether parts can pass."""

    def summary(self) -> str:
        """Say in one line how the station is."""

    def challenge_progress(self, ticket: int) -> Progress:
        """Say how far it is."""


class Requests:
    """One command's request after the other. Main thread; `look` never waits."""

    def __init__(self, path: Path, desk: Desk) -> None:
        """Listen at `path`; raises ServiceError where that fails."""
        self._listener = Listener(path)
        self._desk = desk
        self._ticket: int | None = None
        self._begun = False
        self._told = 0  # parts that the command knows of
        self._said_why = ""  # what it knows that the station lacks

    def look(self) -> None:
        """Take what commands ask, and tell them what has become of it."""
        message = self._listener.receive()
        self._listener.turn_away({"said": "refused", "why": BUSY})
        if message is not None and self._ticket is None:
            self._take(message.get("do"))
        elif not self._listener.connected:
            self._forget()
        if self._ticket is not None:
            self._follow(self._desk.challenge_progress(self._ticket))

    def close(self) -> None:
        """Hang up and stop listening."""
        self._listener.close()

    def _take(self, wanted: object) -> None:
        ticket = self._desk.ask_challenge(self._listener.who) if wanted == "challenge" else None
        if ticket is None:
            why = BUSY if wanted == "challenge" else f"this station knows no {wanted}"
            self._listener.send({"said": "refused", "why": why})
            self._listener.hang_up()
            return
        self._ticket, self._begun, self._told, self._said_why = ticket, False, 0, ""
        self._listener.send({"said": "asked"})

    def _follow(self, progress: Progress) -> None:
        if progress.begun and not self._begun:
            self._begun = True
            self._listener.send({"said": "begun"})
        elif progress.report is None and not self._desk.ready:
            self._say_why(self._desk.summary())
        for part in progress.parts[self._told :]:
            self._listener.send({"said": "part", **part_described(part)})
        self._told = len(progress.parts)
        if progress.report is not None:
            self._listener.send({"said": "over", **described(progress.report)})
            self._listener.hang_up()
            self._ticket = None

    def _say_why(self, why: str) -> None:
        """Tell what the station lacks, before and during a challenge, each time that it changes."""
        if why != self._said_why:
            self._said_why = why
            self._listener.send({"said": "waiting", "why": why})

    def _forget(self) -> None:
        if self._ticket is not None:
            self._desk.withdraw_challenge(self._ticket)
            self._ticket = None
