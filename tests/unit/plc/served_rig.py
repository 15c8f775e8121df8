"""The server role on a scripted desk, and a bare client: nothing but this file stands between the test and the bytes."""

import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from inspector.config.schema import PlcConfig
from inspector.plc.registers import CONTROL, STATUS_WORDS, Control, Status, decode_status, encode_control
from inspector.plc.server_link import ServedLink
from tests.unit.plc.link_rig import FAR_MS, FakeDesk, clock
from tests.unit.plc.scripted import PATIENCE_S

UNIT = 1
CONTROL_AT, SIGNALS_AT, STATUS_AT, VISION_AT = 300, 310, 200, 320


class Refused(Exception):  # noqa: N818 - an answer
    """The server answered with an exception code."""


class BareClient:
    """One connection. A context manager."""

    def __init__(self, port: int, host: str = "127.0.0.1", source: str = "") -> None:
        self.socket = socket.create_connection(
            (host, port), PATIENCE_S, source_address=(source, 0) if source else None
        )
        self._transaction = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, pdu: bytes, *, unit: int = UNIT) -> bytes:
        """Send one request and return its answer, both without the header."""
        self.send(pdu, unit=unit)
        return self.answer()

    def send(self, *pdus: bytes, unit: int = UNIT) -> None:
        """Send requests in one packet."""
        frames = b""
        for pdu in pdus:
            self._transaction += 1
            frames += struct.pack(">HHHB", self._transaction, 0, len(pdu) + 1, unit) + pdu
        self.socket.sendall(frames)

    def answer(self) -> bytes:
        """Return the next answer. Raises Refused, ConnectionError."""
        header = self._exactly(7)
        pdu = self._exactly(struct.unpack(">HHHB", header)[2] - 1)
        if pdu[0] & 0x80:
            raise Refused(pdu[1])
        return pdu

    def read(self, address: int, count: int, *, function: int = 3, unit: int = UNIT) -> list[int]:
        """Read registers."""
        pdu = self.ask(struct.pack(">BHH", function, address, count), unit=unit)
        assert pdu[:2] == bytes([function, 2 * count])
        return list(struct.unpack(f">{count}H", pdu[2:]))

    def write(self, address: int, words: Sequence[int]) -> None:
        """Write registers (function 16)."""
        assert self.ask(writing(address, words)) == struct.pack(">BHH", 16, address, len(words))

    def set_control(self, control: Control) -> None:
        """Write the control block."""
        self.write(CONTROL_AT, encode_control(control))

    def write_field(self, name: str, value: int) -> None:
        """Write one word of the control block (function 6)."""
        offset = next(field.offset for field in CONTROL if field.name == name)
        self.ask(struct.pack(">BHH", 6, CONTROL_AT + offset, value))

    def slot(self, part_id: int) -> list[int]:
        """Return the words of the part's slot."""
        return self.read(part_id % 16 * 8, 8)

    def status(self) -> Status:
        """Return the status block."""
        return decode_status(self.read(STATUS_AT, STATUS_WORDS))

    def is_dropped(self) -> bool:
        """Wait for the end of the connection."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise ConnectionResetError
            data += piece
        return data


def writing(address: int, words: Sequence[int]) -> bytes:
    """Return the request that writes registers (function 16)."""
    return struct.pack(f">BHHB{len(words)}H", 16, address, len(words), 2 * len(words), *words)


class Served(ServedLink):
    """A link that the test can hold still."""

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Keep the thread from serving, as a machine that stalls does."""
        held, release = threading.Event(), threading.Event()

        def wait() -> None:
            held.set()
            release.wait(PATIENCE_S)

        on_tick, self._desk.on_tick = self._desk.on_tick, wait  # type: ignore[method-assign]
        self.wake()
        held.wait(PATIENCE_S)
        try:
            yield
        finally:
            self._desk.on_tick = on_tick  # type: ignore[method-assign]
            release.set()


def configured(**settings: Any) -> PlcConfig:
    """Everything rare, unless the test wants it otherwise; any free port."""
    server = {"idle_ms": FAR_MS} | settings.pop("server", {})
    rare: dict[str, Any] = {"status_ms": FAR_MS, "heartbeat_timeout_ms": FAR_MS}
    config = PlcConfig(role="server", **{**rare, **settings}, server=server)
    return config.model_copy(update={"port": settings.get("port", 0)})


@contextmanager
def serving(desk: FakeDesk, *, timeout_ms: float = FAR_MS, **settings: Any) -> Iterator[Served]:
    """Run the server role on the desk."""
    link = Served(configured(**settings), timeout_ms, desk, clock)
    link.start()
    try:
        desk.wait_for(lambda: link.port != 0)
        yield link
    finally:
        link.stop(PATIENCE_S)
        assert not link._thread.is_alive()
