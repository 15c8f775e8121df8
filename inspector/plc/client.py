"""One connection to the PLC, its Modbus TCP server. Used once: after any error it is closed, and the next one is opened.

The only file of the daemon that knows pymodbus. A call that gets no answer in time closes the connection, since a late answer
would be taken for that of the next call; the library's own retries are off, since they would send the same write again.
"""

import contextlib
import logging
import select
import socket
import struct
from collections.abc import Callable

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.pdu import ModbusPDU

from inspector.clock import NS_PER_MS, SystemClock
from inspector.errors import PlcError, PlcTimeoutError
from inspector.plc.registers import (
    CONTROL_WORDS,
    STATUS_WORDS,
    Control,
    RegisterMap,
    decode_control,
)

logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # it prints what it also raises

CONNECT_LIMIT_MS = 400.0  # a connection that takes longer has lost a packet; `abort` cannot end this wait
_READ_INPUTS, _READ, _WRITE_COIL, _WRITE = 2, 3, 5, 16  # Modbus function codes
_LARGEST = 4096  # bytes taken at once; an answer has at most 260


class PlcConnection:
    """Blocking calls over one TCP connection. One thread, but for `abort`."""

    def __init__(
        self, host: str, port: int, *, unit_id: int, timeout_ms: float, register_map: RegisterMap
    ) -> None:
        """Connect to the PLC. Raises PlcError where nothing listens, PlcTimeoutError where nothing answers in time.

        `timeout_ms` is that of each call; connecting has no more than CONNECT_LIMIT_MS of it. `host` should be an address: a
        name costs the time of its look-up, which has no time-out.
        """
        self._where = f"PLC {host}:{port}"
        self._map = register_map
        self._unit_id = unit_id
        self._timeout_ms = timeout_ms
        connect_ms = min(timeout_ms, CONNECT_LIMIT_MS)
        try:
            end = socket.create_connection((host, port), connect_ms / 1000)
        except TimeoutError as error:
            raise PlcTimeoutError(
                f"{self._where}: no connection in {connect_ms:g} ms; is it on, and is plc.host right?"
            ) from error
        except OSError as error:
            raise PlcError(
                f"{self._where}: no connection ({error.strerror or error}); is it on, and are plc.host and plc.port right?"
            ) from error
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = end
        self._client = _Client(end, host, port, timeout_ms)

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

    def write_coil(self, address: int, *, on: bool) -> None:
        """Write a coil (function 5); returns when the PLC has acknowledged it."""
        answer = self._call(lambda: self._client.write_coil(address, on, device_id=self._unit_id))
        if (answer.function_code, answer.address, answer.bits[:1]) != (_WRITE_COIL, address, [on]):
            raise self._wrong(f"wrote coil {address}", answer)

    def read_input(self, address: int) -> bool:
        """Read a discrete input (function 2)."""
        answer = self._call(
            lambda: self._client.read_discrete_inputs(address, count=1, device_id=self._unit_id)
        )
        if answer.function_code != _READ_INPUTS or not answer.bits:
            raise self._wrong(f"asked for discrete input {address}", answer)
        return bool(answer.bits[0])

    def read_words(self, address: int, count: int) -> list[int]:
        """Read any holding registers (function 3)."""
        return self._read(address, count)

    def abort(self) -> None:
        """Have the call that waits, and any later one, fail now. Any thread."""
        with contextlib.suppress(OSError):  # closed already
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection. A second call does nothing."""
        self._client.close()  # type: ignore[no-untyped-call]

    def _read(self, address: int, count: int) -> list[int]:
        answer = self._call(
            lambda: self._client.read_holding_registers(address, count=count, device_id=self._unit_id)
        )
        if answer.function_code != _READ or len(answer.registers) != count:
            raise self._wrong(f"asked for {count} words from address {address}", answer)
        return list(answer.registers)

    def _write(self, address: int, words: list[int]) -> None:
        answer = self._call(lambda: self._client.write_registers(address, words, device_id=self._unit_id))
        if (answer.function_code, answer.address, answer.count) != (_WRITE, address, len(words)):
            raise self._wrong(f"wrote {len(words)} words to address {address}", answer)

    def _call(self, request: Callable[[], ModbusPDU]) -> ModbusPDU:
        if self._client.socket is None:  # the library would connect again by itself, unasked
            raise PlcError(f"{self._where}: the connection is closed")
        self._client.start_the_clock()
        try:
            answer = request()
        except ConnectionException as error:
            self.close()
            raise PlcError(f"{self._where}: the connection was closed by the PLC") from error
        except ModbusException as error:
            self._abandon()
            if self._client.left_ms > 0:
                raise PlcError(f"{self._where}: the answer is no Modbus: {error.string}") from error
            raise PlcTimeoutError(f"{self._where}: no answer in {self._timeout_ms:g} ms") from error
        except OSError as error:
            self.close()
            raise PlcError(f"{self._where}: {error.strerror or error}") from error
        if answer.isError():
            self.close()
            raise PlcError(f"{self._where}: refused: {_exception_name(answer)}; see plc.registers")
        return answer

    def _abandon(self) -> None:
        """Close with a reset, so that the kernel stops sending again what got lost: a PASS must not arrive after its time."""
        with contextlib.suppress(OSError):  # reset by the PLC already
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def _wrong(self, asked: str, answer: ModbusPDU) -> PlcError:
        self.close()
        got = f"function {answer.function_code}, address {answer.address}, {len(answer.registers) or answer.count} words"
        return PlcError(
            f"{self._where}: {asked}, got {got}: the PLC's Modbus server does not do as the standard says"
        )


class _Client(ModbusTcpClient):
    """The library's client, with one time limit for the whole answer.

    Its own `recv` grants the time-out anew to each piece, so that an answer in drips may take twice as long.
    """

    def __init__(self, end: socket.socket, host: str, port: int, timeout_ms: float) -> None:
        """Take over a connected socket."""
        super().__init__(host, port=port, timeout=timeout_ms / 1000, retries=0)
        end.setblocking(False)
        self.socket = end
        self._poll = select.poll()
        self._poll.register(end, select.POLLIN)
        self._clock = SystemClock()
        self._timeout_ns = round(timeout_ms * NS_PER_MS)
        self._t_limit_ns = 0

    def start_the_clock(self) -> None:
        """Begin a call: from now on its time runs."""
        self._t_limit_ns = self._clock.now_ns() + self._timeout_ns

    @property
    def left_ms(self) -> float:
        """What is left of the call's time."""
        return max(0, self._t_limit_ns - self._clock.now_ns()) / NS_PER_MS

    def recv(self, size: int | None) -> bytes:
        """Return what came, b"" where the call's time is up. Raises ConnectionException where the peer has closed."""
        if self.socket is None or not self._poll.poll(self.left_ms):
            return b""
        data = self.socket.recv(size or _LARGEST)
        if not data:
            raise ConnectionException("closed by the peer")
        return data


def _exception_name(answer: ModbusPDU) -> str:
    code = getattr(answer, "exception_code", 0)
    names = {1: "illegal function", 2: "illegal data address", 3: "illegal data value", 4: "device failure"}
    return f"Modbus exception {code} ({names.get(code, 'see the Modbus specification')})"
