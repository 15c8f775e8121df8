"""The PLC thread on a scripted desk, with the real clock, for the tests of the link."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar

from inspector.clock import NS_PER_MS, SystemClock
from inspector.config.schema import PlcConfig
from inspector.part import Finding, Outcome, Reason, Verdict
from inspector.plc.link import PlcLink
from inspector.plc.registers import Control, Flag, State, Status, encode_result
from tests.unit.plc.scripted import PATIENCE_S, ScriptedPlc

FAR_MS = 3_600_000.0
clock = SystemClock()
ENABLED = Control(enable=True, part_count=3, plc_heartbeat=1)


class FakeDesk:
    """Writes down what the thread reports, and hands out what the test filed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.controls: list[dict[str, Any]] = []
        self.written: list[tuple[Verdict, int | None]] = []
        self.told_at_once: object = None
        self.ups = 0
        self.downs: list[str] = []
        self.heartbeats: list[tuple[bool, float]] = []  # whether it beats, and how long it stood still
        self.foreign: list[bool] = []
        self.unconfirmed: list[int] = []
        self.ticks = 0
        self.turns = 0
        self.expiry_ns: int | None = None
        self.fails: Exception | None = None
        self._verdicts: list[Verdict] = []

    def on_control(self, control: Control, **fields: Any) -> None:
        self._note(lambda: self.controls.append({"control": control, **fields}))

    def on_link_up(self) -> None:
        self._note(lambda: setattr(self, "ups", self.ups + 1))

    def on_link_down(self, why: str) -> None:
        self._note(lambda: self.downs.append(why))

    def on_heartbeat(self, *, beats: bool, still_ms: float) -> None:
        self._note(lambda: self.heartbeats.append((beats, still_ms)))

    def on_foreign_writer(self, *, present: bool) -> None:
        self._note(lambda: self.foreign.append(present))

    def on_unconfirmed(self, part_id: int) -> None:
        self._note(lambda: self.unconfirmed.append(part_id))

    def on_tick(self) -> None:
        if self.fails is not None:
            raise self.fails
        self._note(lambda: setattr(self, "turns", self.turns + 1))
        if self.expiry_ns is not None and clock.now_ns() >= self.expiry_ns:
            self.expiry_ns = None
            self._note(lambda: setattr(self, "ticks", self.ticks + 1))

    def next_expiry_ns(self) -> int | None:
        return self.expiry_ns

    def take_verdicts(self) -> list[Verdict]:
        taken, self._verdicts = self._verdicts, []
        self._note(lambda: None)
        return taken

    def withdraw(self, verdict: Verdict, reason: Reason) -> Verdict:
        return replace(verdict, outcome=Outcome.REJECT, reason=reason)

    def on_written(self, verdict: Verdict, t_written_ns: int | None) -> None:
        self._note(lambda: self.written.append((verdict, t_written_ns)))

    def status(self, heartbeat: int) -> Status:
        return Status(heartbeat, State.ONLINE | State.READY | State.BUSY | State.FAULT, 303, 2, 10, 4, 3, 1)

    def news(self) -> object:
        return self.told_at_once

    def flags(self) -> Flag:
        return Flag.SIMULATED

    def file(self, *verdicts: Verdict) -> None:
        """File verdicts as if they had just become final."""
        self._verdicts = [*self._verdicts, *verdicts]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_S), (
                "the desk never heard what the test waits for"
            )

    def _note(self, change: Callable[[], object]) -> None:
        with self._changed:
            change()
            self._changed.notify_all()

    @property
    def unwritten(self) -> list[int]:
        return [verdict.part_id for verdict, t_ns in self.written if t_ns is None]


def verdict(part_id: int, *, passed: bool = True, deadline_ms: float = FAR_MS) -> Verdict:
    now_ns = clock.now_ns()
    return Verdict(
        part_id,
        Outcome.PASS if passed else Outcome.REJECT,
        Reason.NONE if passed else Reason.SCORE,
        t_trigger_ns=now_ns,
        t_deadline_ns=now_ns + round(deadline_ms * NS_PER_MS),
        t_decided_ns=now_ns,
        finding=Finding(0.5, 0.5, 7.0),
    )


def words(verdict: Verdict) -> list[int]:
    return encode_result(verdict, Flag.SIMULATED)


def configured(port: int, **settings: Any) -> PlcConfig:
    """Everything rare, unless the test wants it otherwise: what happens then has the cause that the test gave."""
    rare: dict[str, Any] = {"poll_ms": FAR_MS, "status_ms": FAR_MS, "heartbeat_timeout_ms": FAR_MS}
    quick: dict[str, Any] = {"reconnect_first_ms": 1.0, "reconnect_max_ms": 10.0}
    return PlcConfig(port=port, **{**rare, **quick, **settings})


class Link(PlcLink):
    """A link that the fixture in conftest.py finds again, also where its test failed half-way."""

    made: ClassVar[list[PlcLink]] = []

    def start(self) -> None:
        self.made.append(self)
        super().start()


@contextmanager
def linked(
    plc: ScriptedPlc, desk: FakeDesk, *, timeout_ms: float = 5000, **settings: Any
) -> Iterator[PlcLink]:
    link = Link(configured(plc.port, **settings), timeout_ms, desk, clock)
    link.start()
    try:
        yield link
    finally:
        link.stop(PATIENCE_S)
        assert not link._thread.is_alive()
