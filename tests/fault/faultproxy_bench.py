"""PLC and fault proxy on one event loop in a thread of its own, so that our blocking client can be tried from the test's.

The PLC is linesim's, whose observer hears every write: so it is known what reached the PLC, and how often.
"""

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from typing import Any

from inspector.part import Outcome
from inspector.plc.client import PlcConnection
from inspector.plc.registers import Control, RegisterMap
from tools.faultproxy.proxy import Proxy
from tools.faultproxy.schedule import parse_schedule
from tools.linesim.plc import Plc

SLOT = [7, Outcome.PASS, 0, 500, 123, 1, 0, 7]
SHORT_MS = 250.0  # a time-out that a test waits for
PATIENT_MS = 5000.0  # one that it does not
WITHIN_S = 20.0


class Bench:
    """PLC and proxy on one event loop in a thread of its own."""

    def __init__(self) -> None:
        self.plc = Plc(RegisterMap(), "127.0.0.1", 0)
        self.plc.observer = self
        self.writes: list[tuple[int, ...]] = []
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="bench")
        self._thread.start()
        self._do(self.plc.power_on())
        self.proxy = Proxy(("127.0.0.1", self.plc.port))

    def fault(self, do: str | None = None, *, at_request: int = 1, **args: Any) -> None:
        """Start the proxy with one fault."""
        self.script([] if do is None else [{"at_request": at_request, "do": do, "args": args}])

    def script(self, entries: Sequence[object]) -> None:
        """Start the proxy with a schedule."""
        self.proxy = Proxy(("127.0.0.1", self.plc.port), parse_schedule(entries, "test"))
        self._do(self.proxy.start())

    def connect(self, timeout_ms: float = PATIENT_MS) -> PlcConnection:
        """Connect our client through the proxy."""
        return PlcConnection(
            "127.0.0.1", self.proxy.port, unit_id=1, timeout_ms=timeout_ms, register_map=RegisterMap()
        )

    def set_control(self, control: Control) -> None:
        """Have the PLC's program write its control block."""

        async def write() -> None:
            self.plc.set_control(control)

        self._do(write())

    def settle(self) -> None:
        """Wait until whatever was sent has arrived: every connection has ended, and the PLC has served what came of it."""

        async def ended() -> None:
            while self.proxy._connections or self.plc.connected:  # noqa: ASYNC110  (pymodbus has no event)
                await asyncio.sleep(0.002)

        self._do(ended())
        past = PlcConnection(
            "127.0.0.1", self.plc.port, unit_id=1, timeout_ms=PATIENT_MS, register_map=RegisterMap()
        )
        past.read_control()
        past.close()

    def close(self) -> None:
        """Stop both."""
        try:
            self._do(self.proxy.stop())
            self._do(self.plc.power_off())
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(WITHIN_S)
            self.loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        future: Future[None] = asyncio.run_coroutine_threadsafe(work, self.loop)
        future.result(WITHIN_S)

    # -- the PLC's observer -----------------------------------------------------------------------

    def before_write(self, t_ns: int) -> None:
        """Not needed."""

    def slot_written(self, slot: int, words: Sequence[int], t_ns: int) -> None:
        """Keep it."""
        self.writes.append(tuple(words))

    def link_lost(self) -> None:
        """Not needed."""

    def count_read_again(self, part_count: int) -> None:
        """Not needed."""
