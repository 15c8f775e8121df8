"""Direct mode on the wire: the PLC thread moves a coil of Modbus servers that nobody here wrote, in time, and closes it when it goes."""

from collections.abc import Iterator
from typing import Any

import pytest

from inspector.clock import NS_PER_MS
from inspector.config.schema import DirectConfig
from tests.contract.modbus_servers import (
    UNIT,
    LibmodbusServer,
    ModbusSerialServer,
    PyModbusTcpServer,
    connected,
    served,
)
from tests.support.waiting import wait_for
from tests.unit.plc.link_rig import FakeDesk, Link, clock, configured, verdict
from tests.unit.plc.scripted import PATIENCE_S

COIL, SENSOR, ENCODER = 20, 3, 350


class GateContract:
    """Subclass with the server in `kind`."""

    kind: type[Any]

    @pytest.fixture
    def server(self) -> Iterator[Any]:
        with served(self.kind) as server:
            yield server

    def test_coils_inputs_and_registers(self, server: Any) -> None:
        with connected(server.port) as connection:
            for on in (True, False, True):
                connection.write_coil(COIL, on=on)
                assert server.coil(COIL) is on
                server.set_input(SENSOR, on=on)
                assert connection.read_input(SENSOR) is on
            server.write(ENCODER, [1, 2])
            assert connection.read_words(ENCODER, 2) == [1, 2]

    def test_the_gate_opens_for_a_pass_and_closes_when_the_station_goes(self, server: Any) -> None:
        direct = DirectConfig(coil=COIL, delay_ms=50.0, width_ms=3_000_000.0)
        desk = FakeDesk()
        link = Link(configured(server.port, unit_id=UNIT, direct=direct), 5000, desk, clock)
        link.start()
        desk.wait_for(lambda: desk.ups == 1)
        assert not server.coil(COIL)
        passed = verdict(21)
        desk.file(passed)
        link.wake()
        wait_for(lambda: server.coil(COIL), "the gate to open")
        assert clock.now_ns() >= passed.t_trigger_ns + 50 * NS_PER_MS
        link.stop(PATIENCE_S)
        assert not server.coil(COIL)

    def test_a_rejected_part_that_is_not_seen_is_told(self, server: Any) -> None:
        direct = DirectConfig(
            coil=COIL, delay_ms=1.0, width_ms=20.0, confirm_input=SENSOR, confirm_ms=30.0, poll_ms=2.0
        )
        desk = FakeDesk()
        link = Link(configured(server.port, unit_id=UNIT, direct=direct), 5000, desk, clock)
        link.start()
        desk.wait_for(lambda: desk.ups == 1)
        desk.file(verdict(21, passed=False))
        link.wake()
        desk.wait_for(lambda: bool(desk.unconfirmed))
        link.stop(PATIENCE_S)
        assert desk.unconfirmed == [21]
        assert not server.coil(COIL)


class TestPyModbusTcp(GateContract):
    kind = PyModbusTcpServer


class TestLibmodbus(GateContract):
    kind = LibmodbusServer


class TestModbusSerial(GateContract):
    kind = ModbusSerialServer
