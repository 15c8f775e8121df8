"""A PLC of thirty lines: a Modbus TCP server (pymodbus) whose memory the test reads and writes. No gate, no conveyor."""

import asyncio
import threading
from dataclasses import replace
from typing import Self

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from inspector.plc.registers import (
    SLOT_WORDS,
    STATUS_WORDS,
    Control,
    RegisterMap,
    Status,
    decode_result,
    decode_status,
    encode_control,
)

BEAT_S = 0.1


class PlainPlc:
    """Enabled, with a ticking heartbeat, in a thread of its own. A context manager; any thread may ask."""

    def __init__(self, port: int = 0) -> None:
        """Port 0 takes a free one."""
        self.port = port
        self.beating = True
        self.verdicts: list[dict[str, int]] = []  # every slot that was written, in order
        self._map = RegisterMap()
        self._words = [0] * max(block.stop for block in self._map.blocks().values())
        self._control = Control(enable=True)
        self._listening = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="plain-plc")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)

    def count_part(self) -> int:
        """Count one more part; return its id. Nothing triggers a camera."""
        part_id = self._control.part_count + 1
        self._set(replace(self._control, part_count=part_id))
        return part_id

    def set(self, **control: bool | int) -> None:
        """Set these words of the control block."""
        self._set(replace(self._control, **control))  # type: ignore[arg-type]  # names are the fields'

    def forget_status(self) -> None:
        """Clear the status block, so that a test sees what is written from now on."""
        first = self._map.status_address
        self._words[first : first + STATUS_WORDS] = [0] * STATUS_WORDS

    @property
    def status(self) -> Status:
        """The status block as it stands; zeros before it was written."""
        first = self._map.status_address
        return decode_status(self._words[first : first + STATUS_WORDS])

    def _set(self, control: Control) -> None:
        self._control = control
        words = encode_control(control)
        self._words[self._map.control_address : self._map.control_address + len(words)] = words

    async def _serve(self) -> None:
        memory = SimData(0, count=len(self._words), datatype=DataType.REGISTERS)
        device = SimDevice(id=0, simdata=[memory], action=self._accessed)
        server = ModbusTcpServer(device, address=("127.0.0.1", self.port))
        await server.serve_forever(background=True)
        self.port = server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # asyncio's Server
        self._set(self._control)
        self._listening.set()
        while not self._over.is_set():
            if self.beating:
                self._set(replace(self._control, plc_heartbeat=(self._control.plc_heartbeat + 1) & 0xFFFF))
            await asyncio.sleep(BEAT_S)
        await server.shutdown()  # type: ignore[no-untyped-call]  # pymodbus

    async def _accessed(
        self,
        _function: int,
        _start: int,
        address: int,
        count: int,
        current: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        if values is None:
            current[address : address + count] = self._words[address : address + count]
        else:
            self._words[address : address + count] = [int(value) for value in values]
            if count == SLOT_WORDS and address < self._map.status_address:
                self.verdicts.append(decode_result(self._words[address : address + count]))
        return None
