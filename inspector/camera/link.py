"""The control socket between the station and the camera process: JSON messages, each whole or not at all, with descriptors.

Station to camera: `open` (settings, generation), `change` (features, generation), `trigger`, `list` (backend, producer), `stop`; the
end of the socket means stop, too.
Camera to station: `opened` (generation, info; the ring's descriptor), also after each change; `devices`, `alive` (counters), `log`,
`error` (code, message).
"""

import array
import json
import socket
from dataclasses import dataclass, field
from typing import Any, Self

_LARGEST = 256 * 1024  # a list of some hundred devices
_FDS_MAX = 1


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `fds` belong to the receiver, who closes them."""

    kind: str
    fields: dict[str, Any]
    fds: list[int] = field(default_factory=list)


class Link:
    """One end of the socket. Sending never blocks: a message that does not fit is dropped and counted."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self.dropped = 0

    @classmethod
    def pair(cls) -> tuple[Self, Self]:
        """Return two connected ends."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LARGEST)
        return cls(ours), cls(theirs)

    @classmethod
    def from_fd(cls, fd: int) -> Self:
        """Return the end that was inherited as descriptor `fd`."""
        return cls(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=fd))

    def fileno(self) -> int:
        """Return the descriptor, for selectors."""
        return self._socket.fileno()

    def send(self, kind: str, /, *, fds: tuple[int, ...] = (), **fields: Any) -> bool:
        """Send a message; False where the other end is gone or does not read."""
        data = json.dumps([kind, fields], default=str).encode()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self._socket.sendmsg([data], rights, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:  # full, gone, or the message is longer than the socket takes
            self.dropped += 1
            return False
        return True

    def receive(self, *, wait: bool = False) -> Message | None:
        """Return the next message, None where there is none now. EOFError at the end of the socket."""
        flags = socket.MSG_CMSG_CLOEXEC | (0 if wait else socket.MSG_DONTWAIT)
        try:
            data, ancillary, _, _ = self._socket.recvmsg(_LARGEST, socket.CMSG_LEN(_FDS_MAX * 4), flags)
        except BlockingIOError:
            return None
        except ConnectionResetError as e:
            raise EOFError from e
        if not data:
            raise EOFError
        fds = array.array("i")
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
        name, fields = json.loads(data)
        return Message(name, fields, list(fds))

    def close(self) -> None:
        """Close this end; the other one sees the end of the socket."""
        self._socket.close()
