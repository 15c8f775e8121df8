"""Is anybody else writing our blocks? Two stations that were given the same addresses each overwrite the other's verdicts.

The last one to write wins, so each finds the other's heartbeat where its own should stand; and where they share the result slots alone,
the other's verdict where its own was. A read of both now and then tells, none for each part. A single wrong value may be an old
write that came twice; two in a row are another writer.

Where only the slots are shared, the one that decides later always finds its own: its PASS would release what the other rejected. So
now and then a slot is read before a PASS goes there: a whole verdict on that very part, which we have not sent, is another's, and
the PASS is withdrawn. Two in a row are another writer, until clear_fault.

It has gone when our heartbeat stands again. Where only the slots are shared, nothing tells, until a verdict of ours stands: of the
next part, which is rejected. Until then it is taken to be there; clear_fault says that somebody has looked.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from inspector.clock import NS_PER_S
from inspector.part import Outcome

CHECK_NS = NS_PER_S
FIRST_CHECKS = (
    10  # before each of so many status writes after connecting: who comes second should know at once
)
STRIKES = 2  # wrong values in a row that are another writer
CLEAN = 3  # right ones in a row after which it has gone
OF_ONE_SLOT = 2  # verdicts sent to it last: the newest may not have come


@dataclass(slots=True)
class ForeignWriter:
    """What was found, and what follows from it. Not thread-safe: the link guards it."""

    present: bool = False
    address: int | None = None  # of the slot that a verdict was sent to last
    _checks: int = 0  # since the last connect
    _t_check_ns: int = 0
    _strikes: int = 0
    _clean: int = 0
    _t_look_ns: int = 0  # before a PASS
    _met: int = 0  # verdicts of another on parts of ours, in a row
    _explained: Sequence[int] = ()  # what stood in the slot of one whom the heartbeat gave away
    _clear_was_set: bool = True  # unknown: a signal that is up at the first read is no edge
    _sent: dict[int, deque[Sequence[int]]] = field(default_factory=dict)

    def connected(self) -> None:
        """Look closely again."""
        self._checks = 0

    def due(self, now_ns: int) -> bool:
        """Return whether to read back before the next write."""
        closely = self._checks < FIRST_CHECKS or self._strikes > 0 or self._met > 0 or self.present
        return closely or now_ns >= self._t_check_ns

    def look_due(self, now_ns: int) -> bool:
        """Return whether to read the slot before a PASS goes there."""
        return self._met > 0 or now_ns >= self._t_look_ns

    def met(self, part_id: int, slot: Sequence[int], now_ns: int) -> bool:
        """Take the slot as it stands before our first verdict on that part; return whether another's stands there."""
        self._t_look_ns = now_ns + CHECK_NS
        foreign = slot[0] == slot[7] == part_id and slot[1] in set(Outcome)
        if self._met < STRIKES:
            self._met = self._met + 1 if foreign else 0
        return foreign

    def sends(self, address: int, words: Sequence[int]) -> None:
        """Take a verdict on its way into the slot at this address."""
        self.address = address
        self._sent.setdefault(address, deque(maxlen=OF_ONE_SLOT)).append(words)

    def heard(self, *, clear_fault: bool) -> None:
        """Take a read of the PLC's signal; where it rises, what stands in the slot is forgotten."""
        if clear_fault and not self._clear_was_set:
            self.address = None
            self._met = 0
        self._clear_was_set = clear_fault

    def found(self, heartbeat: int, ours: tuple[int, int], now_ns: int, slot: Sequence[int] = ()) -> bool:
        """Take the heartbeat that stands in the PLC, the two that may, and the slot at `address`; return whether `present` has changed.

        A zero is nobody's: some PLCs clear the word when they have seen it.
        """
        self._checks += 1
        self._t_check_ns = now_ns + CHECK_NS
        given_away = heartbeat not in {0, *ours}
        if given_away:
            self._explained = list(slot)
        wrong = given_away or (self._is_foreign(slot) and list(slot) != self._explained)
        self._strikes, self._clean = (self._strikes + 1, 0) if wrong else (0, self._clean + 1)
        before = self.present
        stays = self._clean < CLEAN if before else self._strikes >= STRIKES
        self.present = stays or self._met >= STRIKES
        return self.present is not before

    def _is_foreign(self, slot: Sequence[int]) -> bool:
        """Return whether a whole verdict stands there that we did not send: what the PLC has cleared, however much of it, is none."""
        if not slot or self.address is None or slot[1] not in set(Outcome) or not 0 != slot[0] == slot[7]:
            return False
        return list(slot) not in [list(words) for words in self._sent[self.address]]
