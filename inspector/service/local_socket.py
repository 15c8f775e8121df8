"""A socket in the state folder by which a command reaches the running daemon. No network: the file's rights say who may.

Packets of JSON over AF_UNIX; the connection lasts as long as the command, so that either side sees the other's end.
"""

import contextlib
import json
import os
import pwd
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from inspector.errors import NotRunningError, ServiceError

Message = dict[str, Any]
LARGEST = 1 << 16  # bytes of a packet
RIGHTS = 0o600  # the daemon's own user, and root


class Listener:
    """The daemon's end: one command at a time. One thread; nothing here waits."""

    def __init__(self, path: Path) -> None:
        """Listen at `path`. Hold the StationLock: what stands there was left by a daemon that died. Raises ServiceError."""
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        self._peer: socket.socket | None = None
        self.who = ""  # the user whose command is connected
        try:
            os.fchmod(self._socket.fileno(), RIGHTS)  # before there is a file that others could open
            path.unlink(missing_ok=True)
            with _short(path) as name:
                self._socket.bind(name)
            self._socket.listen(4)
        except OSError as error:
            self._socket.close()
            raise ServiceError(
                f"expected to listen at {path}, but: {error.strerror}; see station.state_folder"
            ) from error

    def receive(self) -> Message | None:
        """Return what the command says, None where it says nothing (yet). Look at `connected` to see that it has gone."""
        if self._peer is None:
            with contextlib.suppress(BlockingIOError):
                self._peer, _ = self._socket.accept()
                self._peer.setblocking(False)
                self.who = _user_of(self._peer)
        if self._peer is None:
            return None
        try:
            packet = self._peer.recv(LARGEST)
            message = json.loads(packet) if packet else None
        except BlockingIOError:
            return None
        except (OSError, ValueError):
            message = None
        if not isinstance(message, dict):
            self.hang_up()
            return None
        return message

    def turn_away(self, message: Message) -> None:
        """Tell a second command why it cannot be heard, and hang up on it."""
        if self._peer is not None:
            with contextlib.suppress(OSError):  # there is none, or it has gone already
                other, _ = self._socket.accept()
                with other:
                    other.setblocking(False)
                    with contextlib.suppress(BlockingIOError):
                        other.recv(
                            LARGEST
                        )  # what it asks: left unread, it would be told of a reset and nothing else
                    other.send(json.dumps(message).encode())

    @property
    def connected(self) -> bool:
        """Whether there is a command."""
        return self._peer is not None

    def send(self, message: Message) -> None:
        """Tell the command; one that does not listen is hung up on."""
        if self._peer is not None:
            try:
                self._peer.send(json.dumps(message, allow_nan=False).encode())
            except OSError:
                self.hang_up()

    def hang_up(self) -> None:
        """End the connection to the command."""
        peer, self._peer = self._peer, None
        if peer is not None:
            peer.close()

    def close(self) -> None:
        """Hang up, stop listening, remove the file."""
        self.hang_up()
        self._socket.close()
        self._path.unlink(missing_ok=True)


class Caller:
    """The command's end. A context manager."""

    def __init__(self, path: Path) -> None:
        """Connect to the daemon that listens at `path`. Raises NotRunningError where none does, or not to this user."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with _short(path) as name:
                self._socket.connect(name)
        except PermissionError as error:
            self._socket.close()
            raise NotRunningError(
                f"expected to be allowed to open {path}: run this as the daemon's user"
            ) from error
        except OSError as error:
            self._socket.close()
            raise NotRunningError(
                f"expected a running daemon at {path}, but there is none ({error.strerror}); start it with `inspector run`"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, message: Message) -> None:
        """Say something. Where the daemon has hung up, what it said before is still to be received."""
        with contextlib.suppress(BrokenPipeError):
            self._socket.send(json.dumps(message).encode())

    def receive(self, timeout_s: float) -> Message | None:
        """Return what the daemon says next, None where it says nothing for so long. Raises NotRunningError where it has gone."""
        self._socket.settimeout(timeout_s)
        try:
            packet = self._socket.recv(LARGEST)
        except TimeoutError:
            return None
        except OSError as error:
            raise NotRunningError(f"the daemon ended: {error.strerror}; see its log") from error
        if not packet:
            raise NotRunningError("the daemon ended; see its log")
        message: Message = json.loads(packet)
        return message


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """Give a socket's path a name that is short enough for the kernel, which takes no more than 107 bytes."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _user_of(peer: socket.socket) -> str:
    """Return the name of the user at the other end, or the number where it has none."""
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
