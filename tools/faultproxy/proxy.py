"""The proxy: listens, connects each client to the peer, and lets each request meet its fault. One event loop.

Each connection has two tasks, one for each way, so that what is not struck passes as if nothing stood between.
"""

import asyncio
import contextlib
import os
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from tools.faultproxy import framing
from tools.faultproxy.faults import Fault, InputError
from tools.faultproxy.schedule import Script, Step

NS_PER_S = 1_000_000_000
OPEN_MAX = 64  # requests of one connection whose answers may still come; nobody has more on their way
CONNECT_TIMEOUT_S = 3.0
LINGER_ZERO = struct.pack("ii", 1, 0)  # close() then sends a reset


class Proxy:
    """Between clients that connect to `host:port` and the server at `peer`. `start` once, `stop` once."""

    def __init__(
        self,
        peer: tuple[str, int],
        steps: Sequence[Step] = (),
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tell: Callable[..., None] = lambda _event, **_fields: None,
    ) -> None:
        """`tell(event, **fields)` is called for whoever watches; it must not block."""
        self.peer, self.host, self.port = peer, host, port
        self.script = Script(steps)
        self.counts = Counter[str]()
        self.struck: list[dict[str, Any]] = []
        self.ended = asyncio.Event()  # set by whoever wants it to end, and where it can listen no more:
        self.failure: InputError | None = None  # for this reason
        self._tell = tell
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._earlier: dict[bytes, bytes] = {}
        self._dark_until_ns = {"request": 0, "reply": 0}
        self._t_first_ns: int | None = None

    async def start(self) -> None:
        """Listen. Port 0 takes a free one and keeps it. Raises InputError where the port cannot be had."""
        try:
            self._server = await asyncio.start_server(self._accept, self.host, self.port)
        except OSError as error:
            raise InputError(
                f"expected a free port at {self.host}:{self.port}, got: {_reason(error)}; stop what uses it, or take --port 0"
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close everything."""
        await self._shut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def report(self) -> dict[str, Any]:
        """Return the counts, what struck where (a schedule of its own), and what waited in vain."""
        names = ("connections", "requests", "replies", "swallowed", "peer_unreachable", "not_modbus")
        return {
            **{name: self.counts[name] for name in names},
            "faults": dict(sorted(Counter(entry["do"] for entry in self.struck).items())),
            "struck": self.struck,
            "waiting": [step.entry() for step in self.script.waiting],
        }

    # -- what a connection asks of the proxy ------------------------------------------------------

    def choose(self, request: bytes, connection: "Connection") -> Fault:
        """Count a request and return the fault that strikes it."""
        self.counts["requests"] += 1
        now_ns = time.monotonic_ns()
        if self._t_first_ns is None:
            self._t_first_ns = now_ns
        number, t_s = self.counts["requests"], (now_ns - self._t_first_ns) / NS_PER_S
        step, fault = self.script.take(number, t_s, lambda fault: fault.fits(request, connection))
        if step is not None:
            self.struck.append({"at_request": number, "do": step.do, "args": fault.arguments()})
            self._tell("fault", t_s=round(t_s, 3), **self.struck[-1])
        return fault

    def is_dark(self, way: str) -> bool:
        """Return whether a black hole swallows what goes this way now; counts it."""
        dark = time.monotonic_ns() < self._dark_until_ns[way]
        self.counts["swallowed"] += dark
        return dark

    def black_hole(self, way: str, seconds: float) -> None:
        """Open one for so long, from now."""
        self.counts["swallowed"] += 1
        self._dark_until_ns[way] = time.monotonic_ns() + round(seconds * NS_PER_S)

    def refuse(self, seconds: float) -> None:
        """Reset all connections, stop listening, and listen again later. Returns at once."""
        for connection in list(self._connections):
            connection.reset()
        if self._server is not None:
            self._server.close()
            self._server = None
            self._spawn(self._listen_again(seconds))

    def remember(self, request: bytes, reply: bytes) -> None:
        """Keep the peer's answer to such a request."""
        self._earlier[framing.question(request)] = reply

    def earlier_reply(self, request: bytes) -> bytes | None:
        """Return the last answer kept for such a request."""
        return self._earlier.get(framing.question(request))

    # -- connections --------------------------------------------------------------------------------

    async def _listen_again(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        try:
            await self.start()
        except InputError as error:
            self.failure = error
            self.ended.set()

    async def _shut(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for connection in list(self._connections):
            connection.hang_up()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counts["connections"] += 1
        self._spawn(self._serve(reader, writer))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                peer_reader, peer_writer = await asyncio.open_connection(*self.peer)
        except OSError as error:  # TimeoutError too
            self.counts["peer_unreachable"] += 1
            self._tell("peer_unreachable", why=str(error))
            writer.close()
            return
        connection = Connection(self, writer, peer_writer)
        self._connections.add(connection)
        try:
            await connection.run(reader, peer_reader)
        except framing.FramingError as error:
            self.counts["not_modbus"] += 1
            self._tell("not_modbus", why=str(error))
        finally:
            self._connections.discard(connection)
            connection.hang_up()
            peer_writer.close()


class Connection:
    """One client's connection and its own to the peer: the `Wire` of the faults."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter, peer: asyncio.StreamWriter) -> None:
        self._proxy, self._client, self._peer = proxy, client, peer
        self._asked: dict[int, tuple[bytes, Fault]] = {}  # by transaction id
        self._muted = False

    async def run(self, client: asyncio.StreamReader, peer: asyncio.StreamReader) -> None:
        """Carry frames both ways until either side hangs up. Raises FramingError where one speaks something else."""
        ways = (
            asyncio.create_task(self._carry_requests(client)),
            asyncio.create_task(self._carry_replies(peer)),
        )
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in done:
                way.result()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _carry_requests(self, reader: asyncio.StreamReader) -> None:
        while (request := await framing.read_frame(reader)) is not None:
            if self._muted or self._proxy.is_dark("request"):
                continue
            fault = self._proxy.choose(request, self)
            self._expect(request, fault)
            await fault.on_request(self, request)

    async def _carry_replies(self, reader: asyncio.StreamReader) -> None:
        while (reply := await framing.read_frame(reader)) is not None:
            self._proxy.counts["replies"] += 1
            if self._muted or self._proxy.is_dark("reply"):
                continue
            request, fault = self._asked.get(framing.transaction(reply), (None, None))
            if request is None or fault is None:
                self.to_client(reply)  # the peer's own mistake: not ours to mend
                continue
            await fault.on_reply(self, request, reply)
            self._proxy.remember(request, reply)

    def _expect(self, request: bytes, fault: Fault) -> None:
        number = framing.transaction(request)
        self._asked.pop(number, None)
        self._asked[number] = (request, fault)
        if len(self._asked) > OPEN_MAX:
            del self._asked[next(iter(self._asked))]

    # -- the wire, as faults see it -----------------------------------------------------------------

    def to_peer(self, frame: bytes) -> None:
        """Send bytes to the peer."""
        self._peer.write(frame)

    def to_client(self, data: bytes) -> None:
        """Send bytes to the client."""
        if not self._client.is_closing():
            self._client.write(data)

    def earlier_reply(self, request: bytes) -> bytes | None:
        """Return the last answer given to such a request, on any connection."""
        return self._proxy.earlier_reply(request)

    def mute(self) -> None:
        """Swallow whatever still comes, both ways."""
        self._muted = True

    def hang_up(self) -> None:
        """Close the client's side in order."""
        self._client.close()

    def reset(self) -> None:
        """Break the client's side off."""
        with contextlib.suppress(OSError):  # it may have gone by itself
            self._client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
        self._client.transport.abort()

    def black_hole(self, way: str, seconds: float) -> None:
        """Swallow all that goes this way on every connection."""
        self._proxy.black_hole(way, seconds)

    def refuse(self, seconds: float) -> None:
        """Reset every connection, and take no new ones."""
        self._proxy.refuse(seconds)


def _reason(error: OSError) -> str:
    """Return the system's words: asyncio's repeat the address."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
