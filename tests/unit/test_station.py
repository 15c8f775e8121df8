"""What only the station connects."""

from pathlib import Path

from inspector.challenge import ChallengeRules
from inspector.handshake import Timing
from inspector.interlock import StopRules
from inspector.open_part import Rules
from inspector.part import Deciding, Finding, Frame, FrameStatus, Reason
from inspector.safeguards import Safeguards, open_memory
from inspector.service.tally import Totals
from inspector.station import _ledger

MS = 1_000_000


def test_the_ledger_passes_nothing_from_the_moment_the_safeguards_stop_the_line(tmp_path: Path) -> None:
    kept = open_memory(tmp_path / "cell.stops")
    safeguards = Safeguards(StopRules(), ChallengeRules(at_start=False), kept, reject_parts=True)
    rules = Rules(60 * MS, Timing(0, 10 * MS), part_source="frame_id")
    ledger = _ledger(rules, Totals(1, 0, 0, {}), safeguards)
    ledger.on_recipe(Deciding(1.0), ready=True)
    ledger.on_engine(ready=True, t_ns=0)
    ledger.on_camera_up(1)
    ledger.on_control(0, enabled=True, t_sent_ns=0, t_received_ns=0)
    reasons = []
    for n in (1, 2):
        frame = Frame(1, n, n, n * 20 * MS, FrameStatus.OK, 0, 8, 8, "Mono8")
        assert ledger.on_frame(frame) == []
        if n == 2:
            safeguards.on_unconfirmed(1)
        (verdict,) = ledger.on_score(frame, Finding(0.5, 0.5, 1.0), n * 20 * MS)
        reasons.append(verdict.reason)
    assert reasons == [Reason.NONE, Reason.NOT_READY]
    kept.close()
