"""The judge: holds what was seen in the registers against the promises I1 to I5. Pure: no input, no output, no clock.

It is told four things, each with its time on the line's own clock: a part was counted, a slot was written, the gate
decided, the link came or went. Memory is bounded by the number of slots and images, but for eight bytes a part.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from inspector.part import Outcome, Reason
from inspector.plc.registers import Flag, Status

NO_SCORE = 0xFFFF
RECIPE = 5  # the word of a slot that names the recipe
SCORE_TOLERANCE = 0.01  # of one image, shown twice, scored twice: threads may add in another order
# A PASS that comes so long after its deadline was sent after it: no machine that we know stalls that long. Where something
# between station and PLC may hold a call for longer (a bad network, the fault proxy), the judge must be told.
HELD_NS = 50_000_000
COUNTERS = 1 << 32  # they wrap here
REASON_NAMES = {reason.value: reason.name for reason in Reason}


@dataclass(slots=True)
class Part:
    """One counted part and all that was seen of it. Times are the line's monotonic nanoseconds."""

    index: int  # 1, 2, 3 ... for the whole run, while part_id wraps
    part_id: int
    image: str
    good: bool
    t_trigger_ns: int
    deadline_ns: int
    t_slot_ns: int | None = None  # when its slot first held a verdict with both ids
    words: tuple[int, ...] = ()  # that verdict
    released: bool | None = None  # None until the gate decided
    reason: str = ""  # upper case: the station's word; lower case: the PLC's own
    recipe: int = 0  # that the PLC asked for when it counted the part; 0 = none
    link_lost: bool = False  # there was a moment without any connection before its verdict
    double: bool = False
    challenge: str = ""  # of a part of a challenge: how it must come out, good or bad
    mixed_up: bool = False  # its score is another image's
    gone_with_plc: bool = False  # the PLC forgot that it counted it, and nobody had read the count

    @property
    def passed(self) -> bool:
        """Whether its first verdict is PASS, in time or not."""
        return bool(self.words) and self.words[1] == Outcome.PASS


@dataclass(slots=True)
class Tally:
    """The counts of a run. What is a broken promise is said by `Judge.broken_promises`."""

    parts: int = 0
    good: int = 0
    bad: int = 0
    released: int = 0
    released_bad: int = 0  # escapes: the model's mistake, no promise
    rejected_good: int = 0  # false rejects, for whatever reason
    rejected_good_by_score: int = 0  # of these, by the model
    rejects: Counter[str] = field(default_factory=Counter)
    wrong_releases: int = 0  # I2
    unaccounted: int = 0  # I1
    double: int = 0  # I1
    late: int = 0  # rejected as LATE, or the verdict came after the deadline
    foreign: int = 0  # I3: a verdict for a part that is over, or that was never counted
    late_passes: int = 0  # I3: a PASS that was sent after its deadline
    mixed_up: int = 0  # I4
    wrong_recipe: int = 0  # I4: passed by the model of another product
    repeats: int = 0  # the same verdict written again: harmless
    old_answers: int = (
        0  # reads in which the verdict of a part that is over was seen again, as far as they are excused
    )
    challenge_parts: int = 0
    challenge_escapes: int = 0  # parts that were released where the challenge wants a bad one
    unmarked: int = 0  # parts of a challenge whose verdict does not say so
    link_lost: int = 0  # parts whose link was down before their verdict
    gone_with_plc: int = 0  # counted by a PLC that lost its memory before anybody read the count


class Judge:
    """Follows each part from its count to the end of its slot."""

    def __init__(
        self, *, slots: int, closed: Callable[[Part], None], held_ns: int = HELD_NS, old_answers: int = 0
    ) -> None:
        """`held_ns`: how long a call may be on its way. `old_answers`: so many reads may get an answer from before once more."""
        self.tally = Tally()
        self.latencies_ns = array("q")
        self._owners: list[Part | None] = [None] * slots
        self._closed = closed
        self._held_ns = held_ns
        self._old_answers = old_answers
        self._t_old_ns: int | None = None  # when the last of these came: it fills several slots
        self._seen: list[tuple[int, ...]] = [()] * slots  # the verdict that was last seen in each slot
        self._first: dict[str, Part] = {}  # the first part that broke each promise
        self._scores: dict[
            tuple[str, int], int
        ] = {}  # relative score of each image, by the recipe that first scored it
        self._closed_growth = Counter[str]()  # what the station's counters must have grown by
        self._unknowable = 0  # parts that a restarted PLC counted before anybody read its count

    def counted(self, part: Part) -> None:
        """Take a part that the PLC just counted; the part that had its slot is over."""
        slot = part.part_id % len(self._owners)
        self._close(self._owners[slot])
        self._owners[slot] = part
        self.tally.parts += 1
        self.tally.challenge_parts += bool(part.challenge)
        self.tally.good += part.good
        self.tally.bad += not part.good

    def slot_written(self, slot: int, words: Sequence[int], t_ns: int) -> None:
        """Take the eight words that stand in a slot after a write."""
        part_id, verdict = words[0], words[1]
        if part_id == 0 or part_id != words[7] or verdict not in (Outcome.PASS, Outcome.REJECT):
            return
        part = self._owners[slot]
        if part is None:
            return  # nobody's slot: a verdict for the PLC that was there before the power failed
        if part.part_id != part_id:
            if not self._is_old_answer(slot, words, t_ns):
                self.tally.foreign += 1
                self._first.setdefault("foreign", part)
            return
        self._seen[slot] = tuple(words)
        if part.t_slot_ns is None:
            part.t_slot_ns, part.words = t_ns, tuple(words)
            self.latencies_ns.append(t_ns - part.t_trigger_ns)
            self.tally.late += t_ns > part.deadline_ns
            if part.passed and t_ns > part.deadline_ns + self._held_ns:
                self.tally.late_passes += 1
                self._first.setdefault("late_passes", part)
            self._compare_score(part)
            self._look_for_the_mark(part)
            if part.passed and part.recipe not in (0, words[RECIPE]):
                self.tally.wrong_recipe += 1
                self._first.setdefault("wrong_recipe", part)
        elif tuple(words[1:3]) == part.words[1:3]:
            self.tally.repeats += 1
        elif not part.double:
            part.double = True
            self.tally.double += 1
            self._first.setdefault("double", part)

    def gate_decided(self, part: Part, *, released: bool, words: Sequence[int], powered: bool) -> None:
        """Take the gate's decision and the words it looked at. `powered`: the PLC had power."""
        part.released = released
        in_time = part.t_slot_ns is not None and part.t_slot_ns <= part.deadline_ns
        if released:
            part.reason = Reason.NONE.name
            self.tally.released += 1
            self.tally.released_bad += not part.good
            if part.challenge == "bad":
                self.tally.challenge_escapes += 1
                self._first.setdefault("challenge_escapes", part)
            if not (in_time and part.passed) or part.mixed_up:
                self.tally.wrong_releases += 1
                self._first.setdefault("wrong_releases", part)
            return
        if not powered:
            part.reason = "plc_down"
        elif in_time and words[0] == part.part_id == words[7]:
            part.reason = "gate_shut" if part.passed else reason_name(words[2])
        else:
            part.reason = "link_down" if part.link_lost else "no_verdict"
        self.tally.rejects[part.reason] += 1
        self.tally.late += part.reason == Reason.LATE.name
        self.tally.rejected_good += part.good
        self.tally.rejected_good_by_score += part.good and part.reason == Reason.SCORE.name

    def link_lost(self) -> None:
        """Take the moment in which the last connection went: nobody can be blamed for verdicts not yet delivered."""
        for part in self._owners:
            if part is not None and part.t_slot_ns is None:
                part.link_lost = True

    def memory_lost(self, unread: int) -> None:
        """Take a PLC that forgot its slots; of its last `unread` parts nobody but itself ever knew."""
        self.link_lost()
        owners = self._in_order()
        for part in owners[len(owners) - min(unread, len(owners)) :]:
            part.gone_with_plc = True
            self.tally.gone_with_plc += 1

    def unknowable(self, parts: int) -> None:
        """Take so many parts that a PLC counted from anew before anybody could see that it did."""
        self._unknowable += parts

    def end(self) -> None:
        """Close the parts that still own their slots."""
        for part in self._in_order():
            self._close(part)
        self._owners = [None] * len(self._owners)

    def open_questions(self) -> int:
        """Return how many parts may still get their verdict."""
        return sum(
            part is not None and part.t_slot_ns is None and not part.link_lost for part in self._owners
        )

    def expected_growth(self) -> dict[str, range]:
        """Return by how much each counter of the status block must have grown: one value, but for parts of an outage."""
        seen = self._closed_growth.copy()
        for part in self._owners:
            if part is not None:
                seen += _growth(part)
        doubt = seen["in_doubt"] + self._unknowable
        return {
            "parts": range(seen["parts"] - self._unknowable, seen["parts"] + 1),
            "rejects": range(seen["rejects"] - doubt, seen["rejects"] + 1),
            "late": range(seen["late"], seen["late"] + doubt + 1),
            "lost": range(seen["lost"], seen["lost"] + doubt + 1),
        }

    def miscounts(self, before: Status, after: Status) -> list[str]:
        """Return one line for each counter of the status block that disagrees with the verdicts seen (I5)."""
        lines = []
        for name, wanted in self.expected_growth().items():
            grown = (getattr(after, name) - getattr(before, name)) % COUNTERS
            if grown not in wanted:
                most = wanted.stop - 1
                span = f"{most}" if len(wanted) == 1 else f"{wanted.start} to {most}"
                lines.append(f"I5: the station's counter {name} grew by {grown}, seen in the slots: {span}")
        return lines

    def broken_promises(self) -> list[str]:
        """Return one line for each broken promise of I1 to I4; call it after `end`."""
        said = {
            "unaccounted": "I1: {n} parts without any verdict",
            "double": "I1: {n} parts got a second, different verdict",
            "wrong_releases": "I2: {n} parts released without a PASS of their own in time",
            "foreign": "I3: {n} verdicts for a part that was over or never counted",
            "late_passes": "I3: {n} PASSes sent after the deadline",
            "mixed_up": "I4: {n} parts with the score of another image",
            "wrong_recipe": "I4: {n} parts passed by another recipe than the PLC asked for",
            "challenge_escapes": "challenge: {n} parts were released where it wants a bad one",
            "unmarked": "challenge: {n} parts whose verdict is not marked as one of a challenge",
        }
        lines = []
        for name, text in said.items():
            if n := getattr(self.tally, name):
                lines.append(f"{text.format(n=n)}, first at part {self._first[name].index}")
        return lines

    def _is_old_answer(self, slot: int, words: Sequence[int], t_ns: int) -> bool:
        """Return whether the network may have given an answer a second time: nothing new stands in it, and it may do so."""
        if tuple(words) != self._seen[slot]:
            return False
        if t_ns != self._t_old_ns:
            if self.tally.old_answers == self._old_answers:
                return False
            self.tally.old_answers += 1
            self._t_old_ns = t_ns
        return True

    def _compare_score(self, part: Part) -> None:
        """Hold the score against the one the same image got before: a frame of another part gives itself away."""
        score = part.words[3]
        if score == NO_SCORE or part.words[2] not in (Reason.NONE, Reason.SCORE):
            return
        known = self._scores.setdefault((part.image, part.words[RECIPE]), score)
        if abs(score - known) > 1 + SCORE_TOLERANCE * known:
            part.mixed_up = True
            self.tally.mixed_up += 1
            self._first.setdefault("mixed_up", part)

    def _look_for_the_mark(self, part: Part) -> None:
        """See that a part of a challenge is marked. After an outage the station may not know that there was one."""
        if part.challenge and not part.words[6] & Flag.CHALLENGE and not part.link_lost:
            self.tally.unmarked += 1
            self._first.setdefault("unmarked", part)

    def _in_order(self) -> list[Part]:
        return sorted((part for part in self._owners if part is not None), key=lambda part: part.index)

    def _close(self, part: Part | None) -> None:
        if part is None:
            return
        if part.t_slot_ns is None and not part.link_lost:
            self.tally.unaccounted += 1
            self._first.setdefault("unaccounted", part)
        self.tally.link_lost += part.link_lost
        self._closed_growth += _growth(part)
        self._closed(part)


def _growth(part: Part) -> Counter[str]:
    """Return by how much this part must have moved the station's counters."""
    if part.gone_with_plc:
        return Counter()
    verdict = part.words[2] if part.words else None
    return Counter(
        parts=1,
        rejects=not part.passed,
        late=verdict == Reason.LATE,
        lost=verdict == Reason.FRAME_LOST,
        in_doubt=verdict is None,  # decided, perhaps, but never delivered
    )


def reason_name(code: int) -> str:
    """Return the reason's name, or a name that shows the unknown code."""
    return REASON_NAMES.get(code, f"UNKNOWN_{code}")
