"""Whose frame is it? Matches the camera's frames to the parts the PLC counted. Pure: no I/O, no threads, no clock.

A frame belongs to a part by its place in the sequence of frame ids since camera and PLC were last in step, and only if
the times agree. Part p was triggered within a window: after the last read of the control block that did not show p, before
the first that did. Its frame arrives between `latency_min` and `latency_max` later. A frame shows p for certain only if
its arrival fits p's window and neither that of p - 1 nor that of p + 1. So a trigger that the camera missed, or one too
many, or both, does not shift a verdict to the neighbour. The price: parts that follow each other closer than the spread of
the latency (and the time between two reads) are rejected, since no time can tell their frames apart.

Where we trigger the camera ourselves, a part's window is the moment of our command: the frames belong to our commands in their order,
and a frame without one is in doubt. The part must still be before the camera then, for latency_max after it was counted and as long
again for the frame; that the next one was not there yet is certain by a read after the frame that does not count it.

In step the two get on an empty line: the count stood still and no frame came for longer than `latency_max`. The next
frame then shows the next part. This first one is certain only when its time is over and no other frame came in it: one that
was late beyond all measure, on a line that only looked empty, would stand for it, and its own would follow.

What this rests on, and what a station must therefore state truthfully: the camera's latency, and that the PLC counts a
part no later than `count_lag` after its trigger. What it cannot see: a second trigger within the latency's spread before
the part's own; its frame stands for the part until the part's own frame, one too many, puts the line out of step. Nor that all
frames come later than stated by about the time from part to part: then each one fits the next part. A latency that is stated
too short is the one error of a configuration that can release the wrong part.
"""

from collections import deque
from dataclasses import dataclass

from inspector.part import Frame, fell_back, next_part_id, part_distance

PLAUSIBLE_COUNT = 32_767  # of parts at once; a PLC that began anew and says more has counted none of them
PLAUSIBLE_GAP = 1_000  # frames lost in a row; more is a camera that counts anew
BEHIND = 16  # a frame id so far back came late or twice; further back is a camera that counts anew
AHEAD = 8  # frames that may come before the PLC's count is read
REMEMBERED = 256  # windows of counted parts kept for frames that come late
NEVER = -(1 << 62)


@dataclass(frozen=True, slots=True)
class Timing:
    """What the handshake may rely on, nanoseconds."""

    latency_min_ns: int  # trigger to arrival of the frame, at least
    latency_max_ns: int  # and at most
    count_lag_ns: int = 0  # trigger to count, at most; 0 where the PLC itself triggers the camera
    by_command: bool = (
        False  # we trigger the camera, for parts already counted; the latency counts from our command
    )


@dataclass(frozen=True, slots=True)
class Window:
    """A part was triggered after the one moment and not after the other, nanoseconds."""

    after_ns: int
    before_ns: int


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a frame belongs: to `part_id` (0 = to none), after `skipped` parts whose frames were lost; or in doubt, and why."""

    part_id: int = 0
    skipped: int = 0
    doubt: str = ""
    repeated: bool = False


class Handshake:
    """The matching of two counters. Not thread-safe; the ledger owns it."""

    def __init__(self, timing: Timing, last_part_id: int | None = None) -> None:
        """Start out of step. `last_part_id`: the last part an earlier run knew, None if there was none."""
        self._timing = timing
        self.count = last_part_id
        self.in_step = False
        self._t_read_ns = NEVER
        self._counted: dict[int, Window] = {}  # when each part was counted, oldest first
        self._windows = {} if timing.by_command else self._counted  # when its picture was triggered
        self._commanded: deque[int] = deque()  # parts whose frame has not come yet
        self._t_in_step_ns = NEVER
        self._next_part = 0
        self._first_part = 0  # since in step
        self._next_frame_id: int | None = None  # None = any that is new
        self._newest_frame_id: int | None = None
        self._quiet_since_ns: int | None = None

    # -- the PLC's side ---------------------------------------------------------------------------

    def read(
        self, count: int, t_sent_ns: int, t_received_ns: int, plc_restarted: bool = False
    ) -> tuple[list[int], bool]:
        """Take a read of the PLC's count; return the parts counted since the last one, and whether the PLC restarted.

        A PLC that lost its memory may have retained its count. Where the count alone does not tell, it is taken as whatever
        means fewer parts: the other reading would make up parts that never were, a life's worth of them.
        """
        parts: list[int] = []
        restarted = False
        if self.count is not None:
            step = part_distance(self.count, count) if count else -self.count
            anew = fell_back(self.count, count) or (plc_restarted and count < step)
            restarted = plc_restarted or anew
            if restarted:
                self._counted.clear()
                self._windows.clear()
            first, new = (0, count if count <= PLAUSIBLE_COUNT else 0) if anew else (self.count, step)
            after_ns = t_sent_ns if self._t_read_ns == NEVER else self._t_read_ns - self._timing.count_lag_ns
            window = Window(after_ns, t_received_ns)
            parts = [next_part_id(first, i) for i in range(1, new + 1)]
            self._counted.update(dict.fromkeys(parts[-REMEMBERED:], window))
            for windows in (self._counted, self._windows):
                while len(windows) > REMEMBERED:
                    del windows[next(iter(windows))]
        self.count = count
        self._t_read_ns = t_sent_ns
        return parts, restarted

    def window(self, part_id: int) -> Window | None:
        """Return when that part was counted, None where it was not (or long ago)."""
        return self._counted.get(part_id)

    def commanded(self, part_id: int, t_ns: int) -> None:
        """Take note that we trigger the camera for this part now."""
        self._windows[part_id] = Window(t_ns, t_ns)
        self._commanded.append(part_id)
        self._first_part = self._first_part or part_id

    def overdue(self, frame: Frame) -> bool:
        """Return whether the last read must have shown this frame's part, had there been one."""
        return frame.t_arrival_ns + self._timing.count_lag_ns <= self._t_read_ns

    # -- the camera's side ------------------------------------------------------------------------

    def camera_restarted(self) -> None:
        """Forget the frame ids: the camera counts anew."""
        self.lose_step()
        self._newest_frame_id = None

    def lose_step(self) -> None:
        """Stop matching until the line was empty once."""
        self.in_step = False
        self._quiet_since_ns = None
        self._commanded.clear()

    def watch_for_an_empty_line(self, t_sent_ns: int, t_received_ns: int) -> bool:
        """After a read, get in step if count and camera were quiet long enough; return whether this read did it."""
        if self.in_step:
            return False
        newest = self._counted.get(self.count or 0)
        if self._quiet_since_ns is None or (newest and newest.before_ns > self._quiet_since_ns):
            self._quiet_since_ns = t_received_ns
            return False
        if t_sent_ns - self._quiet_since_ns <= self._longest_ns:
            return False
        self.in_step = True
        self._t_in_step_ns = t_sent_ns - self._timing.count_lag_ns
        self._next_part = next_part_id(self.count or 0)
        self._first_part = 0 if self._timing.by_command else self._next_part
        self._next_frame_id = None
        return True

    @property
    def t_empty_ns(self) -> int | None:
        """When a read can find the line empty, if nothing comes before; None in step, and where something came since the last one."""
        if self.in_step or self._quiet_since_ns is None:
            return None
        return self._quiet_since_ns + self._longest_ns + 1

    @property
    def _longest_ns(self) -> int:
        """From a part's trigger to its frame, or to its count."""
        return self._timing.latency_max_ns + self._timing.count_lag_ns

    def place(self, frame: Frame) -> Placement:
        """Say where a frame belongs. Every frame must be reported, in the order of the ring, also out of step."""
        newest, self._newest_frame_id = self._newest_frame_id, frame.frame_id
        if not self.in_step:
            self._quiet_since_ns = None
            return Placement()
        expected = self._next_frame_id
        if expected is None:
            expected = frame.frame_id if newest is None or frame.frame_id > newest else newest + 1
        step = frame.frame_id - expected
        if step < -BEHIND:
            return Placement(doubt=f"the frame id fell back by {-step}")
        if step < 0:
            self._newest_frame_id = newest
            return Placement(repeated=True)
        if step > PLAUSIBLE_GAP:
            return Placement(doubt=f"the frame id jumped by {step}")
        self._next_frame_id = frame.frame_id + 1
        part_id = self._part_of(step)
        if not part_id:
            return Placement(doubt=f"frame {frame.frame_id} came without a command")
        if frame.t_arrival_ns <= self._t_in_step_ns:
            return Placement(doubt=f"frame {frame.frame_id} is from before the line was empty")
        window = self._windows.get(part_id)
        if window is None:
            if not 1 <= part_distance(self.count or 0, part_id) <= AHEAD:
                return Placement(doubt=f"frame {frame.frame_id} is far from the PLC's count {self.count}")
        elif not self._fits(frame, window):
            return Placement(doubt=f"frame {frame.frame_id} came at no time for part {part_id}")
        return Placement(part_id, skipped=step)

    def _part_of(self, step: int) -> int:
        """Return the part of the frame that comes `step` after the expected one; 0 where it was not commanded."""
        if not self._timing.by_command:
            part_id = next_part_id(self._next_part, step)
            self._next_part = next_part_id(part_id)
            return part_id
        for _ in range(min(step, len(self._commanded))):
            self._commanded.popleft()
        return self._commanded.popleft() if self._commanded else 0

    def certain(self, frame: Frame, part_id: int) -> bool | None:
        """Return whether the frame shows that part and no other; None while the next read may still tell."""
        window = self._windows.get(part_id)
        if window is None:
            return None
        if not self._fits(frame, window):
            return False
        if part_id == self._first_part:
            if not self.in_step:  # nobody saw whether another frame came in its time
                return False
            if self._t_read_ns <= window.before_ns + self._timing.latency_max_ns:
                return None
        previous = self._previous(part_id)
        if previous and frame.t_arrival_ns <= previous.before_ns + self._timing.latency_max_ns:
            return False
        following = self._counted.get(next_part_id(part_id))
        following_after_ns = following.after_ns if following else self._t_read_ns - self._timing.count_lag_ns
        # Where we trigger, the next part may stand before the camera without a command, but not without a count.
        latency_min_ns = 0 if self._timing.by_command else self._timing.latency_min_ns
        if frame.t_arrival_ns <= following_after_ns + latency_min_ns:
            return True
        return False if following else None

    def _previous(self, part_id: int) -> Window | None:
        """Return when the part whose frame comes before this one's was triggered."""
        if not self._timing.by_command:
            return self._windows.get(next_part_id(part_id, -1))
        order = list(self._windows)
        place = order.index(part_id)
        return self._windows[order[place - 1]] if place else None

    def _fits(self, frame: Frame, window: Window) -> bool:
        earliest = window.after_ns + self._timing.latency_min_ns
        return earliest <= frame.t_arrival_ns <= window.before_ns + self._timing.latency_max_ns
