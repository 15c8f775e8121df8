"""The time of a world: it jumps from event to event, and a process that stands still hears of them afterwards."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.property.scripts import MS


@dataclass
class Timeline:
    """What is to happen, in the order of its time; nanoseconds."""

    now: int = 10**12
    events: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    order: int = 0
    t_awake: int = 0  # until then the station's process stands still

    def at(self, delay_ns: float, action: Callable[[], None]) -> None:
        self.order += 1
        heapq.heappush(self.events, (self.now + round(delay_ns), self.order, action))

    def run_until(self, t_end: int) -> None:
        while self.events and self.events[0][0] <= t_end:
            self.now, _, action = heapq.heappop(self.events)
            action()
        self.now = t_end

    def freeze(self, ms: float) -> None:
        """The station's process stands still: what happens to it meanwhile happens when it goes on, in that order."""
        self.t_awake = self.now + round(ms * MS)

    def frozen(self, then: Callable[[], None]) -> bool:
        """Whether it stands still now; `then` is what happens when it goes on."""
        if self.now < self.t_awake:
            self.at(self.t_awake - self.now, then)
            return True
        return False
