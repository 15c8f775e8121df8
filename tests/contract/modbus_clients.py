"""Modbus clients that nobody here wrote, as PLCs that come to Inspector's server. All speak one small language."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any, Protocol

from pymodbus.client import ModbusTcpClient
from pyModbusTCP.client import ModbusClient

from tests.unit.plc.scripted import PATIENCE_S
from tools.bench import peers
from tools.bench.peers import MissingPeer, PeerRefused

READS = {
    1: "read_coils",
    2: "read_discrete_inputs",
    3: "read_holding_registers",
    4: "read_input_registers",
}


class Client(Protocol):
    """A connected Modbus client."""

    def read(self, function: int, address: int, count: int) -> list[int]:
        """Read with function 1 to 4. Raises PeerRefused."""
        ...

    def write(self, function: int, address: int, values: Sequence[int]) -> None:
        """Write with function 5, 6, 15 or 16. Raises PeerRefused."""
        ...

    def close(self) -> None:
        """Disconnect."""
        ...


class PymodbusClient:
    """pymodbus's synchronous client."""

    def __init__(self, port: int, unit: int) -> None:
        self._client = ModbusTcpClient("127.0.0.1", port=port, timeout=PATIENCE_S, retries=0)
        self._unit = unit
        assert self._client.connect()  # type: ignore[no-untyped-call]

    def read(self, function: int, address: int, count: int) -> list[int]:
        answer = self._call(READS[function], address, count=count)
        return [int(bit) for bit in answer.bits[:count]] if function <= 2 else list(answer.registers)

    def write(self, function: int, address: int, values: Sequence[int]) -> None:
        names = {5: "write_coil", 6: "write_register", 15: "write_coils", 16: "write_registers"}
        wanted: list[Any] = [bool(value) for value in values] if function in (5, 15) else list(values)
        self._call(names[function], address, wanted if function > 6 else wanted[0])

    def close(self) -> None:
        self._client.close()  # type: ignore[no-untyped-call]

    def _call(self, name: str, *arguments: Any, **named: Any) -> Any:
        answer = getattr(self._client, name)(*arguments, device_id=self._unit, **named)
        if answer.isError():
            raise PeerRefused(answer.exception_code)
        return answer


class PyModbusTcpClient:
    """The client of pyModbusTCP."""

    def __init__(self, port: int, unit: int) -> None:
        self._client = ModbusClient("127.0.0.1", port, unit_id=unit, timeout=PATIENCE_S)
        assert self._client.open()

    def read(self, function: int, address: int, count: int) -> list[int]:
        return [int(value) for value in self._call(READS[function], address, count)]

    def write(self, function: int, address: int, values: Sequence[int]) -> None:
        names = {
            5: "write_single_coil", 6: "write_single_register",
            15: "write_multiple_coils", 16: "write_multiple_registers",
        }  # fmt: skip
        self._call(names[function], address, list(values) if function > 6 else values[0])

    def close(self) -> None:
        self._client.close()

    def _call(self, name: str, *arguments: Any) -> Any:
        said = getattr(self._client, name)(*arguments)
        if not said:
            raise PeerRefused(self._client.last_except)
        return said


class ProgramClient:
    """A client in a process of its own, told what to do line by line."""

    def __init__(self, program: peers.Program) -> None:
        self._program = program

    def read(self, function: int, address: int, count: int) -> list[int]:
        return self._program.ask(f"fc{function}", address, count)

    def write(self, function: int, address: int, values: Sequence[int]) -> None:
        self._program.ask(f"fc{function}", address, *values)

    def close(self) -> None:
        self._program.close()


class LibmodbusClient(ProgramClient):
    """libmodbus."""

    def __init__(self, port: int, unit: int) -> None:
        super().__init__(peers.libmodbus("client", "127.0.0.1", port, unit))


class ModbusSerialClient(ProgramClient):
    """npm modbus-serial, in node."""

    def __init__(self, port: int, unit: int) -> None:
        super().__init__(peers.modbus_serial("client", "127.0.0.1", port, unit))


TABLES = {1: "0", 2: "1", 3: "4", 4: "3", 5: "0", 6: "4", 15: "0", 16: "4"}  # mbpoll's, by function
REFUSALS = {
    "Illegal function": 1,
    "Illegal data address": 2,
    "Illegal data value": 3,
    "Slave device or server is busy": 6,
}


class Mbpoll:
    """mbpoll, as a technician types it: one connection for each call."""

    def __init__(self, port: int, unit: int) -> None:
        if shutil.which("mbpoll") is None:
            raise MissingPeer("no mbpoll here: apt install mbpoll")
        self._where = ["-p", str(port), "-a", str(unit), "-1", "-0", "-o", "10"]

    def read(self, function: int, address: int, count: int) -> list[int]:
        said = self._run(function, address, "-c", str(count), "127.0.0.1")
        return [int(value) for value in re.findall(r"^\[\d+\]:\s+(\d+)", said, re.MULTILINE)]

    def write(self, function: int, address: int, values: Sequence[int]) -> None:
        self._run(function, address, "127.0.0.1", *map(str, values))

    def close(self) -> None:
        """Nothing is open."""

    def _run(self, function: int, address: int, *words: str) -> str:
        table = ["-t", TABLES[function], "-r", str(address)]
        done = subprocess.run(
            ["mbpoll", *self._where, *table, *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        for name, code in REFUSALS.items():
            if name in done.stderr:
                raise PeerRefused(code)
        assert done.returncode == 0, done.stderr
        return done.stdout
