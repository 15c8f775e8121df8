"""When the PLC's count is read out of turn."""

from typing import Any, cast

from inspector.asking import Asking
from inspector.ledger import Ledger


class Line:
    """As much of a ledger as is asked."""

    t_empty_ns: int | None = None


def asking() -> tuple[Line, Asking]:
    line = Line()
    return line, Asking(cast("Ledger", line))


def asked(asks: Asking, now_ns: int) -> bool:
    asks.on_tick(now_ns)
    return asks.asked()


def test_a_frame_wants_one_read() -> None:
    _, asks = asking()
    assert not asked(asks, 0)
    asks.frame_came()
    assert [asked(asks, t_ns) for t_ns in (1, 2)] == [True, False]


def test_a_line_that_may_be_empty_is_looked_at_once_when_it_may_be() -> None:
    line, asks = asking()
    assert asks.next_ns() is None
    line.t_empty_ns = 100
    assert asks.next_ns() == 100
    assert not asked(asks, 99)
    assert asked(asks, 100)
    assert asks.next_ns() is None
    assert not asked(asks, 101)
    line.t_empty_ns = 200  # something came, and it was quiet again
    assert asks.next_ns() == 200
    assert asked(asks, 250)


class Interrupted(Asking):
    """Whenever a thread sees that nothing is wanted, a frame comes by another one at once."""

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name == "wanted" and not value:
            self.frame_came()
        return value


def test_a_frame_that_comes_while_another_thread_asks_is_not_forgotten() -> None:
    asks = Interrupted(cast("Ledger", Line()))
    assert not asks.asked()
    assert asks.asked()
