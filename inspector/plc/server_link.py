"""The PLC thread in the server role: Inspector holds the blocks, the PLC comes to read its verdicts and to write its control.

What differs from the client role, and why a part is still released only by a fresh, matching PASS:

- **Who is the PLC?** The connection that writes the part count or the heartbeat. There is one: a second one of the same address
  ends the first, one of another address is refused (exception 6). Other peers, as panels, may read, and write the rest of
  the control block.
- **Freshness.** The write that counts part p clears p's slot before it is acknowledged, and p is new to the PLC until then. When
  the PLC's connection ends, for whatever reason, all slots and the control block are cleared: what reads them next finds no
  verdict and a station that is not enabled.
- **When was the part triggered?** A write that shows p was begun after our last answer on that connection, and so was the one before
  it that did not: these are the reads of the client role, and the ledger is told the same two times. So the PLC writes its
  control block as often as it can, waits for each answer, and writes count and heartbeat in one write.
- **The deadline.** A PASS is put into its slot before its deadline or not at all. Who asks sees it from then on.
- **Is it alive?** A heartbeat that stands still disables, as ever; a peer that asks nothing for `idle_ms` is dropped.
"""

import os
from collections.abc import Callable
from dataclasses import replace

from inspector.clock import NS_PER_MS, Clock
from inspector.config.schema import PlcConfig
from inspector.errors import PlcListenError
from inspector.part import PART_ID_MAX, Outcome, Reason, Verdict, fell_back, next_part_id, part_distance
from inspector.plc.base import LONGEST_SLEEP_MS, Desk, Heartbeats, PlcThread
from inspector.plc.link import register_map
from inspector.plc.memory import ServedMemory
from inspector.plc.modbus import ExceptionCode, Refusal, answer
from inspector.plc.registers import State, Status, VisionControl, encode_result, encode_status
from inspector.plc.server import Listening, ModbusServer, Peer
from inspector.plc.vision import Vision

GOODBYE_MS = 50.0  # so long the PLC may still read the last verdicts, and that the station is not online


class ServedLink(PlcThread):
    """The server role. Implements `server.Handler` and `memory.Owner` for itself."""

    def __init__(
        self,
        config: PlcConfig,
        timeout_ms: float,
        desk: Desk,
        clock: Clock,
        *,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        """`timeout_ms`: for the second half of a request. `prepare` is called on the thread when it begins."""
        super().__init__(desk, clock, prepare)
        self._config = config
        self._timeout_ms = timeout_ms
        self._map = register_map(config)
        self._memory = ServedMemory(self._map, self)
        self._vision = Vision(config.server.results_queue)
        self._server = ModbusServer(_listening(config, timeout_ms), self, clock, self._wake_fd)
        self._listens = False
        self._plc: Peer | None = None
        self._asking: Peer | None = None  # whose request is being answered, and when it came
        self._t_asked_ns = 0
        self._beats = Heartbeats(config.heartbeat_timeout_ms, self._tell_heartbeat)
        self._enabled = False  # as the desk was told
        self._t_evidence_ns = 0  # begin of the last write that showed the count
        self._count_is_known = (
            False  # as long as it is not, its zero in the memory would be taken for a restart
        )
        self._acknowledged_part = 0
        self._t_status_ns = self._t_retry_ns = 0  # when each is due
        self._retry_ms = config.reconnect_first_ms
        self._leaving = False

    @property
    def longest_ms(self) -> float:
        """How long the PLC may keep the thread from a sign of life: not at all, but half a request is looked at so often."""
        return self._timeout_ms

    @property
    def port(self) -> int:
        """The port it listens at; 0 as long as it does not."""
        return self._server.port

    # -- the thread -------------------------------------------------------------------------------

    def _turn(self) -> None:
        now_ns = self._alive()
        self._desk.on_tick()
        if not self._listens:
            self._listen(now_ns)
        self._publish()
        if self._alive() >= self._t_status_ns:
            self._write_status()
        self._disable_if_silent()
        if self._listens:
            if self._server.serve(self._wait_ms()):
                os.eventfd_read(self._wake_fd)
        else:
            self._sleep(self._wait_ms())

    def _wait_ms(self) -> float:
        t_next_ns = self._t_status_ns if self._listens else min(self._t_status_ns, self._t_retry_ns)
        expiry_ns = self._desk.next_expiry_ns()
        if expiry_ns is not None:
            t_next_ns = min(t_next_ns, expiry_ns)
        return min(max(0.0, (t_next_ns - self._clock.now_ns()) / NS_PER_MS), LONGEST_SLEEP_MS)

    def _listen(self, now_ns: int) -> None:
        if now_ns < self._t_retry_ns:
            return
        try:
            self._server.open()
        except PlcListenError as error:  # the interface may come up later
            self._desk.on_link_down(f"{error.code}: {error}")
            self._t_retry_ns = now_ns + round(self._retry_ms * NS_PER_MS)
            self._retry_ms = min(self._retry_ms * 2, self._config.reconnect_max_ms)
        else:
            self._listens = True

    # -- verdicts and status ----------------------------------------------------------------------

    def _publish(self) -> None:
        """Put what is final into its slot."""
        for taken in self._desk.take_verdicts():
            self._publish_one(taken)

    def _publish_one(self, verdict: Verdict) -> None:
        if self._plc is None or not self._owns_slot(verdict.part_id):
            self._lose(verdict)
        else:
            now_ns = self._alive()
            if verdict.outcome is Outcome.PASS and now_ns >= verdict.t_deadline_ns:
                verdict = self._desk.withdraw(verdict, Reason.LATE)
            self._memory.put_slot(verdict.part_id, encode_result(verdict, self._desk.flags()))
            self._vision.add(verdict.part_id)
            self._desk.on_written(verdict, now_ns)

    def _lose(self, verdict: Verdict) -> None:
        """Report that nobody will ever read it."""
        is_pass = verdict.outcome is Outcome.PASS
        self._desk.on_written(self._desk.withdraw(verdict, Reason.LINK) if is_pass else verdict, None)

    def _owns_slot(self, part_id: int) -> bool:
        """Return whether the part's slot is not that of a later part, which the PLC has counted meanwhile."""
        count, slots = self._memory.control.part_count, self._map.slots
        ahead = part_distance(part_id, count) if count else 0
        if ahead >= PART_ID_MAX // 2:  # a count that began anew
            return True
        # One by one, since the round is one slot short where ids go from 65535 to 1.
        return ahead < slots and all(
            next_part_id(part_id, step) % slots != part_id % slots for step in range(1, ahead + 1)
        )

    def _write_status(self) -> None:
        """Count the heartbeat up, and bring the rest up to date."""
        self._t_status_ns = self._alive() + round(self._config.status_ms * NS_PER_MS)
        self._beats.next()
        self.refresh()

    def refresh(self) -> None:
        """Bring both status blocks up to date (memory.Owner)."""
        status = self._status()
        self._memory.put(self._map.status_address, encode_status(status, self._map.word_order))
        vision = self._vision.words(status.state, self._acknowledged_part)
        self._memory.put(self._map.vision_status_address, vision)

    def _status(self) -> Status:
        status = self._desk.status(self._beats.ours)
        gone = State.ONLINE | State.READY | State.BUSY if self._leaving else State(0)
        return replace(status, state=status.state & ~gone)

    # -- the PLC's side ---------------------------------------------------------------------------

    def on_request(self, peer: Peer, pdu: bytes, t_received_ns: int) -> bytes:
        """Answer one request (server.Handler)."""
        self._asking, self._t_asked_ns = peer, t_received_ns
        return answer(pdu, self._memory)

    def may_write_control(self, *, counts: bool) -> None:
        """Let one connection be the PLC (memory.Owner)."""
        peer, plc = self._asking, self._plc
        if not counts or peer is plc or peer is None:
            return
        if plc is not None:
            if plc.host != peer.host:
                raise Refusal(ExceptionCode.SERVER_DEVICE_BUSY)
            self._server.drop(plc, "another connection of the same PLC took its place")
        self._plc = peer
        self._desk.on_link_up()

    def on_control(self, *, counted: bool) -> None:
        """Tell the desk what the PLC wrote (memory.Owner)."""
        if counted and self._asking is not None:
            self._t_evidence_ns = self._asking.t_answered_ns
            self._count_is_known = True
            if fell_back(self._acknowledged_part, self._memory.control.part_count):
                for (
                    verdict
                ) in self._desk.take_verdicts():  # new parts may bear the ids of those that we decided
                    self._lose(verdict)
        if self._plc is not None and self._count_is_known:
            self._report(self._t_asked_ns)

    def may_write_vision(self) -> None:
        """Let nobody but the PLC acknowledge (memory.Owner)."""
        if self._plc is not None and self._asking is not None and self._plc.host != self._asking.host:
            raise Refusal(ExceptionCode.SERVER_DEVICE_BUSY)

    def on_vision(self, signals: int) -> None:
        """Take the PLC's signals (memory.Owner)."""
        ready = State.READY in self._desk.status(self._beats.ours).state
        self._vision.set_control(VisionControl(signals & sum(VisionControl)), ready=ready)

    def on_closed(self, peer: Peer, why: str) -> None:
        """Where that was the PLC: forget what it could release by (server.Handler)."""
        if peer is self._plc:
            self._plc = None
            self._beats.link_was_down()
            self._enabled = False
            self._memory.forget()
            self._vision.clear()
            self._desk.on_link_down(f"PLC {peer.host}: {why}")
            self._publish()  # to nobody: who connects next may have other parts with the same ids

    def _report(self, t_received_ns: int) -> None:
        control = self._memory.control
        self._beats.heard(control.plc_heartbeat, t_received_ns)
        self._enabled = self._beats.beats(t_received_ns) and control.enable
        self._acknowledged_part = control.part_count
        self._desk.on_control(
            control,
            t_sent_ns=self._t_evidence_ns,
            t_received_ns=t_received_ns,
            enabled=self._enabled,
            plc_restarted=False,
        )

    def _disable_if_silent(self) -> None:
        """Tell the desk when the heartbeat stops: there is no write by which it would hear of it."""
        now_ns = self._clock.now_ns()
        beats = self._plc is None or self._beats.beats(now_ns)
        if self._enabled and not beats:
            self._report(now_ns)

    # -- the end ----------------------------------------------------------------------------------

    def _say_goodbye(self) -> None:
        self._leaving = True
        self._publish()
        self._write_status()
        t_end_ns = self._clock.now_ns() + round(GOODBYE_MS * NS_PER_MS)
        while self._listens and self._server.peers and (now_ns := self._alive()) < t_end_ns:
            if self._server.serve((t_end_ns - now_ns) / NS_PER_MS):
                os.eventfd_read(self._wake_fd)

    def _close(self) -> None:
        self._server.close()

    def _abort(self) -> None:
        """Nothing to do: the PLC is never waited for."""

    def _give_up_unwritten(self) -> None:
        """Report as never written what became final after the end."""
        self._plc = None
        self._publish()


def _listening(config: PlcConfig, timeout_ms: float) -> Listening:
    server = config.server
    return Listening(
        address=server.address,
        port=config.port,
        unit_id=config.unit_id,
        peers=server.peers,
        connections=server.connections,
        idle_ms=server.idle_ms,
        frame_ms=timeout_ms,
    )
