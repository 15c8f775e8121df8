"""Single decisions of the ledger: what the random line finds only with luck, or cannot meet, is written down here."""

import math

import pytest

from inspector.handshake import Timing
from inspector.ledger import Ledger
from inspector.open_part import Rules
from inspector.part import Deciding, Expected, Finding, Frame, FrameStatus, Reason, Verdict

MS = 1_000_000
BUDGET, MARGIN, LATENCY_MAX = 60, 1, 10  # ms
DECIDING = Deciding(1.0, 1, "m" * 64, "c" * 64)
GOOD = Finding(0.5, 0.5, 1.0)


def frame(frame_id: int, t_ms: float, *, generation: int = 1, status: FrameStatus = FrameStatus.OK) -> Frame:
    return Frame(generation, frame_id, frame_id, round(t_ms * MS), status, 0, 8, 8, "Mono8")


class Line:
    """A ledger in step since 100 ms, with part 100 counted last, and whose first part is decided; milliseconds."""

    def __init__(self, *, by_frames: bool = False, by_command: bool = False, **watched: Expected) -> None:
        self.expected = {int(part.removeprefix("part_")): how for part, how in watched.items()}
        timing = Timing(0, LATENCY_MAX * MS, by_command=by_command)
        rules = Rules(BUDGET * MS, timing, MARGIN * MS, "frame_id" if by_frames else "plc_count")
        self.ledger = Ledger(rules, expectation=self.expected.get)
        self.ledger.on_recipe(DECIDING, ready=True)
        self.ledger.on_engine(ready=True, t_ns=0)
        self.ledger.on_camera_up(1)
        for t_ms in (20, 40, 60, 80, 100):
            self.read(99, t_ms)
        if not by_frames and not by_command:
            self.read(100, 110)
            self.frame(frame(1, 111))
            self.score(frame(1, 111), 112)
            (first,) = self.read(100, 130)
            assert first.reason is Reason.NONE

    def read(self, count: int, t_ms: float, *, plc_restarted: bool = False) -> list[Verdict]:
        t_ns = round(t_ms * MS)
        return self.ledger.on_control(
            count, enabled=True, t_sent_ns=t_ns, t_received_ns=t_ns, plc_restarted=plc_restarted
        )

    def frame(self, frame: Frame) -> list[Verdict]:
        return self.ledger.on_frame(frame)

    def score(self, frame: Frame, t_ms: float, finding: Finding = GOOD) -> list[Verdict]:
        return self.ledger.on_score(frame, finding, round(t_ms * MS))

    def tick(self, t_ms: float) -> list[Verdict]:
        return self.ledger.on_tick(round(t_ms * MS))


def reasons(verdicts: list[Verdict]) -> dict[int, str]:
    return {verdict.part_id: verdict.reason.name for verdict in verdicts}


# -- what passes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("score", "relative", "reason"),
    [
        (0.5, 1.0, "NONE"),
        (0.5, math.nextafter(1.0, 2.0), "SCORE"),
        (0.5, math.nan, "ENGINE"),
        (0.5, math.inf, "ENGINE"),
        (0.5, -math.inf, "ENGINE"),
        (math.nan, 0.5, "ENGINE"),
        (math.inf, 0.5, "ENGINE"),
        (-math.inf, 0.5, "ENGINE"),
    ],
)
def test_a_part_passes_up_to_its_threshold_and_by_nothing_but_numbers(
    score: float, relative: float, reason: str
) -> None:
    line = Line()
    line.read(101, 150)
    line.frame(frame(2, 152))
    line.read(101, 153)
    assert reasons(line.score(frame(2, 152), 154, Finding(score, relative, 1.0))) == {101: reason}


@pytest.mark.parametrize(("t_ms", "reason"), [(188.999, "NONE"), (189, "LATE")])
def test_a_part_passes_until_the_margin_before_its_budget_is_over(t_ms: float, reason: str) -> None:
    line = Line()
    line.read(100, 130)
    line.read(101, 150)  # triggered after the read of 130 ms
    line.frame(frame(2, 152))
    line.read(101, 153)
    (verdict,) = line.score(frame(2, 152), t_ms)
    assert (verdict.reason.name, verdict.t_deadline_ns) == (reason, 189 * MS)


def test_without_a_score_a_part_is_late_at_its_deadline_and_not_before() -> None:
    line = Line()
    line.read(100, 130)
    line.read(101, 150)
    line.frame(frame(2, 152))
    assert line.tick(188.999) == []
    assert reasons(line.tick(189)) == {101: "LATE"}


def test_a_bad_frame_is_no_better_for_a_score_that_comes_before_its_part_is_counted() -> None:
    line = Line()
    line.frame(frame(2, 149, status=FrameStatus.INCOMPLETE))
    assert line.score(frame(2, 149), 149.1) == []
    assert line.ledger.discarded_scores == 1
    assert reasons(line.read(101, 150)) == {101: "FRAME_BAD"}


def test_a_frame_of_a_camera_that_was_started_anew_since_is_nobodys() -> None:
    line = Line()
    line.ledger.on_camera_up(2)
    for t_ms in (150, 165):
        line.read(100, t_ms)
    assert line.ledger.in_step
    line.read(101, 170)
    assert line.frame(frame(2, 172, generation=1)) == []
    assert line.ledger.discarded_frames == 1
    assert line.ledger.deadline_of(frame(2, 172, generation=1)) is None
    assert reasons(line.tick(180)) == {101: "FRAME_LOST"}


def test_without_a_camera_no_line_is_known_to_be_empty() -> None:
    line = Line()
    line.ledger.on_camera_down(140 * MS)
    for t_ms in (150, 200, 250):
        line.read(100, t_ms)
    assert not line.ledger.in_step


def test_after_a_restart_the_camera_may_count_from_anywhere() -> None:
    line = Line()
    line.ledger.on_camera_up(2)
    for t_ms in (150, 165):
        line.read(100, t_ms)
    line.read(101, 170)
    line.frame(frame(0, 172, generation=2))  # no repeat of an old one
    line.score(frame(0, 172, generation=2), 173)
    assert reasons(line.read(101, 185)) == {101: "NONE"}


# -- what is rejected at once ----------------------------------------------------------------------


def test_a_gap_in_the_frame_ids_shows_which_frame_was_lost() -> None:
    line = Line()
    line.read(101, 150)
    line.read(102, 153)
    assert reasons(line.frame(frame(3, 162.5))) == {101: "FRAME_LOST"}


def test_without_a_frame_a_part_need_not_wait_for_its_deadline() -> None:
    line = Line()
    line.read(101, 150)
    assert line.tick(159.999) == []
    assert reasons(line.tick(160)) == {101: "FRAME_LOST"}


def test_where_we_trigger_the_frame_is_due_by_our_command() -> None:
    line = Line(by_command=True)
    line.read(100, 110)
    assert line.ledger.take_shot(115 * MS)
    assert line.tick(124.999) == []
    assert reasons(line.tick(125)) == {100: "FRAME_LOST"}


def test_without_an_engine_what_is_open_is_rejected() -> None:
    line = Line()
    line.read(101, 150)
    line.frame(frame(2, 152))
    assert reasons(line.ledger.on_engine(ready=False, t_ns=153 * MS)) == {101: "ENGINE"}


def test_a_frame_without_a_counted_part_is_forgotten_with_its_camera() -> None:
    """Its part may not exist; where it does, nobody saw what else the camera was sent."""
    line = Line()
    line.frame(frame(2, 149))
    line.score(frame(2, 149), 149.1)
    line.ledger.on_camera_down(round(149.5 * MS))
    assert not line.ledger.in_step
    assert reasons(line.read(101, 150)) == {101: "CAMERA"}


def test_a_part_that_was_counted_while_the_link_was_down_says_so() -> None:
    line = Line()
    line.ledger.on_link_down(140 * MS)
    assert reasons(line.read(101, 150)) == {101: "LINK"}


def test_a_frame_after_its_parts_verdict_is_discarded_and_disturbs_nothing() -> None:
    line = Line()
    line.read(101, 150)
    line.tick(160)
    line.frame(frame(2, 158))  # in time, but it was stuck on its way
    assert (line.ledger.discarded_frames, line.ledger.waiting) == (1, 0)
    line.read(101, 200)
    line.read(102, 210)
    line.frame(frame(3, 212))
    line.read(102, 213)
    assert reasons(line.score(frame(3, 212), 214)) == {102: "NONE"}


@pytest.mark.parametrize(("count", "plc_restarted"), [(0, False), (101, True)])
def test_a_plc_that_lost_its_memory_puts_the_line_out_of_step(count: int, plc_restarted: bool) -> None:
    """Also where the link held, as when a program is loaded: what is open may bear the id of a new part."""
    line = Line()
    line.read(101, 150)
    line.frame(frame(2, 152))
    assert reasons(line.read(count, 153, plc_restarted=plc_restarted)) == {101: "HANDSHAKE"}
    assert not line.ledger.in_step


# -- a line whose PLC does not count ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("closed", "reason"),
    [
        (lambda ledger: ledger.on_recipe(Deciding(), ready=False), "NOT_READY"),
        (lambda ledger: ledger.on_engine(ready=False, t_ns=0), "NOT_READY"),
        (lambda ledger: ledger.on_link_down(0), "LINK"),
    ],
)
def test_a_frame_that_is_a_part_needs_all_that_a_counted_part_needs(closed: object, reason: str) -> None:
    assert callable(closed)
    line = Line(by_frames=True)
    closed(line.ledger)
    assert reasons(line.frame(frame(1, 150))) == {1: reason}


def test_a_frame_that_is_a_challenge_part_is_held_to_what_is_expected() -> None:
    line = Line(by_frames=True, part_1=Expected.BAD)
    line.frame(frame(1, 150))
    assert reasons(line.score(frame(1, 150), 152)) == {1: "CHALLENGE"}
