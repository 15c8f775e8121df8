"""A station made of a socket: writes whatever verdicts a test wants, by a Modbus client of its own twenty lines.

It plays the camera too: it hears the pulses, so that it knows which image each part shows.
"""

import itertools
import json
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from inspector.part import Outcome, Reason
from inspector.plc.registers import (
    CONTROL_WORDS,
    RegisterMap,
    State,
    Status,
    decode_control,
    encode_status,
)

LINESIM = Path(__file__).parents[2] / "tools" / "linesim"
SLOTS = 128
RESULTS = 1000  # so many slots do not fit where they stand by default
BUDGET_MS = 400  # far beyond any stall: these tests are not about speed
NO_SCORE = 0xFFFF
Words = tuple[int, ...]


def verdict_words(part_id: int, outcome: int, reason: int = Reason.NONE, score: int = NO_SCORE) -> Words:
    """Return a slot's words."""
    return (part_id, outcome, reason, score, 0, 1, 1, part_id)


class ModbusRefusalError(Exception):
    """The server answered with an exception code."""


class ModbusSocket:
    """The least of a Modbus TCP client."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ids = itertools.count(1)

    def call(self, pdu: bytes) -> bytes:
        """Return the answer's data, or raise ModbusRefusalError with the exception code."""
        head = struct.pack(">HHHB", next(self._ids) & 0xFFFF, 0, len(pdu) + 1, 1)
        self._socket.sendall(head + pdu)
        length = struct.unpack(">HHHB", self._exactly(7))[2] - 1
        answer = self._exactly(length)
        if answer[0] & 0x80:
            raise ModbusRefusalError(answer[1])
        return answer[1:]

    def read(self, address: int, count: int, function: int = 3) -> list[int]:
        """Read registers."""
        return list(struct.unpack(f">{count}H", self.call(struct.pack(">BHH", function, address, count))[1:]))

    def write(self, address: int, words: Sequence[int]) -> None:
        """Write registers in one call (FC 16)."""
        n = len(words)
        self.call(struct.pack(f">BHHB{n}H", 16, address, n, 2 * n, *words))

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self._socket.recv(count - len(data))
            if not piece:
                raise ConnectionResetError("closed by the PLC")
            data += piece
        return data


@dataclass
class StubStation:
    """Follows the part count and, for each part, does what `behave(station, part_id, image)` says.

    `behave` returns the writes to make: (delay in ms after the part was seen, slot words).
    """

    port: int
    camera: socket.socket
    behave: Callable[[int, str], list[tuple[float, Words]]]
    extra_parts: int = 0  # a station that miscounts
    registers: RegisterMap = field(default_factory=lambda: RegisterMap(results_address=RESULTS, slots=SLOTS))
    parts: int = 0
    rejects: int = 0
    late: int = 0
    pulses: list[str] = field(default_factory=list)
    _last: int | None = None
    _beat: int = 0
    _due: list[tuple[float, int, Words]] = field(default_factory=list)
    _judged: set[int] = field(default_factory=set)

    def run(self, over: Callable[[], bool]) -> None:
        """Serve until `over`, reconnecting as long as it takes."""
        while not over():
            try:
                modbus = ModbusSocket(self.port)
            except OSError:
                continue
            try:
                while not over():
                    self._step(modbus)
            except (OSError, struct.error):
                pass
            finally:
                modbus.close()

    def _step(self, modbus: ModbusSocket) -> None:
        count = decode_control(modbus.read(self.registers.control_address, CONTROL_WORDS)).part_count
        if self._last is None:
            self._last = count
        if count < self._last and self._last - count < 60_000:
            self._last = 0  # the PLC began anew
        while self._last != count:
            self._last = self._last % 65535 + 1
            self._take(self._last)
        now = time.monotonic()
        for entry in [entry for entry in self._due if entry[0] <= now]:
            _, slot, words = entry
            modbus.write(slot, words)
            self._due.remove(entry)
        self._write_status(modbus)

    def _take(self, part_id: int) -> None:
        self.pulses.append(self.camera.recv(256).decode())
        image = self.pulses[-1].partition("image=")[2]
        writes = self.behave(part_id, image)
        now = time.monotonic()
        slot = self.registers.slot_address(part_id)
        self._due += [(now + delay / 1000, slot, words) for delay, words in writes]
        first = writes[0][1] if writes else verdict_words(part_id, Outcome.REJECT, Reason.ENGINE)
        self.parts += 1
        self.rejects += first[1] != Outcome.PASS
        self.late += first[2] == Reason.LATE

    def _write_status(self, modbus: ModbusSocket) -> None:
        self._beat = (self._beat + 1) & 0xFFFF
        parts = self.parts + (self.extra_parts if self.parts else 0)
        state = State.ONLINE | State.READY | State.SIMULATED
        status = Status(self._beat, state, 0, 1, parts, self.rejects, self.late, 0)
        modbus.write(self.registers.status_address, encode_status(status))


@dataclass
class LineRun:
    """One run of the command `linesim --live` and what it said."""

    process: subprocess.Popen[str]
    camera: socket.socket
    folder: Path
    port: int

    @classmethod
    def start(cls, folder: Path, *options: str, images: dict[str, list[str]]) -> Self:
        """Start linesim on a free port and wait until it listens."""
        (folder / "images.json").write_text(json.dumps(images))
        camera = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        camera.bind(str(folder / "camera.sock"))
        camera.settimeout(10)
        arguments = {
            "--images": folder / "images.json",
            "--camera": folder / "camera.sock",
            "--port": 0,
            "--slots": SLOTS,
            "--results-address": RESULTS,
            "--budget-ms": BUDGET_MS,
            "--rate": 100,
            "--json": folder / "result.json",
            "--record": folder / "parts.jsonl",
        }
        flat = [str(word) for pair in arguments.items() for word in pair]
        process = subprocess.Popen(
            [sys.executable, str(LINESIM), *flat, "--live", *options], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        assert first["event"] == "listening"
        return cls(process, camera, folder, first["port"])

    def with_station(
        self, behave: Callable[[int, str], list[tuple[float, Words]]], *, extra_parts: int = 0
    ) -> tuple[int, dict[str, Any], StubStation]:
        """Run a stub station until the line has ended; return its exit status, its result and the station."""
        station = StubStation(self.port, self.camera, behave, extra_parts=extra_parts)
        station.run(lambda: self.process.poll() is not None)
        return self.process.returncode, json.loads((self.folder / "result.json").read_text()), station

    def record(self) -> list[dict[str, Any]]:
        """Return what the line recorded of each part."""
        return [json.loads(line) for line in (self.folder / "parts.jsonl").read_text().splitlines()]

    def close(self) -> None:
        """End the process if it has not ended, and close what was opened."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.camera.close()
