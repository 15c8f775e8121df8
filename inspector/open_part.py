"""What the ledger keeps of a part until its verdict, and the rules it holds parts to. Pure, like the ledger."""

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
