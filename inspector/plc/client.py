"""One connection to the PLC, its Modbus TCP server. Used once: after any error it is closed, and the next one is opened.

The only file of the daemon that knows pymodbus. A call that gets no answer in time closes the connection, since a late answer
would be taken for that of the next call; the library's own retries are off, since they would send the same write again.
"""

import logging
import socket
from collections.abc import Callable

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.pdu import ModbusPDU

from inspector.errors import PlcError, PlcTimeoutError
from inspector.plc.registers import (
    CONTROL_WORDS,
    STATUS_WORDS,
    Control,
    RegisterMap,
    decode_control,
)

logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # it prints what it also raises


class PlcConnection:
    """Blocking calls over one TCP connection. One thread."""

    def __init__(
        self, host: str, port: int, *, unit_id: int, timeout_ms: float, register_map: RegisterMap
    ) -> None:
        """Connect to the PLC. Raises PlcError where nothing listens, PlcTimeoutError where nothing answers in `timeout_ms`."""
        self._where = f"PLC {host}:{port}"
        self._map = register_map
        self._unit_id = unit_id
        self._timeout_ms = timeout_ms
        self._client = ModbusTcpClient(host, port=port, timeout=timeout_ms / 1000, retries=0)
        self._client.connect()  # type: ignore[no-untyped-call]
        if self._client.socket is None:
            raise PlcError(f"{self._where}: no connection; is it on, and are plc.host and plc.port right?")
        self._client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read_control(self) -> Control:
        """Read the control block (function 3)."""
        return decode_control(self._read(self._map.control_address, CONTROL_WORDS), self._map.word_order)

    def read_status(self) -> list[int]:
        """Read back the twelve words of our own status block (function 3): zeros tell of a PLC that lost its memory."""
        return self._read(self._map.status_address, STATUS_WORDS)

    def write_slot(self, part_id: int, words: list[int]) -> None:
        """Write a part's verdict into its slot, in one call (function 16); returns when the PLC has acknowledged it."""
        self._write(self._map.slot_address(part_id), words)

    def write_status(self, words: list[int]) -> None:
        """Write the status block, in one call (function 16)."""
        self._write(self._map.status_address, words)

    def close(self) -> None:
        """Close the connection. A second call does nothing."""
        self._client.close()  # type: ignore[no-untyped-call]

    def _read(self, address: int, count: int) -> list[int]:
        answer = self._call(
            lambda: self._client.read_holding_registers(address, count=count, device_id=self._unit_id)
        )
        if len(answer.registers) != count:
            self.close()
            raise PlcError(
                f"{self._where}: asked for {count} words from address {address}, got {len(answer.registers)}"
            )
        return list(answer.registers)

    def _write(self, address: int, words: list[int]) -> None:
        self._call(lambda: self._client.write_registers(address, words, device_id=self._unit_id))

    def _call(self, request: Callable[[], ModbusPDU]) -> ModbusPDU:
        if self._client.socket is None:  # the library would connect again by itself, unasked
            raise PlcError(f"{self._where}: the connection is closed")
        try:
            answer = request()
        except ConnectionException as error:
            self.close()
            raise PlcError(f"{self._where}: the connection was closed by the PLC") from error
        except ModbusException as error:
            self.close()
            raise PlcTimeoutError(f"{self._where}: no answer in {self._timeout_ms:g} ms") from error
        except OSError as error:
            self.close()
            raise PlcError(f"{self._where}: {error.strerror or error}") from error
        if answer.isError():
            self.close()
            raise PlcError(f"{self._where}: refused: {_exception_name(answer)}; see plc.registers")
        return answer


def _exception_name(answer: ModbusPDU) -> str:
    code = getattr(answer, "exception_code", 0)
    names = {1: "illegal function", 2: "illegal data address", 3: "illegal data value", 4: "device failure"}
    return f"Modbus exception {code} ({names.get(code, 'see the Modbus specification')})"
