"""What the connection promises, against Modbus servers that nobody here wrote, and against answers that no server should give."""

import random
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

from inspector.errors import PlcError, PlcTimeoutError
from inspector.plc.client import PlcConnection
from inspector.plc.registers import (
    Control,
    RegisterMap,
    State,
    Status,
    WordOrder,
    decode_status,
    encode_control,
    encode_status,
)
from tests.contract.modbus_servers import (
    UNIT,
    LibmodbusServer,
    ModbusSerialServer,
    PymodbusServer,
    PyModbusTcpServer,
    Server,
    connected,
    served,
)
from tests.unit.plc.scripted import (
    PATIENCE_S,
    WRITE,
    Bend,
    CloseConnection,
    Request,
    ResetConnection,
    ScriptedPlc,
    reply,
    silent,
)

SLOT = [21, 0x5A5A, 0, 500, 123, 3, 1, 21]
STATUS = Status(9, State.ONLINE | State.READY, 303, 2, 70_000, 65_536, 3, 4)
CONTROL = Control(enable=True, recipe_request=4, part_count=65_535, plc_heartbeat=12)


class PlcContract:
    """Subclass with the server in `kind`."""

    kind: type[Any]

    @pytest.fixture
    def server(self) -> Iterator[Server]:
        with served(self.kind) as server:
            yield server

    def test_a_verdict_stands_in_its_slot(self, server: Server) -> None:
        with connected(server.port) as connection:
            connection.write_slot(21, SLOT)
        assert server.read(0, 128) == [0] * 40 + SLOT + [0] * 80

    @pytest.mark.parametrize("order", ["high_first", "low_first"])
    def test_the_status_block_goes_there_and_back(self, server: Server, order: WordOrder) -> None:
        with connected(server.port) as connection:
            connection.write_status(encode_status(STATUS, order))
            assert decode_status(connection.read_status(), order) == STATUS
        assert server.read(204, 2) == ([1, 4464] if order == "high_first" else [4464, 1])

    def test_the_control_block_is_read_from_where_the_map_says(self, server: Server) -> None:
        registers = RegisterMap(control_address=50)
        server.write(50, encode_control(CONTROL))
        with connected(server.port, registers=registers) as connection:
            assert connection.read_control() == CONTROL

    def test_the_unit_id_is_the_configured_one(self, server: Server) -> None:
        with connected(server.port) as connection:
            connection.read_control()
        assert server.units == {UNIT}

    def test_an_address_that_the_plc_lacks_is_named_as_such(self, server: Server) -> None:
        with connected(server.port, registers=RegisterMap(control_address=3000)) as connection:
            with pytest.raises(PlcError, match=r"Modbus exception 2 \(illegal data address\)"):
                connection.read_control()
            with pytest.raises(PlcError, match="the connection is closed"):
                connection.read_control()

    def test_many_calls_go_over_one_connection(self, server: Server) -> None:
        with connected(server.port) as connection:
            for part_id in range(1, 101):
                connection.write_slot(part_id, [part_id] * 8)
                assert not connection.read_control().enable
        assert [server.read(8 * slot, 1)[0] for slot in range(16)] == [96, *range(97, 101), *range(85, 96)]


class TestPymodbus(PlcContract):
    kind = PymodbusServer

    def test_another_unit_is_refused(self, server: Server) -> None:
        with connected(server.port, unit_id=UNIT + 1) as connection, pytest.raises(PlcError, match="refused"):
            connection.read_control()


class TestPyModbusTcp(PlcContract):
    kind = PyModbusTcpServer


class TestLibmodbus(PlcContract):
    kind = LibmodbusServer


class TestModbusSerial(PlcContract):
    kind = ModbusSerialServer


# -- answers that no server should give -----------------------------------------------------------


@pytest.fixture
def plc() -> Iterator[ScriptedPlc]:
    with ScriptedPlc() as plc:
        yield plc


def close(request: Request, answer: bytes) -> bytes:
    raise CloseConnection


def reset(request: Request, answer: bytes) -> bytes:
    raise ResetConnection


def as_unknown_function(request: Request, answer: bytes) -> bytes:
    return reply(request, b"\x01\x02\x03", function=0x63)


def cut_short(request: Request, answer: bytes) -> bytes:
    return reply(request, b"")


def as_the_other_function(request: Request, answer: bytes) -> bytes:
    if request.function == WRITE:
        return reply(request, b"\x02\x00\x00", function=3)
    return reply(request, bytes(4), function=WRITE)


def for_another_address(request: Request, answer: bytes) -> bytes:
    return reply(request, struct.pack(">HH", request.address + 8, request.count))


def too_few_words(request: Request, answer: bytes) -> bytes:
    return reply(request, b"\x02\x00\x00")


def half(request: Request, answer: bytes) -> bytes:
    return answer[: len(answer) // 2]


def of_another_call(request: Request, answer: bytes) -> bytes:
    return reply(request, answer[8:], transaction=request.transaction + 1)


def of_another_unit(request: Request, answer: bytes) -> bytes:
    return answer[:6] + bytes([request.unit + 1]) + answer[7:]


def no_modbus(request: Request, answer: bytes) -> bytes:
    return b"HTTP/1.1 400 Bad Request\r\n\r\n"


def mangled(dice: random.Random, request: Request, answer: bytes) -> bytes:
    bad = bytearray(answer)
    for _ in range(dice.randint(1, 3)):
        bad[dice.randrange(2, len(bad))] = dice.choice(
            [0, 1, 2, 127, 128, 131, 144, 255, dice.randrange(256)]
        )
    if dice.random() < 0.3:
        del bad[dice.randrange(len(bad)) :]
    return bytes(bad) + dice.randbytes(dice.choice([0, 0, 1, 300]))


def write(connection: PlcConnection) -> None:
    connection.write_slot(21, SLOT)


def read(connection: PlcConnection) -> None:
    connection.read_control()


def assert_closed_after_one_request(plc: ScriptedPlc, connection: PlcConnection) -> None:
    """Neither the call nor a later one goes out a second time."""
    for call in (write, read):
        with pytest.raises(PlcError, match="the connection is closed"):
            call(connection)
    assert len(plc.requests) == 1
    assert plc.connections == 1


@pytest.mark.parametrize("call", [write, read])
@pytest.mark.parametrize(
    ("bend", "says"),
    [
        (close, "closed by the PLC"),
        (reset, "reset"),
        (as_unknown_function, "no Modbus"),
        (cut_short, "no Modbus|got"),
        (as_the_other_function, "does not do as the standard says"),
    ],
)
def test_a_wrong_answer_ends_the_connection(plc: ScriptedPlc, bend: Bend, says: str, call: Any) -> None:
    plc.bend = bend
    with connected(plc.port) as connection:
        with pytest.raises(PlcError, match=says) as caught:
            call(connection)
        assert not isinstance(caught.value, PlcTimeoutError)
        assert_closed_after_one_request(plc, connection)


@pytest.mark.parametrize(("bend", "call"), [(for_another_address, write), (too_few_words, read)])
def test_an_answer_to_another_question_is_none(plc: ScriptedPlc, bend: Bend, call: Any) -> None:
    plc.bend = bend
    with connected(plc.port) as connection:
        with pytest.raises(PlcError, match="does not do as the standard says"):
            call(connection)
        assert_closed_after_one_request(plc, connection)


@pytest.mark.parametrize("call", [write, read])
@pytest.mark.parametrize("bend", [silent, half, of_another_call, of_another_unit, no_modbus])
def test_without_the_answer_in_time_the_connection_ends(plc: ScriptedPlc, bend: Bend, call: Any) -> None:
    plc.bend = bend
    with connected(plc.port, timeout_ms=50) as connection:
        with pytest.raises(PlcTimeoutError, match="no answer in 50 ms"):
            call(connection)
        assert_closed_after_one_request(plc, connection)


def test_after_a_time_out_the_kernel_sends_nothing_more() -> None:
    """An orderly end would have it repeat a write that got lost, long after its part's deadline."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        with connected(server.getsockname()[1], timeout_ms=30) as connection:
            peer, _ = server.accept()
            with pytest.raises(PlcTimeoutError):
                connection.write_slot(21, SLOT)
        with peer:
            peer.settimeout(PATIENCE_S)
            assert peer.recv(4096)  # the write itself
            with pytest.raises(ConnectionResetError):
                peer.recv(4096)


def test_a_late_answer_of_an_earlier_call_is_passed_over(plc: ScriptedPlc) -> None:
    plc.set_control(CONTROL)
    with connected(plc.port) as connection:
        connection.write_slot(21, SLOT)
        plc.bend = lambda request, answer: (
            reply(request, b"\x0c" + bytes(12), transaction=request.transaction - 1) + answer
        )
        assert connection.read_control() == CONTROL


def test_an_answer_in_two_pieces_is_one(plc: ScriptedPlc) -> None:
    plc.set_control(CONTROL)
    plc.bend = lambda _, answer: [answer[:9], 0.02, answer[9:]]
    with connected(plc.port) as connection:
        assert connection.read_control() == CONTROL


def test_an_answer_in_drips_has_no_more_time_than_another(plc: ScriptedPlc) -> None:
    """Each piece comes within the time-out of the one before, the last one far beyond that of the call."""
    plc.bend = lambda _, answer: [0.24, answer[:8], 0.24, answer[8:]]
    with connected(plc.port, timeout_ms=300) as connection:
        with pytest.raises(PlcTimeoutError):
            connection.read_control()
        assert_closed_after_one_request(plc, connection)


@pytest.mark.parametrize("call", [write, read])
def test_no_answer_whatever_raises_anything_else(plc: ScriptedPlc, call: Any) -> None:
    """Bytes changed, cut off or added at random: a right answer by luck, or a PlcError."""
    failed = 0
    for seed in range(80):
        plc.bend = partial(mangled, random.Random(seed))
        with connected(plc.port, timeout_ms=15) as connection:
            try:
                call(connection)
            except PlcError:
                failed += 1
                with pytest.raises(PlcError, match="the connection is closed"):
                    call(connection)
    assert failed > 30


def test_a_call_that_waits_can_be_aborted(plc: ScriptedPlc) -> None:
    plc.bend = silent
    with connected(plc.port, timeout_ms=3_600_000) as connection:

        def abort() -> None:
            plc.wait_for(lambda: bool(plc.requests))
            connection.abort()

        aborting = threading.Thread(target=abort)
        aborting.start()
        with pytest.raises(PlcError):
            connection.write_slot(21, SLOT)
        aborting.join()
        connection.abort()  # harmless


def test_where_nothing_listens_the_message_says_what_to_look_at() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(
        PlcError, match=r"Connection refused\); is it on, and are plc\.host and plc\.port right"
    ):
        PlcConnection("127.0.0.1", port, unit_id=1, timeout_ms=5000, register_map=RegisterMap())


def test_a_plc_that_does_not_take_the_connection_is_a_time_out() -> None:
    """A listener whose queue is full drops what comes, as a machine that is off does."""
    with ExitStack() as held, socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        held.enter_context(socket.create_connection(("127.0.0.1", port)))
        with pytest.raises(
            PlcTimeoutError, match=r"no connection in 50 ms; is it on, and is plc\.host right"
        ):
            PlcConnection("127.0.0.1", port, unit_id=1, timeout_ms=50, register_map=RegisterMap())
