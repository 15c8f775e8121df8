"""What a rehearsal takes from the station's log: why the line stood, why good parts were not judged, which parts were known."""

from types import SimpleNamespace
from typing import Any

from tools.rehearsal.causes import causes, said_of_challenges, said_of_good, said_of_refused


def outcome(truth: str, reason: str, *, released: bool = False, expected: str | None = None) -> Any:
    seen = {"truth": truth, "reason": reason, "released": released}
    return SimpleNamespace(seen=seen, verdict={"expected": expected})


REFUSED = {"event": "score_refused", "code": "ENG-005", "why": "expected frames of 300 x 300 pixels"}


def test_the_log_tells_what_linesim_cannot_know() -> None:
    parts = [
        outcome("good", "FRAME_BAD"),
        outcome("good", "SCORE"),
        outcome("good", "NONE", released=True, expected="good"),
        outcome("bad", "SCORE", expected="bad"),
        outcome("bad", "FRAME_BAD"),
    ]
    latched = {"event": "fault_latched", "cause": "FAILED_CHALLENGE", "code": "LIN-007"}
    log: list[dict[str, Any]] = [
        {**latched, "line_stop": True},
        {**latched, "line_stop": False},
        REFUSED,
        REFUSED,
    ]
    assert causes({"challenge_parts": 0}, parts, log) == {
        "challenge_parts": 2,
        "line_stop_causes": {"FAILED_CHALLENGE (LIN-007)": 1},
        "good_rejected_for": {"FRAME_BAD": 1},
        "refused": {"ENG-005: expected frames of 300 x 300 pixels": 2},
    }


def test_parts_that_only_linesim_knows_of_count_too() -> None:
    assert causes({"challenge_parts": 3}, [], [])["challenge_parts"] == 3


def test_good_parts_that_were_not_judged_are_told_with_their_reason() -> None:
    figures = {"rejected_good": 7, "rejected_good_by_score": 0, "good_rejected_for": {"FRAME_BAD": 7}}
    assert said_of_good(figures) == "7 good parts rejected, 0 by their score, 7 FRAME_BAD."
    assert said_of_good({**figures, "good_rejected_for": {}}) == "7 good parts rejected, 0 by their score."


def test_frames_without_a_score_are_told_with_the_reason_of_most() -> None:
    [line] = said_of_refused({"refused": {"ENG-009: far": 1, "ENG-005: of another size": 7}})
    assert line == "7 frames had no score: ENG-005: of another size. 1 frame for other reasons, see the log."
    assert said_of_refused({"refused": {}}) == []


def test_known_parts_explain_another_number_of_good_ones() -> None:
    [line] = said_of_challenges({"challenge_parts": 3})
    assert line.startswith("3 parts of these came for a challenge")
    assert said_of_challenges({"challenge_parts": 0}) == []
