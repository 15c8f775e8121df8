"""What the ledger keeps of parts until their verdict, and the rules it holds them to. Pure, like the ledger."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from inspector.handshake import Timing
from inspector.part import NOBODY, NOTHING_FOUND, Deciding, Expected, Finding, Frame, Outcome, Reason, Verdict


@dataclass(frozen=True, slots=True)
class Rules:
    """What the ledger holds parts to. Nanoseconds."""

    budget_ns: int  # trigger to verdict in the PLC
    timing: Timing
    write_margin_ns: int = 0  # a verdict is final so long before the deadline, since it has to travel
    part_source: Literal["plc_count", "frame_id"] = "plc_count"


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth a log line that is no verdict."""

    event: str
    fields: dict[str, int | str] = field(default_factory=dict)


@dataclass(slots=True)
class OpenPart:
    """A part without a verdict. Until it is counted, only a frame speaks of it, and it may not exist."""

    part_id: int
    t_trigger_ns: int  # not before this
    t_deadline_ns: int
    deciding: Deciding = NOBODY  # scores its frame and says what passes
    counted: bool = False
    t_frame_due_ns: int = 0  # without a frame by then, the frame is lost
    frame: Frame | None = None
    fate: Reason | None = None  # what the verdict will be; NONE is a PASS
    finding: Finding = NOTHING_FOUND
    expected: Expected | None = None  # of a challenge part

    def triggered_not_before(self, t_ns: int, rules: Rules) -> None:
        """Count the deadline from here: the earliest moment the trigger can have been, so that it is never too late."""
        self.t_trigger_ns = t_ns
        self.t_deadline_ns = t_ns + rules.budget_ns - rules.write_margin_ns

    def found(self, finding: Finding) -> None:
        """Take the engine's answer. Anything but a relative score of at most 1 rejects."""
        self.finding = finding
        if not math.isfinite(finding.score) or not math.isfinite(finding.relative_score):
            self.fate = Reason.ENGINE
        else:
            self.fate = Reason.NONE if finding.relative_score <= 1.0 else Reason.SCORE

    @property
    def t_expiry_ns(self) -> int:
        """When this part's time is up: at its deadline, or when its frame was due and did not come."""
        return self.t_deadline_ns if self.frame is not None else min(self.t_deadline_ns, self.t_frame_due_ns)

    def verdict(self, reason: Reason, t_ns: int) -> Verdict:
        """Return the verdict that this part gets for `reason`; NONE is a PASS."""
        return Verdict(
            part_id=self.part_id,
            outcome=Outcome.REJECT if reason else Outcome.PASS,
            reason=reason,
            t_trigger_ns=self.t_trigger_ns,
            t_deadline_ns=self.t_deadline_ns,
            t_decided_ns=t_ns,
            frame_id=self.frame.frame_id if self.frame else -1,
            finding=self.finding,
            deciding=self.deciding,
            expected=self.expected,
        )


class OpenParts:
    """All parts without a verdict: by their id, and by their frame."""

    def __init__(self) -> None:
        self._by_id: dict[int, OpenPart] = {}
        self._by_frame: dict[tuple[int, int], OpenPart] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[OpenPart]:
        """Yield the parts of this moment, oldest first; they may be dropped meanwhile."""
        return iter(list(self._by_id.values()))

    def __contains__(self, part: OpenPart) -> bool:
        return self._by_id.get(part.part_id) is part

    def counted(self) -> list[OpenPart]:
        """Return those that the PLC has counted, oldest first."""
        return [part for part in self._by_id.values() if part.counted]

    def get(self, part_id: int) -> OpenPart | None:
        """Return the open part of this id."""
        return self._by_id.get(part_id)

    def of_frame(self, frame: Frame) -> OpenPart | None:
        """Return the open part that this frame was matched to."""
        return self._by_frame.get((frame.generation, frame.sequence))

    def add(self, part: OpenPart) -> None:
        """Take in a new part."""
        self._by_id[part.part_id] = part

    def give_frame(self, part: OpenPart, frame: Frame) -> None:
        """Match the frame to the part."""
        part.frame = frame
        self._by_frame[frame.generation, frame.sequence] = part

    def drop(self, part: OpenPart) -> None:
        """Forget the part."""
        del self._by_id[part.part_id]
        if part.frame is not None:
            del self._by_frame[part.frame.generation, part.frame.sequence]
