"""The faults, one small class each: what it does to one request and to the answer.

An instance is one occurrence. Its fields are the arguments of the schedule; `of` says on which way it strikes: on the
`request`, before the peer sees it, or on the `reply`, after the peer has acted.
"""
# ruff: noqa: ARG002  (every fault gets the whole exchange, few need all of it)

import asyncio
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Protocol

from tools.faultproxy import framing

MS_PER_S = 1e3
WAYS = ("request", "reply")


class InputError(Exception):
    """What the user gave cannot be used; the message is one line and says what to do."""


class Wire(Protocol):
    """One client's connection and its connection to the peer, as a fault sees them."""

    def to_peer(self, frame: bytes) -> None:
        """Send bytes to the peer."""

    def to_client(self, data: bytes) -> None:
        """Send bytes to the client."""

    def earlier_reply(self, request: bytes) -> bytes | None:
        """Return the last answer given to such a request, on any connection; None where there was none."""

    def mute(self) -> None:
        """Swallow whatever still comes on this connection, both ways; it stays open."""

    def hang_up(self) -> None:
        """Close the client's connection in order, after what was sent."""

    def reset(self) -> None:
        """Break the client's connection off, by a TCP reset."""

    def black_hole(self, way: str, seconds: float) -> None:
        """Swallow all requests, or all replies, of every connection for a while."""

    def refuse(self, seconds: float) -> None:
        """Reset every connection and take no new ones for a while."""


@dataclass
class Fault:
    """Base: both ways untouched."""

    name: ClassVar[str] = "none"

    def fits(self, request: bytes, wire: Wire) -> bool:
        """Return whether it can strike this request; if not, it waits for the next."""
        return True

    async def on_request(self, wire: Wire, request: bytes) -> None:
        """Do what becomes of the request. What follows on the same connection waits until this returns."""
        wire.to_peer(request)

    async def on_reply(self, wire: Wire, request: bytes, reply: bytes) -> None:
        """Do what becomes of an answer to the request. What follows on the same connection waits too."""
        wire.to_client(reply)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments, as the schedule writes them."""
        return asdict(self)


@dataclass
class Delay(Fault):
    """Comes `ms` later. A delayed request is still delivered when the client has gone, as a network would."""

    name = "delay"
    ms: float = 50.0
    of: str = "reply"

    async def on_request(self, wire: Wire, request: bytes) -> None:
        """Hold it back, or not."""
        if self.of == "request":
            await asyncio.sleep(self.ms / MS_PER_S)
        wire.to_peer(request)

    async def on_reply(self, wire: Wire, request: bytes, reply: bytes) -> None:
        """Hold it back, or not."""
        if self.of == "reply":
            await asyncio.sleep(self.ms / MS_PER_S)
        wire.to_client(reply)


@dataclass
class BlackHole(Fault):
    """This one is swallowed, and for `ms` all that follow, on every connection. Nothing is closed."""

    name = "black_hole"
    ms: float = 0.0
    of: str = "request"

    async def on_request(self, wire: Wire, request: bytes) -> None:
        """Swallow it, or pass it on and wait for the answer."""
        if self.of == "request":
            wire.black_hole("request", self.ms / MS_PER_S)
        else:
            wire.to_peer(request)

    async def on_reply(self, wire: Wire, request: bytes, reply: bytes) -> None:
        """Swallow it: only `of: reply` comes here."""
        wire.black_hole("reply", self.ms / MS_PER_S)


@dataclass
class HalfReply(Fault):
    """Only the first `keep_bytes` of the answer, and never all; then `silence` on this connection, or `close`."""

    name = "half_reply"
    keep_bytes: int = 6
    then: str = "silence"

    async def on_reply(self, wire: Wire, request: bytes, reply: bytes) -> None:
        """Cut it."""
        wire.to_client(reply[: min(self.keep_bytes, len(reply) - 1)])
        if self.then == "close":
            wire.hang_up()
        else:
            wire.mute()


@dataclass
class Reset(Fault):
    """The connection is reset, before the peer saw the request or after it has acted."""

    name = "reset"
    of: str = "request"

    async def on_request(self, wire: Wire, request: bytes) -> None:
        """Break off here, or pass it on."""
        if self.of == "request":
            wire.reset()
        else:
            wire.to_peer(request)

    async def on_reply(self, wire: Wire, request: bytes, reply: bytes) -> None:
        """Break off: only `of: reply` comes here."""
        wire.reset()


@dataclass
class WrongId(Fault):
    """The answer's transaction id is `by` too high."""

    name = "wrong_id"
    by: int = 1

    async def on_reply(self, wire: Wire, request: bytes, reply: bytes) -> None:
        """Change the id."""
        wire.to_client(framing.with_transaction(reply, framing.transaction(reply) + self.by))


@dataclass
class ExceptionReply(Fault):
    """The request is answered with exception `code`; the peer never sees it."""

    name = "exception"
    code: int = 4

    async def on_request(self, wire: Wire, request: bytes) -> None:
        """Answer in the peer's place."""
        wire.to_client(framing.exception_reply(request, self.code))


@dataclass
class StaleReply(Fault):
    """The answer that such a request got before, instead of this one: with its `old` transaction id, or with the `new` one.

    The first is what a network does that sends a packet twice, the second what a gateway does that answers from memory.
    """

    name = "stale_reply"
    id: str = "old"

    def fits(self, request: bytes, wire: Wire) -> bool:
        """Return whether there is an earlier answer."""
        return wire.earlier_reply(request) is not None

    async def on_request(self, wire: Wire, request: bytes) -> None:
        """Take the earlier answer before this one replaces it."""
        self._earlier = wire.earlier_reply(request)
        wire.to_peer(request)

    async def on_reply(self, wire: Wire, request: bytes, reply: bytes) -> None:
        """Send the earlier one."""
        earlier = self._earlier or reply
        if self.id == "new":
            earlier = framing.with_transaction(earlier, framing.transaction(request))
        wire.to_client(earlier)


@dataclass
class DuplicateWrite(Fault):
    """A write reaches the peer twice; the client hears of it once. Waits for the next write."""

    name = "duplicate_write"

    def fits(self, request: bytes, wire: Wire) -> bool:
        """Return whether it is a write."""
        return framing.is_write(request)

    async def on_request(self, wire: Wire, request: bytes) -> None:
        """Send it for the first time."""
        self._sent_again = False
        wire.to_peer(request)

    async def on_reply(self, wire: Wire, request: bytes, reply: bytes) -> None:
        """Send it again, and pass on the answer to that. One after the other, since servers lose one of two at once."""
        if self._sent_again:
            wire.to_client(reply)
        else:
            self._sent_again = True
            wire.to_peer(request)


@dataclass
class SlowDrip(Fault):
    """The answer comes byte by byte, one each `ms`."""

    name = "slow_drip"
    ms: float = 5.0

    async def on_reply(self, wire: Wire, request: bytes, reply: bytes) -> None:
        """Drip."""
        for n in range(len(reply)):
            await asyncio.sleep(self.ms / MS_PER_S)
            wire.to_client(reply[n : n + 1])


@dataclass
class Refuse(Fault):
    """The request is lost, every connection is reset, and for `ms` new ones are refused."""

    name = "refuse"
    ms: float = 500.0

    async def on_request(self, wire: Wire, request: bytes) -> None:
        """Shut the door."""
        wire.refuse(self.ms / MS_PER_S)


FAULTS: dict[str, type[Fault]] = {
    kind.name: kind
    for kind in (
        Delay,
        BlackHole,
        HalfReply,
        Reset,
        WrongId,
        ExceptionReply,
        StaleReply,
        DuplicateWrite,
        SlowDrip,
        Refuse,
    )
}
CHOICES = {"of": WAYS, "then": ("silence", "close"), "id": ("old", "new")}
RANGES = {"ms": (0, 3_600_000), "keep_bytes": (0, 259), "by": (1, 65535), "code": (1, 255)}


def make_fault(do: object, arguments: object, where: str) -> Fault:
    """Return the fault `do` with its arguments. InputError, which begins with `where`, for what is unknown or out of range."""
    kind = FAULTS.get(do) if isinstance(do, str) else None
    if kind is None:
        raise InputError(f"{where}: expected do to be one of {', '.join(FAULTS)}, got: {do}")
    names = [field.name for field in fields(kind)]
    if not isinstance(arguments, dict) or not set(arguments) <= set(names):
        takes = f"args with {', '.join(names)}" if names else "no args"
        raise InputError(f"{where}: expected {takes} for {do}, got: {arguments}")
    for name, value in arguments.items():
        _check(name, value, where)
    return kind(**arguments)


def _check(name: str, value: object, where: str) -> None:
    if name in CHOICES:
        if value not in CHOICES[name]:
            raise InputError(f"{where}: expected {name} to be {' or '.join(CHOICES[name])}, got: {value}")
        return
    least, most = RANGES[name]
    number = (int, float) if name == "ms" else int
    if isinstance(value, bool) or not isinstance(value, number) or not least <= value <= most:
        raise InputError(f"{where}: expected {name} to be a number in {least}..{most}, got: {value}")


def _described() -> str:
    lines = []
    for name, fault in FAULTS.items():
        words = " ".join(f"{key}={value}" for key, value in fault().arguments().items())
        lines.append(f"    {name} {words}".rstrip())
    return "\n".join(lines)


DESCRIBED = _described()  # a line for each fault, with its arguments and their defaults
