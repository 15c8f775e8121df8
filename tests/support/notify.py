"""What systemd would hear: a socket in place of the service manager's."""

import socket
from pathlib import Path

from tests.support.waiting import wait_for


class NotifySocket:
    """Listens at `path`; a daemon that has it as NOTIFY_SOCKET talks to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    def wait_for(self, word: str) -> None:
        """Wait until a message holds this line, however many others come before."""
        wait_for(lambda: word in "\n".join(self.rest()).splitlines(), f"the service manager to hear {word}")

    def rest(self) -> list[str]:
        """Return all messages so far, in their order."""
        try:
            while True:
                self.heard.append(self._socket.recv(4096).decode())
        except BlockingIOError:
            return self.heard

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()
