"""The real PLC is only read."""

import pytest

from inspector.bench import plc_reads
from inspector.bench.processes import Process
from inspector.config.schema import CameraConfig, Config, DeviceConfig, ModelConfig, PlcConfig, StationConfig
from inspector.errors import PlcError
from inspector.model.progress import silent
from inspector.plc.client import PlcConnection
from inspector.plc.registers import RegisterMap


def config(plc: PlcConfig) -> Config:
    return Config(
        station=StationConfig(name="cell", budget_ms=50),
        camera=CameraConfig(producer="none.cti", device=DeviceConfig(model="x")),
        model=ModelConfig(pack="none"),
        plc=plc,
    )


def test_answers_are_timed_and_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plc_reads, "READS", 5)
    plc = Process("inspector.bench.stand_ins", "plc")
    try:
        port = int(plc.said[0])
        times = plc_reads.read_times(config(PlcConfig(port=port)), silent)
        assert len(times) == 5
        assert min(times) > 0
        registers = RegisterMap()
        connection = PlcConnection("127.0.0.1", port, unit_id=1, timeout_ms=1000, register_map=registers)
        assert not any(word for start in range(0, 400, 100) for word in connection.read_words(start, 100))
        connection.write_slot(1, [7] * 8)  # that they would not have stayed zero
        assert connection.read_words(registers.slot_address(1), 8) == [7] * 8
        connection.close()
    finally:
        plc.end()


def test_a_plc_that_connects_to_us_cannot_be_asked() -> None:
    with pytest.raises(PlcError, match=r"plc\.role is server"):
        plc_reads.read_times(config(PlcConfig(role="server")), silent)
