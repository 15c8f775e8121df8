"""Where the belt is, and where it was: an encoder's count, read now and then. Pure: no I/O, no clock of its own."""

from bisect import bisect_left
from collections import deque

REMEMBERED = 4096  # readings: 20 s at one each 5 ms; a part's trigger is looked up when its verdict is final


class Belt:
    """The unwrapped position. Not thread-safe: the link guards it."""

    def __init__(self, bits: int) -> None:
        """`bits`: of the encoder's register, after which it wraps."""
        self._turn = 1 << bits
        self._readings: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)  # time, position

    @property
    def position(self) -> int | None:
        """The last position read, in counts; None before the first."""
        return self._readings[-1][1] if self._readings else None

    def take(self, count: int, t_ns: int) -> None:
        """Take a reading. Between two the belt moves less than half a turn of the register, either way."""
        position = self.position
        if position is not None:
            step = (count - position) % self._turn
            count = position + (step if step < self._turn // 2 else step - self._turn)
        self._readings.append((t_ns, count))

    def position_at(self, t_ns: int) -> int | None:
        """Return where the belt was then, between the two readings around it; None where that was before the first."""
        after = bisect_left(self._readings, (t_ns, -self._turn * self._turn))
        if after == len(self._readings):
            return self.position
        t_after_ns, position = self._readings[after]
        if t_after_ns == t_ns:
            return position
        if after == 0:
            return None
        t_before_ns, before = self._readings[after - 1]
        return before + (position - before) * (t_ns - t_before_ns) // (t_after_ns - t_before_ns)

    def clear(self) -> None:
        """Forget: nobody read it for a while."""
        self._readings.clear()
