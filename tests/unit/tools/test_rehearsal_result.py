"""Joining linesim's record with the daemon's, and what is made of both."""

import json
from pathlib import Path
from typing import Any

import pytest

from tools.rehearsal.result import (
    PartOutcome,
    assemble,
    held,
    join,
    mistakes,
    of_the_model,
    promises,
    read_lines,
    words,
)
from tools.rehearsal.verify import blame, mixed_up

MS = 1_000_000


def part(part_id: int, t_trigger_ms: int, **fields: Any) -> dict[str, Any]:
    t_trigger_ns = t_trigger_ms * MS
    plain = {"image": "a", "truth": "good", "released": True, "reason": "NONE", "link_lost": False}
    return (
        plain
        | {
            "part_id": part_id,
            "t_trigger_ns": t_trigger_ns,
            "t_slot_ns": t_trigger_ns + 12 * MS,
            "t_deadline_ns": t_trigger_ns + 100 * MS,
        }
        | fields
    )


def verdict(part_id: int, t_decided_ms: int, **fields: Any) -> dict[str, Any]:
    return {
        "event": "verdict",
        "part_id": part_id,
        "t_decided_ns": t_decided_ms * MS,
        "engine_ms": 9.0,
    } | fields


def test_each_part_gets_the_verdict_of_its_own_round() -> None:
    parts = [part(1, 1000), part(2, 2000), part(1, 70_000)]
    log = [{"event": "link_up"}, verdict(1, 1010), verdict(2, 2010), verdict(1, 70_010)]
    assert [outcome.verdict for outcome in join(parts, log)] == [log[1], log[2], log[3]]


def test_a_verdict_of_another_round_is_nobodys() -> None:
    [before, after] = join(
        [part(1, 1000), part(1, 2000)], [verdict(1, 2010), verdict(2, 2020), verdict(1, 900)]
    )
    assert before.verdict is None
    assert after.verdict is not None


def test_what_is_not_the_engine_is_overhead() -> None:
    [outcome] = join([part(1, 1000)], [verdict(1, 1010)])
    assert (outcome.slot_ms, outcome.engine_ms, outcome.overhead_ms) == (12.0, 9.0, 3.0)


def test_without_a_score_or_a_slot_there_is_no_overhead() -> None:
    scoreless, unwritten = join(
        [part(1, 1000), part(2, 2000, t_slot_ns=None)], [verdict(1, 1010, engine_ms=None), verdict(2, 2010)]
    )
    assert (scoreless.overhead_ms, unwritten.overhead_ms) == (None, None)


def test_the_result_is_linesims_with_the_engines_share() -> None:
    outcomes = join(
        [part(n, 1000 * n) for n in range(1, 101)], [verdict(n, 1000 * n + 10) for n in range(1, 100)]
    )
    result = assemble({"event": "result", "parts": 100}, outcomes, starts=1, seconds=2.04)
    assert result == {
        "parts": 100,
        "engine_ms": {"p50": 9.0, "p99": 9.0},
        "overhead_ms": {"p50": 3.0, "p99": 3.0},
        "without_verdict": {},
        "rejects_by_view": {},
        "challenge_parts": 0,
        "line_stop_causes": {},
        "good_rejected_for": {},
        "refused": {},
        "recorded": 99,
        "station_starts": 1,
        "seconds": 2.0,
    }


def test_without_scores_there_are_no_figures() -> None:
    assert assemble({}, [], starts=1, seconds=1)["engine_ms"] == {"p50": None, "p99": None}


def test_mistakes_are_each_image_once_the_clearest_first() -> None:
    def outcome(image: str, truth: str, reason: str, relative: float) -> PartOutcome:
        seen = part(1, 1, image=image, truth=truth, reason=reason, released=reason == "NONE")
        return PartOutcome(seen, {"relative_score": relative})

    outcomes = [
        outcome("bad/1", "bad", "NONE", 0.9),
        outcome("bad/2", "bad", "NONE", 0.2),
        outcome("bad/1", "bad", "NONE", 0.9),
        outcome("bad/3", "bad", "SCORE", 1.5),
        outcome("good/1", "good", "SCORE", 1.1),
        outcome("good/2", "good", "SCORE", 3.0),
        outcome("good/3", "good", "CAMERA", 0.0),
        outcome("good/4", "good", "NONE", 0.5),
    ]
    escapes, rejects = mistakes(outcomes)
    assert [each.seen["image"] for each in escapes] == ["bad/2", "bad/1"]
    assert [each.seen["image"] for each in rejects] == ["good/2", "good/1"]


def scored(image: str, truth: str, reason: str, score: float | None = 1.0) -> PartOutcome:
    seen = part(1, 1, image=image, truth=truth, reason=reason, released=reason == "NONE")
    return PartOutcome(seen, {"reason": reason, "score": score})


def test_escapes_are_measured_by_what_the_model_scored_each_image_once() -> None:
    outcomes = [
        scored("bad/1", "bad", "NONE"),
        scored("bad/1", "bad", "NONE"),
        *(scored(f"bad/{number}", "bad", "SCORE") for number in (2, 3, 4)),
        scored("bad/5", "bad", "LATE"),
        PartOutcome(part(9, 9, image="bad/6", truth="bad"), None),
        scored("good/1", "good", "SCORE"),
    ]
    recall, advice = of_the_model(outcomes)
    assert recall.startswith(
        "The model found 3 of the 4 bad images that it scored, a recall of 75% (on others"
    )
    assert "19% to 99%, at 95 %" in recall
    assert "--defects" in advice
    assert "below the threshold" in advice


def test_where_nothing_escaped_there_is_nothing_to_advise() -> None:
    [recall] = of_the_model([scored("bad/1", "bad", "SCORE")])
    assert "1 of the 1 bad images" in recall
    assert of_the_model([scored("bad/1", "bad", "CAMERA"), scored("good/1", "good", "NONE")]) == []


def figures(**fields: Any) -> dict[str, Any]:
    spread = {"p50": 9.0, "p99": 20.0, "max": 96.2}
    plain: dict[str, Any] = {
        "parts": 20,
        "good": 10,
        "bad": 10,
        "released": 9,
        "rejects": {"SCORE": 11},
        "released_bad": 1,
        "rejected_good": 2,
        "rejected_good_by_score": 1,
        "trigger_to_slot_ms": spread,
        "engine_ms": spread,
        "overhead_ms": spread,
        "without_verdict": {},
        "rejects_by_view": {},
        "uncounted": 0,
        "line_stops": 0,
        "line_stop_causes": {},
        "challenge_parts": 0,
        "good_rejected_for": {},
        "refused": {},
        "challenge_due": False,
        "station_starts": 1,
    }
    return plain | fields


@pytest.mark.parametrize(
    ("late", "without", "said"),
    [
        (0, {}, "is 100 ms. No part was late."),
        (1, {}, "Late: 1 part. One that has no score"),
        (
            0,
            {"link_down": 16, "plc_down": 1},
            (
                "is 100 ms. 17 without a verdict in time: 16 while the link was down, 1 while the PLC was down; "
                "none by the station's own delay."
            ),
        ),
        (3, {"station": 2}, "2 without a verdict in time: 2 by the station's own delay. Late: 3 parts."),
    ],
)
def test_a_late_part_is_put_down_to_whose_delay_it_was(late: int, without: dict[str, int], said: str) -> None:
    lines = words(figures(rejects={"LATE": late} if late else {}, without_verdict=without), 100.0)
    [times] = [line for line in lines if line.startswith("From trigger")]
    assert "at most 96.2 ms; the budget is 100 ms." in times
    assert said in times
    assert "1 bad part escaped." in lines


def test_whose_delay_it_was_comes_from_the_parts() -> None:
    late = {"t_slot_ns": 1200 * MS, "t_deadline_ns": 1100 * MS}
    seen = [
        part(1, 1000),
        part(2, 1000, reason="link_down", link_lost=True, t_slot_ns=None),
        part(3, 1000, reason="link_down", link_lost=True, **late),
        part(4, 1000, reason="plc_down", link_lost=True, t_slot_ns=None),
        part(5, 1000, reason="plc_down", link_lost=True),  # it had its verdict when the power went
        part(6, 1000, reason="no_verdict", **late),
    ]
    result = assemble({}, join(seen, []), starts=1, seconds=1)
    assert result["without_verdict"] == {"link_down": 2, "plc_down": 1, "station": 1}


def test_the_plcs_own_reasons_are_explained_beside_the_stations() -> None:
    lines = words(figures(rejects={"SCORE": 3, "link_down": 16, "LINK": 2}), 100.0)
    assert lines[2:4] == [
        "16 had no verdict because the link was down (the PLC rejected them by itself).",
        "2 were rejected by the station itself, as it could not reach the PLC before their deadline (LINK).",
    ]


def test_rejects_by_score_are_counted_by_the_view_that_decided() -> None:
    seen = [
        *(part(n, 1000 * n, reason="SCORE") for n in (1, 2, 3)),
        part(4, 4000, reason="NONE"),
        part(5, 5000, reason="CAMERA"),
    ]
    views = ["right", "left", "right", "left", "left"]
    log = [{**verdict(n, 1000 * n + 10), "view": view} for n, view in enumerate(views, 1)]
    counts = assemble({}, join(seen, log), starts=1, seconds=1)["rejects_by_view"]
    assert counts == {"right": 2, "left": 1}
    lines = words(figures(rejects_by_view=counts), 100.0)
    assert lines[2] == "Of the rejects by SCORE: 2 by the view right, 1 by the view left."
    assert not [line for line in words(figures(), 100.0) if "view" in line]


def test_line_stops_and_a_challenge_that_is_due_are_said() -> None:
    causes = {"FAILED_CHALLENGE (LIN-007)": 2, "BIN_FULL (LIN-003)": 1}
    lines = words(figures(line_stops=3, line_stop_causes=causes, challenge_due=True), 100.0)
    stopped = (
        "The station stopped the line 3 times: 2 by FAILED_CHALLENGE (LIN-007), 1 by BIN_FULL (LIN-003)."
    )
    assert stopped in lines
    assert [line for line in lines if "a challenge was due" in line]
    assert not [line for line in words(figures(), 100.0) if "challenge" in line or "stopped" in line]


def test_held_promises_are_told_apart_from_what_the_model_sees() -> None:
    [line] = promises({"parts": 3, "broken_promises": []})
    assert line.startswith("Every promise held")
    assert "up to the model" in line


def test_a_torn_line_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(json.dumps({"event": "a"}) + '\n{"event": "b')
    assert read_lines([tmp_path / "log"]) == [{"event": "a"}]


def test_a_part_decided_by_anothers_picture_is_found_and_blamed() -> None:
    def scored(
        index: int, image: str, score: float | None, *, released: bool, reason: str = "NONE"
    ) -> PartOutcome:
        return PartOutcome(
            part(index, 1, index=index, image=image, released=released, mixed_up=False),
            {"score": score, "reason": reason},
        )

    parts = [
        scored(1, "a", 1.0, released=True),
        scored(2, "b", 1.0, released=True),
        scored(3, "a", 2.0, released=False),
        scored(4, "b", 2.01, released=True),
        scored(5, "c", None, released=False),
        scored(6, "a", 2.0, released=False, reason="HANDSHAKE"),  # doubt is what rejected it: rightly so
    ]
    found = mixed_up(parts, {"a": 1.0, "b": 2.0})
    assert [each.seen["index"] for each in found] == [2, 3]
    figures: dict[str, Any] = {"mixed_up": 0, "wrong_releases": 0, "broken_promises": []}
    blame(figures, found)
    assert (figures["mixed_up"], figures["wrong_releases"]) == (2, 1)
    assert figures["broken_promises"] == [
        "I4: 2 parts were decided by another part's picture, first part 2 (b)"
    ]


def test_nobody_is_blamed_for_nothing() -> None:
    figures: dict[str, Any] = {}
    blame(figures, [])
    assert figures == {}


@pytest.mark.parametrize(
    ("parts", "broken", "said", "kept"),
    [
        (10, [], "Every promise held", True),
        (10, ["I2: 1 parts released"], "BROKEN PROMISE  I2", False),
        (0, [], "No part passed", False),
    ],
)
def test_a_promise_is_held_only_where_parts_passed(
    parts: int, broken: list[str], said: str, kept: bool
) -> None:
    figures = {"parts": parts, "broken_promises": broken}
    assert promises(figures)[0].startswith(said)
    assert held(figures) is kept
