"""Who stands at the line: looks after a line that stopped, and puts known parts on it when a challenge is to be run."""

import dataclasses
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence

from inspector.plc.registers import State
from tools.linesim.conveyor import InputError, Item
from tools.linesim.plc import Plc

PRESS_S = 0.1  # how long the button of clear_fault is held
POLL_S = 0.005
BEGIN_S = 10.0  # how long the station may take to say that a challenge runs

StoppedWithin = Callable[[float], Awaitable[bool]]  # waits so many seconds; whether the run is to end


class Operator:
    """Clears a line stop some time after it began: empties the bin, and presses the button. Until then no part comes."""

    def __init__(self, plc: Plc, tell: Callable[..., None], clear_after_ms: float) -> None:
        self.stops = 0  # how often the line stood
        self._plc = plc
        self._tell = tell
        self._clear_after_s = clear_after_ms * 1e-3

    @property
    def stopped(self) -> bool:
        """Whether the station asks for a stop."""
        return self._plc.powered and State.LINE_STOP in self._plc.status().state

    async def attend(self, stopped_within: StoppedWithin) -> None:
        """Return when the line may run, or the run is to end; at once where it may."""
        if not self.stopped:
            return
        self.stops += 1
        self._tell("line_stopped", error=self._plc.status().error_code)
        while self.stopped:
            if await stopped_within(self._clear_after_s):
                return
            self._set(bin_full=False, clear_fault=True)
            await stopped_within(PRESS_S)
            self._set(clear_fault=False)
            await stopped_within(PRESS_S)  # for the station's answer
        self._tell("line_runs")

    def _set(self, **control: bool) -> None:
        self._plc.set_control(dataclasses.replace(self._plc.control, **control))


class Challenges:
    """Raises challenge_mode, and says which parts come next; also where `inspector challenge` asked, not the PLC.

    Then the belt runs on, so that some parts may be counted before the station's word is seen: they are what they are.
    """

    def __init__(self, plc: Plc, items: Sequence[Item], sequence: Sequence[str]) -> None:
        """`sequence`: how the station wants the parts to come out; those behind its end it rejects."""
        self._sequence = sequence
        self._plc = plc
        self._known = {
            good: _in_turn([item for item in items if item.good == good]) for good in (True, False)
        }
        self._to_come: deque[tuple[bool, str]] = deque()  # what the part is, and how it must come out
        self._heard = False  # that a challenge runs

    async def begin(self, truths: Sequence[str], stopped_within: StoppedWithin) -> None:
        """Ask for a challenge and wait until the station says that the next part is its first. Raises InputError."""
        self._set(on=True)
        for _ in range(round(BEGIN_S / POLL_S)):
            if State.CHALLENGE in self._plc.status().state or await stopped_within(POLL_S):
                wanted = [*self._sequence, *["bad"] * len(truths)]
                self._to_come.extend(
                    (truth == "good", how) for truth, how in zip(truths, wanted, strict=False)
                )
                return
        raise InputError(f"expected the station to begin the challenge within {BEGIN_S:g} s, it did not")

    def next(self, item: Item) -> tuple[Item, str]:
        """Return the part that comes now, and how a challenge wants it to come out: `item` and "", unless a known one is due."""
        self._listen()
        if not self._to_come:
            return item, ""
        good, wanted = self._to_come.popleft()
        try:
            return next(self._known[good]), wanted
        except StopIteration:
            raise InputError(
                "expected good and bad images for the parts of a challenge; --images has none"
            ) from None

    def counted(self) -> None:
        """Take note that the part was counted: behind the last one the signal falls."""
        if not self._to_come and self._plc.control.challenge_mode:
            self._set(on=False)

    def _listen(self) -> None:
        """Put known parts on the belt once the station says that a challenge runs by somebody's command. Nothing is asked of them."""
        runs = State.CHALLENGE in self._plc.status().state
        if runs and not self._heard and not self._plc.control.challenge_mode:
            self._to_come.extend((truth == "good", "") for truth in self._sequence)
        self._heard = runs

    def _set(self, *, on: bool) -> None:
        self._plc.set_control(dataclasses.replace(self._plc.control, challenge_mode=on))


def _in_turn(items: Sequence[Item]) -> Iterator[Item]:
    """Yield the items for ever, nothing of none."""
    while items:
        yield from items
