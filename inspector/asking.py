"""When the PLC's count is to be read out of turn. Not thread-safe: the desk guards it."""

from inspector.ledger import Ledger


class Asking:
    """A read is wanted when a frame came, and, out of step, at the first moment at which one can find the line empty."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.wanted = False  # since `asked` last said so
        self._t_looked_ns: int | None = None

    def frame_came(self) -> None:
        """Take note: only a read after its arrival makes it certain which part a frame shows."""
        self.wanted = True

    def next_ns(self) -> int | None:
        """Return when to look whether the line is empty, once for each time that it may be: on a fast line that is not for long."""
        t_ns = self._ledger.t_empty_ns
        return None if t_ns == self._t_looked_ns else t_ns

    def on_tick(self, now_ns: int) -> None:
        """Want a read where the line may be empty."""
        t_ns = self.next_ns()
        if t_ns is not None and now_ns >= t_ns:
            self._t_looked_ns = t_ns
            self.wanted = True

    def asked(self) -> bool:
        """Return whether a read is wanted, once: it is sent after this, and so after whatever wanted it. Without the lock."""
        if not self.wanted:  # left alone: another thread may have begun to want one by now
            return False
        self.wanted = False
        return True
