"""What systemd would hear: a socket in place of the service manager's."""

import socket
from pathlib import Path


class NotifySocket:
    """Listens at `path`; a daemon that has it as NOTIFY_SOCKET talks to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(30)

    def wait_for(self, word: str) -> None:
        """Wait until a message holds this line; TimeoutError where none comes."""
        while not any(word in message.splitlines() for message in self.heard):
            self.hear()

    def hear(self) -> str:
        """Return the next message."""
        self.heard.append(self._socket.recv(4096).decode())
        return self.heard[-1]

    def rest(self) -> list[str]:
        """Return all messages, those included that wait to be read."""
        self._socket.setblocking(False)
        try:
            while True:
                self.hear()
        except BlockingIOError:
            return self.heard

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()
