"""What the server role promises, to Modbus clients that nobody here wrote."""

from collections.abc import Iterator
from typing import Any

import pytest

from inspector.part import Outcome
from inspector.plc.registers import (
    CONTROL_WORDS,
    STATUS_WORDS,
    Control,
    VisionControl,
    VisionStatus,
    decode_status,
    encode_control,
)
from tests.contract.modbus_clients import (
    Client,
    LibmodbusClient,
    Mbpoll,
    ModbusSerialClient,
    PymodbusClient,
    PyModbusTcpClient,
)
from tests.unit.plc.link_rig import FakeDesk, verdict
from tests.unit.plc.served_rig import CONTROL_AT, SIGNALS_AT, STATUS_AT, VISION_AT, Served, serving
from tools.bench.peers import MissingPeer, PeerRefused

UNIT = 7
CONTROL = Control(enable=True, part_count=21, plc_heartbeat=65_535)


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


@pytest.fixture
def served(desk: FakeDesk) -> Iterator[Served]:
    with serving(desk, unit_id=UNIT) as link:
        yield link


class ServerContract:
    """Subclass with the client in `kind`."""

    kind: type[Any]
    keeps_its_connection = True

    @pytest.fixture
    def client(self, served: Served) -> Iterator[Client]:
        client = self.connected(served, UNIT)
        yield client
        client.close()

    def connected(self, served: Served, unit: int) -> Client:
        try:
            client: Client = self.kind(served.port, unit)
        except MissingPeer as missing:
            pytest.skip(str(missing))
        return client

    def test_what_the_plc_writes_is_heard_and_can_be_read_back(self, client: Client, desk: FakeDesk) -> None:
        client.write(16, CONTROL_AT, encode_control(CONTROL))
        assert desk.controls[0]["control"] == CONTROL
        assert desk.controls[0]["enabled"]
        if self.keeps_its_connection:
            client.write(6, CONTROL_AT + 3, [5])
            assert desk.controls[-1]["control"].recipe_request == 5
            assert client.read(3, CONTROL_AT, CONTROL_WORDS)[:6] == [1, 0, 0, 5, 21, 65_535]

    @pytest.mark.parametrize("function", [3, 4])
    def test_the_status_can_be_read(self, client: Client, function: int) -> None:
        status = decode_status(client.read(function, STATUS_AT, STATUS_WORDS))
        assert (status.error_code, status.active_recipe, status.parts, status.rejects) == (303, 2, 10, 4)

    @pytest.mark.parametrize("function", [3, 4])
    def test_the_results_can_be_read_fifteen_slots_at_once(self, client: Client, function: int) -> None:
        assert client.read(function, 0, 120) == [0] * 120

    @pytest.mark.parametrize(("function", "values"), [(6, [0x5A5A]), (16, [21, 0x5A5A, 0, 0, 0, 0, 0, 21])])
    def test_no_verdict_can_be_written(self, client: Client, function: int, values: list[int]) -> None:
        with pytest.raises(PeerRefused, match="2"):
            client.write(function, 5 * 8, values)
        assert client.read(3, 5 * 8, 8) == [0] * 8

    def test_what_is_beyond_the_last_block_is_refused(self, client: Client) -> None:
        with pytest.raises(PeerRefused, match="2"):
            client.read(3, 20_000, 1)

    def test_signals_are_bits_too(self, client: Client) -> None:
        client.write(15, 0, [1, 0, 1])
        client.write(5, 4, [1])
        assert client.read(1, 0, 6) == [1, 0, 1, 0, 1, 0]
        assert client.read(3, SIGNALS_AT, 1) == [0b10101]
        bits = client.read(2, 0, 7)
        assert VisionStatus(sum(bit << n for n, bit in enumerate(bits))) == VisionStatus(
            client.read(3, VISION_AT, 1)[0]
        )

    def test_a_coil_that_is_none_is_refused(self, client: Client) -> None:
        with pytest.raises(PeerRefused, match="2"):
            client.read(1, 10, 8)


class KeepsConnection(ServerContract):
    """What needs one connection for longer than one call."""

    def test_a_verdict_stands_in_its_slot_until_a_part_is_counted_for_it(
        self, client: Client, served: Served, desk: FakeDesk
    ) -> None:
        client.write(16, CONTROL_AT, encode_control(CONTROL))
        desk.file(verdict(21))
        served.wake()
        desk.wait_for(lambda: len(desk.written) == 1)
        slot = client.read(3, 21 % 16 * 8, 8)
        assert (slot[0], slot[1], slot[7]) == (21, Outcome.PASS, 21)
        client.write(6, CONTROL_AT + 4, [21 + 16])
        assert client.read(3, 21 % 16 * 8, 8) == [0] * 8

    def test_results_are_acknowledged(self, client: Client, served: Served, desk: FakeDesk) -> None:
        client.write(16, CONTROL_AT, encode_control(CONTROL))
        client.write(6, SIGNALS_AT, [VisionControl.BUFFER_RESULTS_ENABLE])
        desk.file(verdict(20), verdict(21))
        served.wake()
        desk.wait_for(lambda: len(desk.written) == 2)
        seen = []
        while part_id := client.read(3, VISION_AT, 5)[2]:
            seen.append(part_id)
            client.write(5, 3, [1])
            client.write(5, 3, [0])
        assert seen == [20, 21]

    def test_another_unit_is_not_served(self, served: Served) -> None:
        client = self.connected(served, UNIT + 1)
        with pytest.raises(PeerRefused, match="11"):
            client.read(3, 0, 8)
        client.close()

    def test_many_calls_go_over_one_connection(self, client: Client) -> None:
        for count in range(1, 101):
            client.write(16, CONTROL_AT, encode_control(Control(part_count=count, plc_heartbeat=count)))
            assert client.read(3, CONTROL_AT + 4, 2) == [count, count]


class TestPymodbus(KeepsConnection):
    kind = PymodbusClient


class TestPyModbusTcp(KeepsConnection):
    kind = PyModbusTcpClient


class TestLibmodbus(KeepsConnection):
    kind = LibmodbusClient


class TestModbusSerial(KeepsConnection):
    kind = ModbusSerialClient


class TestMbpoll(ServerContract):
    kind = Mbpoll
    keeps_its_connection = False
