"""A verdict as the record has it, with all that decided it (I6)."""

from typing import Any

from inspector.part import Verdict


def entry_of(verdict: Verdict, t_written_ns: int | None, *, simulated: bool) -> dict[str, Any]:
    """Return the fields of the log line "verdict". `t_written_ns` is None where the PLC never acknowledged it."""
    deciding, finding = verdict.deciding, verdict.finding
    return {
        "part_id": verdict.part_id,
        "outcome": verdict.outcome.name,
        "reason": verdict.reason.name,
        "score": finding.score,
        "relative_score": finding.relative_score,
        "frame_id": verdict.frame_id,
        "engine_ms": finding.engine_ms,
        "x": None if finding.place is None else finding.place[0],
        "y": None if finding.place is None else finding.place[1],
        "defect": finding.defect or None,
        "confidence": finding.confidence,
        "view": finding.view or None,
        "views": dict(zip(deciding.views, finding.views, strict=False)) or None,
        "t_trigger_ns": verdict.t_trigger_ns,
        "t_deadline_ns": verdict.t_deadline_ns,
        "t_decided_ns": verdict.t_decided_ns,
        "t_written_ns": t_written_ns,
        "threshold": deciding.threshold,
        "recipe": deciding.recipe,
        "model": deciding.model_sha256,
        "config": deciding.config_sha256,
        "simulated": simulated,
        "expected": verdict.expected,
    }
