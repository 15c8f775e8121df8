"""Is anybody else writing our status block? Two stations that were given the same addresses each overwrite the other's verdicts.

The last one to write wins, so each finds the other's heartbeat where its own should stand. One read now and then tells, none
for each part. A single wrong value may be an old write that came twice; two in a row are another writer.
"""

from dataclasses import dataclass

from inspector.clock import NS_PER_S

CHECK_NS = NS_PER_S
FIRST_CHECKS = (
    10  # before each of so many status writes after connecting: who comes second should know at once
)
STRIKES = 2  # wrong values in a row that are another writer
CLEAN = 3  # right ones in a row after which it has gone


@dataclass(slots=True)
class ForeignWriter:
    """What was found, and what follows from it. One thread."""

    present: bool = False
    _checks: int = 0  # since the last connect
    _t_check_ns: int = 0
    _strikes: int = 0
    _clean: int = 0

    def connected(self) -> None:
        """Look closely again."""
        self._checks = 0

    def due(self, now_ns: int) -> bool:
        """Return whether to read back before the next write."""
        return self._checks < FIRST_CHECKS or self._strikes > 0 or self.present or now_ns >= self._t_check_ns

    def found(self, heartbeat: int, ours: tuple[int, int], now_ns: int) -> bool:
        """Take the heartbeat that stands in the PLC, and the two that may; return whether `present` has changed.

        A zero is nobody's: some PLCs clear the word when they have seen it.
        """
        self._checks += 1
        self._t_check_ns = now_ns + CHECK_NS
        wrong = heartbeat not in {0, *ours}
        self._strikes, self._clean = (self._strikes + 1, 0) if wrong else (0, self._clean + 1)
        before = self.present
        self.present = self._clean < CLEAN if before else self._strikes >= STRIKES
        return self.present is not before
