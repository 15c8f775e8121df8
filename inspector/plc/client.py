"""One connection to the PLC, its Modbus TCP server. Used once: after any error it is closed, and the next one is opened.

The only file of the daemon that knows pymodbus, which words the requests and understands the answers. Sending and waiting is done here:
the library's client waits for each answer where it asks, grants the time-out anew to each piece of it, and connects again unasked.

A call that gets no answer in time closes the connection, since a late answer would be taken for that of the next call. Nothing is
ever sent a second time.
"""

import contextlib
import errno
import logging
import select
import socket
import struct

from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.bit_message import ReadDiscreteInputsRequest, WriteSingleCoilRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, WriteMultipleRegistersRequest

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
_LAST_TRANSACTION = 0xFFFF  # they begin at 1: to the library 0 is any


class PlcConnection:
    """Blocking calls over one TCP connection, one after the other: one thread at a time, but for `abort`.

    `write_slot` can be had in two halves, of which the first does not wait: `send_slot`, then `hear_slot` before any other call.
    """

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
        end.setblocking(False)
        self._socket = end
        self._poll = select.poll()
        self._poll.register(end, select.POLLIN)
        self._closed = False
        self._framer = FramerSocket(DecodePDU(is_server=False))
        self._clock = SystemClock()
        self._timeout_ns = round(timeout_ms * NS_PER_MS)
        self._asked = ModbusPDU()  # the request that was sent last
        self._unsent: OSError | None = None  # why it could not be sent
        self.t_limit_ns = 0  # when its time is up

    def read_control(self) -> Control:
        """Read the control block (function 3)."""
        return decode_control(self._read(self._map.control_address, CONTROL_WORDS), self._map.word_order)

    def read_status(self) -> list[int]:
        """Read back the twelve words of our own status block (function 3): zeros tell of a PLC that lost its memory."""
        return self._read(self._map.status_address, STATUS_WORDS)

    def write_slot(self, part_id: int, words: list[int]) -> None:
        """Write a part's verdict into its slot, in one call (function 16); returns when the PLC has acknowledged it."""
        self.send_slot(part_id, words)
        self.hear_slot()

    def send_slot(self, part_id: int, words: list[int]) -> None:
        """Send that write and return at once. What goes wrong, also by now, is told by `hear_slot`."""
        self._send_write(self._map.slot_address(part_id), words)

    def hear_slot(self) -> None:
        """Return when the PLC has acknowledged what was sent; its time runs since then."""
        self._hear_written()

    def write_status(self, words: list[int]) -> None:
        """Write the status block, in one call (function 16)."""
        self._send_write(self._map.status_address, words)
        self._hear_written()

    def write_coil(self, address: int, *, on: bool) -> None:
        """Write a coil (function 5); returns when the PLC has acknowledged it."""
        answer = self._call(WriteSingleCoilRequest(self._unit_id, address=address, bits=[on]))
        if (answer.function_code, answer.address, answer.bits[:1]) != (_WRITE_COIL, address, [on]):
            raise self._wrong(f"wrote coil {address}", answer)

    def read_input(self, address: int) -> bool:
        """Read a discrete input (function 2)."""
        answer = self._call(ReadDiscreteInputsRequest(self._unit_id, address=address, count=1))
        if answer.function_code != _READ_INPUTS or not answer.bits:
            raise self._wrong(f"asked for discrete input {address}", answer)
        return bool(answer.bits[0])

    def read_words(self, address: int, count: int) -> list[int]:
        """Read any holding registers (function 3)."""
        return self._read(address, count)

    def fileno(self) -> int:
        """Return what tells, to `select`, that an answer has come, or the end of the connection."""
        return self._socket.fileno()

    def abort(self) -> None:
        """Have the call that waits, and any later one, fail now. Any thread."""
        with contextlib.suppress(OSError):  # closed already
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection. A second call does nothing."""
        self._closed = True
        self._socket.close()

    def _read(self, address: int, count: int) -> list[int]:
        answer = self._call(ReadHoldingRegistersRequest(self._unit_id, address=address, count=count))
        if answer.function_code != _READ or len(answer.registers) != count:
            raise self._wrong(f"asked for {count} words from address {address}", answer)
        return list(answer.registers)

    def _send_write(self, address: int, words: list[int]) -> None:
        self._send(WriteMultipleRegistersRequest(self._unit_id, address=address, registers=words))

    def _hear_written(self) -> None:
        asked, answer = self._asked, self._answer()
        if (answer.function_code, answer.address, answer.count) != (_WRITE, asked.address, asked.count):
            raise self._wrong(f"wrote {asked.count} words to address {asked.address}", answer)

    # -- one request, one answer ------------------------------------------------------------------

    def _call(self, request: ModbusPDU) -> ModbusPDU:
        self._send(request)
        return self._answer()

    def _send(self, request: ModbusPDU) -> None:
        """Send it, and have its time run from now on. Never waits; what goes wrong is raised by `_answer`."""
        request.transaction_id = self._asked.transaction_id % _LAST_TRANSACTION + 1
        self._asked, self._unsent = request, None
        self.t_limit_ns = self._clock.now_ns() + self._timeout_ns
        frame = self._framer.buildFrame(request)
        try:
            if self._socket.send(frame) < len(frame):
                raise BlockingIOError(errno.EAGAIN, "it takes no more requests")
        except OSError as error:
            self._unsent = error

    def _answer(self) -> ModbusPDU:
        """Return the answer to what was sent."""
        if self._closed:
            raise PlcError(f"{self._where}: the connection is closed")
        try:
            if self._unsent is not None:
                raise self._unsent
            answer = self._received()
        except TimeoutError as error:
            self._abandon()
            raise PlcTimeoutError(f"{self._where}: no answer in {self._timeout_ms:g} ms") from error
        except OSError as error:
            self.close()
            raise PlcError(f"{self._where}: {error.strerror or error}") from error
        except ModbusException as error:
            self._abandon()
            raise PlcError(f"{self._where}: the answer is no Modbus: {error.string}") from error
        if answer.isError():
            self.close()
            raise PlcError(f"{self._where}: refused: {_exception_name(answer)}; see plc.registers")
        return answer

    def _received(self) -> ModbusPDU:
        """Return what is the answer of all that comes. Raises OSError, TimeoutError at the end of its time, ModbusException."""
        asked, data = self._asked, b""
        while True:
            left_ns = self.t_limit_ns - self._clock.now_ns()
            if not self._poll.poll(max(0, left_ns) / NS_PER_MS):
                raise TimeoutError
            piece = self._socket.recv(_LARGEST)
            if not piece:
                raise ConnectionResetError(errno.ECONNRESET, "the connection was closed by the PLC")
            data += piece
            used, answer = self._framer.handleFrame(data, asked.dev_id, asked.transaction_id)
            data = data[used:]
            if answer is not None:
                if (answer.dev_id, answer.transaction_id) != (asked.dev_id, asked.transaction_id):
                    raise ModbusException("it names no unit, or no transaction")  # the library lets that pass
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


def _exception_name(answer: ModbusPDU) -> str:
    code = getattr(answer, "exception_code", 0)
    names = {1: "illegal function", 2: "illegal data address", 3: "illegal data value", 4: "device failure"}
    return f"Modbus exception {code} ({names.get(code, 'see the Modbus specification')})"
