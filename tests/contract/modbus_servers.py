"""Modbus servers that nobody here wrote, as PLCs for the tests of the connection."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Protocol

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from pyModbusTCP.server import DataBank, ModbusServer

from inspector.plc.client import PlcConnection
from inspector.plc.registers import RegisterMap
from tests.unit.plc.scripted import PATIENCE_S
from tools.bench import peers
from tools.bench.peers import MissingPeer

UNIT = 7


class Server(Protocol):
    """A running Modbus server with 400 holding registers, of one unit id."""

    port: int

    @property
    def units(self) -> set[int]:
        """The unit ids that were asked for."""
        ...

    def read(self, address: int, count: int) -> list[int]:
        """Return registers as the server holds them."""
        ...

    def write(self, address: int, words: Sequence[int]) -> None:
        """Change registers, as the PLC's program does."""
        ...


class PymodbusServer:
    """pymodbus's own server, in an event loop of its own; it refuses other unit ids."""

    def __init__(self) -> None:
        self.units: set[int] = set()
        self._words = [0] * 400
        self._started: Future[int] = Future()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._main()])
        self._thread.start()
        self.port = self._started.result(PATIENCE_S)

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        memory = SimData(0, count=400, datatype=DataType.REGISTERS)
        device = SimDevice(id=UNIT, simdata=[memory], action=self._access)
        server = ModbusTcpServer(device, address=("127.0.0.1", 0))
        await server.serve_forever(background=True)
        self._started.set_result(server.transport.sockets[0].getsockname()[1])  # type: ignore[attr-defined]
        await self._stop.wait()
        await server.shutdown()  # type: ignore[no-untyped-call]

    async def _access(
        self, _function: int, _start: int, address: int, count: int, current: list[int], values: Any
    ) -> None:
        self.units.add(UNIT)
        if values is None:
            current[address : address + count] = self._words[address : address + count]
        else:
            self._words[address : address + count] = values

    def read(self, address: int, count: int) -> list[int]:
        return self._words[address : address + count]

    def write(self, address: int, words: Sequence[int]) -> None:
        self._words[address : address + len(words)] = words

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE_S)
        self._loop.close()


class PyModbusTcpServer:
    """The server of pyModbusTCP; it answers every unit id."""

    def __init__(self) -> None:
        self.units = units = set[int]()

        class Bank(DataBank):  # type: ignore[misc]
            def get_holding_registers(self, address: int, number: int = 1, srv_info: Any = None) -> Any:
                if srv_info is not None:
                    units.add(srv_info.recv_frame.mbap.unit_id)
                return super().get_holding_registers(address, number, srv_info)

        self._bank = Bank(h_regs_size=400, coils_size=400, d_inputs_size=400)
        self._server = ModbusServer("127.0.0.1", 0, no_block=True, data_bank=self._bank)
        self._server.start()
        assert self._server._evt_running.wait(PATIENCE_S)
        self.port: int = self._server._service.server_address[1]

    def read(self, address: int, count: int) -> list[int]:
        return list(self._bank.get_holding_registers(address, count))

    def write(self, address: int, words: Sequence[int]) -> None:
        assert self._bank.set_holding_registers(address, list(words))

    def coil(self, address: int) -> bool:
        return bool(self._bank.get_coils(address)[0])

    def set_input(self, address: int, *, on: bool) -> None:
        assert self._bank.set_discrete_inputs(address, [on])

    def close(self) -> None:
        self._server.stop()


class ProgramServer:
    """A server in a process of its own, told what to do line by line."""

    def __init__(self, program: peers.Program) -> None:
        self._program = program
        self.port = int(program.first.split()[1])

    @property
    def units(self) -> set[int]:
        return set(self._program.ask("units"))

    def read(self, address: int, count: int) -> list[int]:
        return self._program.ask("read", address, count)

    def write(self, address: int, words: Sequence[int]) -> None:
        self._program.ask("write", address, *words)

    def coil(self, address: int) -> bool:
        return self._program.ask("coils", address, 1) == [1]

    def set_input(self, address: int, *, on: bool) -> None:
        self._program.ask("inputs", address, int(on))

    def close(self) -> None:
        self._program.close()


class LibmodbusServer(ProgramServer):
    """libmodbus; it answers every unit id."""

    def __init__(self) -> None:
        super().__init__(peers.libmodbus("server", UNIT, 400))


class ModbusSerialServer(ProgramServer):
    """npm modbus-serial, in node; it answers every unit id."""

    def __init__(self) -> None:
        super().__init__(peers.modbus_serial("server", UNIT, 400))


@contextmanager
def served(kind: type[Any]) -> Iterator[Any]:
    """Start a server of this kind, which ends in the end; skip the test where this machine lacks it."""
    try:
        server = kind()
    except MissingPeer as missing:
        pytest.skip(str(missing))
    try:
        yield server
    finally:
        server.close()


@contextmanager
def connected(
    port: int, *, timeout_ms: float = 5000, registers: RegisterMap | None = None, unit_id: int = UNIT
) -> Iterator[PlcConnection]:
    """Open a connection; where no time-out is wanted it is far longer than any stall of the machine."""
    connection = PlcConnection(
        "127.0.0.1",
        port,
        unit_id=unit_id,
        timeout_ms=timeout_ms,
        register_map=registers or RegisterMap(),
    )
    try:
        yield connection
    finally:
        connection.close()
