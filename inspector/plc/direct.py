"""Direct mode, for a line whose PLC cannot track its parts: Inspector moves the gate itself, by a coil of the PLC or a remote output.

What a part is released by is a coil, and a coil keeps its last value when nobody writes it. So

- the coil means "let pass" unless the configuration says otherwise: the gate is closed, and opens for the window of a part with a
  PASS that was final before its deadline. Without a station, without a link, without a verdict, or too late: closed.
- while the coil is on it is written again every `poll_ms`, and who holds it must drop it when that stops in the middle of a pulse:
  a PLC by a timer, a remote output by its watchdog. Nothing on this side of a broken wire can.
- a loss of the link ends every window that was planned, and the first thing written after it is a closed gate.
- a gate that came to be closed later than `slack_ms` after a part to be rejected had reached it, and a rejected part
  that the sensor behind the gate did not see, are reported as unconfirmed rejects, which stop the line.

`delay` counts from the earliest moment the trigger can have been, so that the window is as much wider than the gate needs as
that is uncertain: the spread of `camera.latency_ms`, or `poll_ms`.
"""

from typing import Protocol

from inspector.clock import NS_PER_MS, Clock
from inspector.config.schema import DirectConfig
from inspector.part import Outcome, Verdict
from inspector.plc.base import Desk
from inspector.plc.belt import Belt
from inspector.plc.client import PlcConnection
from inspector.plc.pulses import Confirmations, Pulses, Window
from inspector.plc.registers import WordOrder


class Gate(Protocol):
    """What the client role does for the gate, beside everything else: on the PLC thread, but for `take`, which sends no call."""

    def take(self, verdict: Verdict) -> None:
        """Take a verdict that is final, a PASS only before its deadline."""

    def next_ns(self) -> int | None:
        """Return when `act` is needed next."""

    def act(self, connection: PlcConnection) -> None:
        """Do what is due. Raises PlcError."""

    def lose(self) -> None:
        """Take note that the link is down."""

    def leave(self, connection: PlcConnection) -> None:
        """Close the gate: the station goes. Raises PlcError."""


class NoGate:
    """The PLC tracks its parts, and moves its gate by the release rule."""

    def take(self, verdict: Verdict) -> None:
        """Nothing to do."""

    def next_ns(self) -> int | None:
        """Never."""
        return None

    def act(self, connection: PlcConnection) -> None:
        """Nothing to do."""

    def lose(self) -> None:
        """Nothing to do."""

    def leave(self, connection: PlcConnection) -> None:
        """Nothing to do."""


class DirectGate:
    """Implements `Gate`. Not thread-safe: the link guards it."""

    def __init__(
        self, coil: int, config: DirectConfig, desk: Desk, clock: Clock, word_order: WordOrder
    ) -> None:
        """Nothing under way, the coil unknown."""
        self._coil = coil
        self._config = config
        self._desk = desk
        self._clock = clock
        self._word_order = word_order
        self._belt = Belt(16 * config.encoder_words) if config.encoder_address is not None else None
        self._poll_ns = round(config.poll_ms * NS_PER_MS)
        self._pulses = Pulses(means=config.coil_means, delay=config.delay, width=config.width)
        self._confirmations = Confirmations(round(config.confirm_ms * NS_PER_MS))
        self._coming: list[Window] = []  # parts to be rejected that have not reached the gate
        self._level: bool | None = None  # of the coil, None = unknown
        self._confirm_was = True  # so that an input that is on from the start confirms nothing
        self._t_looked_ns = self._t_poll_ns = self._t_written_ns = 0
        self._looked_at: int | None = None

    def take(self, verdict: Verdict) -> None:
        """Plan the part's window. One that cannot be placed on the belt is never released."""
        now_ns = self._clock.now_ns()
        at = self._at(now_ns)
        trigger = self._belt.position_at(verdict.t_trigger_ns) if self._belt else verdict.t_trigger_ns
        if at is None or trigger is None:
            self._desk.on_unconfirmed(verdict.part_id)
            return
        passed = verdict.outcome is Outcome.PASS
        window = self._pulses.add(verdict.part_id, trigger, release=passed, now=at)
        if not window.release and window.end > at:
            self._coming.append(window)
            self._coming.sort(key=lambda each: each.start)

    def next_ns(self) -> int | None:
        """Return when to look again: at the next edge, and where there is something to read, every `poll_ms`."""
        times = [self._confirmations.next_ns()]
        if self._polls:
            times.append(self._t_poll_ns)
        if self._level:
            times.append(self._t_written_ns + self._poll_ns)
        if self._level is None:
            times.append(0)
        elif self._belt is None:
            times.append(self._pulses.next_change(self._t_looked_ns))
        return min((t_ns for t_ns in times if t_ns is not None), default=None)

    def act(self, connection: PlcConnection) -> None:
        """Read what is due, put the coil right, and see whether what was rejected has gone."""
        now_ns = self._clock.now_ns()
        polls = self._polls and now_ns >= self._t_poll_ns
        if polls:
            self._t_poll_ns = now_ns + self._poll_ns
            self._read_belt(connection)
        at = self._at(self._clock.now_ns())
        if at is not None or self._level is None:
            self._move(connection, at)
        if polls and self._config.confirm_input is not None:
            self._look_behind_the_gate(connection, self._config.confirm_input)
        for part_id in self._confirmations.overdue(self._clock.now_ns()):
            self._desk.on_unconfirmed(part_id)

    def lose(self) -> None:
        """Forget what is under way: it is not released, and what the sensor saw meanwhile cannot be known."""
        self._pulses.clear()
        self._confirmations.clear()
        self._coming.clear()
        self._level = self._looked_at = None
        self._confirm_was = True
        if self._belt is not None:
            self._belt.clear()

    def leave(self, connection: PlcConnection) -> None:
        """Switch the coil off: with the default meaning, the gate is closed."""
        connection.write_coil(self._coil, on=False)
        self._level = False

    # -- steps ------------------------------------------------------------------------------------

    @property
    def _polls(self) -> bool:
        return self._belt is not None or self._config.confirm_input is not None

    def _at(self, now_ns: int) -> int | None:
        """Return the time, or the place of the belt: what windows are measured in."""
        return now_ns if self._belt is None else self._belt.position

    def _read_belt(self, connection: PlcConnection) -> None:
        if self._belt is None or self._config.encoder_address is None:
            return
        t_sent_ns = self._clock.now_ns()
        words = connection.read_words(self._config.encoder_address, self._config.encoder_words)
        if self._word_order == "low_first":
            words.reverse()
        self._belt.take(sum(word << 16 * i for i, word in enumerate(reversed(words))), t_sent_ns)

    def _move(self, connection: PlcConnection, at: int | None) -> None:
        """Put the coil right, and say which parts slipped through because it was not in time."""
        t_before_ns, self._t_looked_ns = self._t_looked_ns, self._clock.now_ns()
        slipped: list[Window] = []
        if at is not None and self._looked_at is not None and self._level is not None:
            slipped = self._pulses.slipped(self._looked_at, at, level=self._level)
        self._looked_at = at
        level = at is not None and self._pulses.level(at)
        if level != self._level or (level and self._t_looked_ns - self._t_written_ns >= self._poll_ns):
            self._level = None  # until it is acknowledged
            self._t_written_ns = self._t_looked_ns
            connection.write_coil(self._coil, on=level)
            self._level = level
        t_right_ns = self._clock.now_ns()
        for window in slipped:
            t_reached_ns = window.start if self._belt is None else t_before_ns
            if t_right_ns - t_reached_ns > self._config.slack_ms * NS_PER_MS:
                self._desk.on_unconfirmed(window.part_id)
        if at is not None:
            self._leave_behind(at)

    def _leave_behind(self, at: int) -> None:
        """Expect the rejected parts that reached the gate behind it, and forget those that have left it."""
        while self._coming and self._coming[0].start <= at:
            reached = self._coming.pop(0)
            if self._config.confirm_input is not None:
                self._confirmations.expect(reached.part_id, self._t_looked_ns)
        # A belt may go back a little; time does not.
        self._pulses.forget(at if self._belt is None else at - 2 * self._config.width)

    def _look_behind_the_gate(self, connection: PlcConnection, address: int) -> None:
        is_on = connection.read_input(address)
        if is_on and not self._confirm_was:
            self._confirmations.seen()
        self._confirm_was = is_on


def gate_of(config: DirectConfig, desk: Desk, clock: Clock, word_order: WordOrder) -> Gate:
    """Return the gate that the configuration asks for."""
    return NoGate() if config.coil is None else DirectGate(config.coil, config, desk, clock, word_order)
