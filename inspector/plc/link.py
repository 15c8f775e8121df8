"""The PLC thread: carries verdicts into their slots, reads the control block, keeps the heartbeat, and reconnects.

It is also the thread that ends every wait: it wakes for the next deadline by itself, so that a part gets its verdict whatever
the camera or the engine do. What it tells and asks goes through `Desk`, which the station implements.

One call at a time. While the PLC lets one wait, nothing else can be written, nor is a deadline noticed: that takes at most the
call's time-out, half the budget, and then the link is down and every open part rejected. The PLC loses nothing by it: without
an answer no verdict reaches it, and a part without a verdict is rejected.

A verdict need not wait until this thread has woken up: where it sleeps and no call is under way, the engine thread itself sends the write, by
the same steps (`slots.py`), and this one hears the acknowledgement. Who is at work with the PLC holds the lock; the engine thread
never waits for it.
"""

import contextlib
import select
import threading
from collections.abc import Callable
from dataclasses import replace

from inspector.clock import NS_PER_MS, Clock
from inspector.config.schema import PlcConfig
from inspector.errors import PlcError
from inspector.part import fell_back
from inspector.plc.base import LONGEST_SLEEP_MS, Desk, Heartbeats, PlcThread
from inspector.plc.client import PlcConnection
from inspector.plc.direct import gate_of
from inspector.plc.registers import SLOT_WORDS, RegisterMap, State, encode_status
from inspector.plc.slots import Slots
from inspector.plc.writers import ForeignWriter


class PlcLink(PlcThread):
    """The client role: the PLC is the Modbus TCP server."""

    def __init__(
        self,
        config: PlcConfig,
        timeout_ms: float,
        desk: Desk,
        clock: Clock,
        *,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        """`timeout_ms`: of one call, at most half the budget. `prepare` is called on the thread when it begins."""
        super().__init__(desk, clock, prepare)
        self._config = config
        self._timeout_ms = timeout_ms
        self._map = register_map(config)
        self._at_work = threading.Lock()  # held by the thread but while it sleeps, and by whoever delivers
        self._connection: PlcConnection | None = None
        self._count = 0  # the PLC's, when last read
        self._gate = gate_of(config.direct, desk, clock, config.registers.word_order)
        self._beats = Heartbeats(config.heartbeat_timeout_ms, self._tell_heartbeat)
        self._foreign = ForeignWriter()
        self._slots = Slots(self._map, desk, self._foreign, self._gate, clock)
        self._plc_restarted = False  # the PLC has lost its memory, and the desk was not told yet
        self._t_read_ns = self._t_status_ns = self._t_retry_ns = 0  # when each is due
        self._t_wakes_ns = 0  # when the thread's present sleep ends by itself
        self._retry_ms = config.reconnect_first_ms
        self._news: object = None  # that the status block told last

    @property
    def longest_ms(self) -> float:
        """How long the PLC may keep the thread from a sign of life: connecting, then the first read."""
        return 2 * self._timeout_ms

    def deliver(self) -> None:
        """Send what is final now, where that needs no waiting; else have the thread write it. Any other thread; microseconds."""
        sent = False
        if self._at_work.acquire(blocking=False):
            try:
                sent = self._send_at_once()
            finally:
                self._at_work.release()
        if not sent:
            self._rouse(yielding=True)

    def _send_at_once(self) -> bool:
        """Send the verdict that is final, if the thread could do no more than that now.

        Return whether the thread can sleep on: the acknowledgement wakes it, and if none comes, what it sleeps for.
        """
        if self._connection is None or self._slots.under_way:
            return False
        self._slots.take()
        sent = self._slots.sendable_at_once and self._slots.send(self._connection)
        return sent and self._t_wakes_ns <= self._connection.t_limit_ns

    # -- the thread -------------------------------------------------------------------------------

    def _turn(self) -> None:
        with self._at_work:
            try:
                self._work()
            except PlcError as error:
                self._lose(error)
                return
            wait_ms = self._wait_ms()
            self._t_wakes_ns = self._clock.now_ns() + round(wait_ms * NS_PER_MS)
        self._sleep(wait_ms)

    def _work(self) -> None:
        """Do what is due."""
        self._write_verdicts()  # what is final waits for nothing else
        now_ns = self._alive()
        self._desk.on_tick()
        if self._connection is None:
            self._connect(now_ns)
        self._write_verdicts()
        if self._connection is not None:
            if self._count_wanted or self._alive() >= self._t_read_ns:
                self._read_control(self._connection)
                self._write_verdicts()
            self._gate.act(self._connection)
            if self._alive() >= self._t_status_ns or self._desk.news() != self._news:
                self._look_for_foreign_writers(self._connection)
                self._write_status(self._connection)

    def _wait_ms(self) -> float:
        """Return how long there is nothing to do, unless woken."""
        connected = self._connection is not None
        t_next_ns = min(self._t_read_ns, self._t_status_ns) if connected else self._t_retry_ns
        for t_ns in (self._desk.next_expiry_ns(), self._gate.next_ns() if connected else None):
            t_next_ns = t_next_ns if t_ns is None else min(t_next_ns, t_ns)
        return min(max(0.0, (t_next_ns - self._clock.now_ns()) / NS_PER_MS), LONGEST_SLEEP_MS)

    def _read_control(self, connection: PlcConnection) -> None:
        self._count_wanted = (
            False  # before it is sent, so that a frame that comes from now on asks for another read
        )
        t_sent_ns = self._alive()
        self._t_read_ns = t_sent_ns + round(self._config.poll_ms * NS_PER_MS)
        control = connection.read_control()
        t_received_ns = self._clock.now_ns()
        if fell_back(self._count, control.part_count):  # new parts may bear the ids of those that we decided
            self._slots.give_up()
        self._count = control.part_count
        self._foreign.heard(clear_fault=control.clear_fault)
        self._beats.heard(control.plc_heartbeat, t_received_ns)
        beats = self._beats.beats(t_received_ns)
        plc_restarted, self._plc_restarted = self._plc_restarted, False
        self._desk.on_control(
            control,
            t_sent_ns=t_sent_ns,
            t_received_ns=t_received_ns,
            enabled=control.enable and beats and not self._foreign.present,
            plc_restarted=plc_restarted,
        )

    def _write_verdicts(self) -> None:
        """Write what is final; first of all hear of what was sent at once."""
        connection, slots = self._connection, self._slots
        if connection is not None:
            slots.hear(connection)
        slots.take()
        while connection is not None and slots.waiting:
            slots.look(connection)
            self._alive()
            slots.send(connection)
            slots.hear(connection)
            if slots.waiting:
                self._keep_up(connection)

    def _keep_up(self, connection: PlcConnection) -> None:
        """Between two verdicts of many, ask for the count if a frame came: later, it might be the next part's."""
        self._desk.on_tick()
        if self._count_wanted:
            self._read_control(connection)

    def _write_status(self, connection: PlcConnection, *, leaving: bool = False) -> None:
        self._t_status_ns = self._alive() + round(self._config.status_ms * NS_PER_MS)
        self._news = self._desk.news()
        beat = self._beats.next()
        status = self._desk.status(beat)
        if leaving:
            status = replace(status, state=status.state & ~(State.ONLINE | State.READY | State.BUSY))
        connection.write_status(encode_status(status, self._map.word_order))
        self._beats.acknowledged = beat

    def _look_for_foreign_writers(self, connection: PlcConnection) -> None:
        """Read back, at times, what was written last: another station may have the same addresses, or some of them."""
        if self._beats.acknowledged and self._foreign.due(self._alive()):
            heartbeat, address = connection.read_status()[0], self._foreign.address
            self._alive()
            slot = [] if address is None else connection.read_words(address, SLOT_WORDS)
            mine = self._beats.acknowledged, self._beats.ours
            if self._foreign.found(heartbeat, mine, self._alive(), slot):
                self._desk.on_foreign_writer(present=self._foreign.present)

    # -- the link ---------------------------------------------------------------------------------

    def _connect(self, now_ns: int) -> None:
        if now_ns < self._t_retry_ns:
            return
        config = self._config
        try:
            self._connection = connection = PlcConnection(
                config.host,
                config.port,
                unit_id=config.unit_id,
                timeout_ms=self._timeout_ms,
                register_map=self._map,
            )
            self._poll.register(connection, select.EPOLLIN | select.EPOLLET)  # until it is closed
            self._compare_memory(connection)
            self._beats.link_was_down()
            self._foreign.connected()
            self._write_status(connection)
            self._read_control(connection)
        except PlcError as error:
            self._lose(error)
            return
        self._retry_ms = config.reconnect_first_ms
        self._desk.on_link_up()

    def _compare_memory(self, connection: PlcConnection) -> None:
        """Find out whether a PLC that was reached before has lost its memory since: it counts parts anew.

        It has, if its copy of our heartbeat is neither the last one acknowledged nor the one on its way when the link broke.
        Then verdicts that still wait are of parts that it no longer knows, and new parts may bear their ids.
        """
        if self._beats.acknowledged and connection.read_status()[0] not in {
            self._beats.acknowledged,
            self._beats.ours,
        }:
            self._plc_restarted = True
            self._slots.give_up()

    def _lose(self, error: PlcError) -> None:
        self._disconnect()
        self._gate.lose()
        self._desk.on_link_down(str(error))
        self._t_retry_ns = self._clock.now_ns() + round(self._retry_ms * NS_PER_MS)
        self._retry_ms = min(self._retry_ms * 2, self._config.reconnect_max_ms)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._slots.lose()
        if connection is not None:
            connection.close()

    def _close(self) -> None:
        with self._at_work:
            self._disconnect()

    def _give_up_unwritten(self) -> None:
        with self._at_work:
            self._slots.give_up()

    def _abort(self) -> None:
        connection = self._connection
        if connection is not None:
            connection.abort()

    def _say_goodbye(self) -> None:
        with self._at_work, contextlib.suppress(PlcError):
            # We leave; without an answer the PLC sees our heartbeat stop.
            if self._connection is not None:
                self._slots.hear(self._connection)
                self._gate.leave(self._connection)
                self._write_verdicts()
                self._write_status(self._connection, leaving=True)


def register_map(config: PlcConfig) -> RegisterMap:
    """Return the register map that the configuration asks for."""
    return RegisterMap(**config.registers.model_dump())
