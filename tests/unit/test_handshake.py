"""Each condition of the handshake by itself: what the random line finds only with luck is written down here."""

import pytest

from inspector.handshake import AHEAD, Handshake, Timing
from inspector.part import PART_ID_MAX, Frame, FrameStatus

MS = 1_000_000
TIMING = Timing(latency_min_ns=1 * MS, latency_max_ns=10 * MS)


def frame(frame_id: int, t_ms: float) -> Frame:
    return Frame(1, frame_id, frame_id, round(t_ms * MS), FrameStatus.OK, 0, 8, 8, "Mono8")


def read(handshake: Handshake, count: int, t_ms: float) -> None:
    t = round(t_ms * MS)
    handshake.read(count, t, t)
    handshake.watch_for_an_empty_line(t, t)


def in_step(count: int = 100, *, first: bool = False) -> Handshake:
    """Return a handshake in step since 40 ms, with the count read last at 40 ms; the first part is over unless asked for."""
    handshake = Handshake(TIMING)
    for t in (20, 30, 40):
        read(handshake, count, t)
    assert handshake.in_step
    if not first:
        handshake._first_part = 0
    return handshake


def test_step_is_found_only_after_the_longest_latency_has_passed_in_silence() -> None:
    handshake = Handshake(TIMING)
    read(handshake, 100, 20)
    read(handshake, 100, 30)
    assert not handshake.in_step  # exactly the longest latency is not longer than it
    read(handshake, 100, 30.1)
    assert handshake.in_step


def test_it_says_when_a_read_can_find_the_line_empty() -> None:
    handshake = Handshake(TIMING)
    assert handshake.t_empty_ns is None  # nothing was read yet
    read(handshake, 100, 20)
    assert handshake.t_empty_ns == 30 * MS + 1
    handshake.place(frame(1, 25))
    assert handshake.t_empty_ns is None  # until the next read
    read(handshake, 100, 26)
    t_ns = handshake.t_empty_ns
    assert t_ns == 36 * MS + 1
    handshake.read(100, t_ns, t_ns)
    assert handshake.watch_for_an_empty_line(t_ns, t_ns)
    assert handshake.t_empty_ns is None


def test_a_frame_or_a_count_breaks_the_silence() -> None:
    by_frame, by_count = Handshake(TIMING), Handshake(TIMING)
    read(by_frame, 100, 20)
    by_frame.place(frame(1, 25))
    read(by_frame, 100, 31)
    read(by_count, 100, 20)
    read(by_count, 101, 25)
    read(by_count, 101, 31)
    assert not by_frame.in_step
    assert not by_count.in_step


def test_a_frame_that_arrived_before_the_line_was_empty_is_in_doubt() -> None:
    assert in_step().place(frame(1, 39.9)).doubt


def test_the_next_frame_shows_the_next_part() -> None:
    handshake = in_step()
    assert handshake.place(frame(7, 52)).part_id == 101
    assert handshake.certain(frame(7, 52), 101) is None  # not counted yet
    read(handshake, 101, 52.1)
    assert handshake.certain(frame(7, 52), 101) is True


def test_the_first_part_since_in_step_is_certain_only_when_its_time_is_over() -> None:
    handshake = in_step(first=True)
    read(handshake, 101, 50)
    assert handshake.place(frame(7, 52)).part_id == 101
    read(handshake, 101, 60)
    assert handshake.certain(frame(7, 52), 101) is None
    read(handshake, 101, 60.1)
    assert handshake.certain(frame(7, 52), 101) is True


@pytest.mark.parametrize("t_ms", [40.9, 60.1])
def test_a_frame_too_early_or_too_late_for_its_part_is_in_doubt(t_ms: float) -> None:
    handshake = in_step()
    read(handshake, 101, 50)  # triggered between 40 and 50: its frame comes between 41 and 60
    read(handshake, 101, 61)
    assert handshake.place(frame(7, t_ms)).doubt
    assert handshake.certain(frame(7, t_ms), 101) is False


def test_the_first_part_is_not_certain_where_the_camera_went_down_in_its_time() -> None:
    """Its own frame may have been the one that did not come any more, and the one that came another's."""
    handshake = in_step(first=True)
    read(handshake, 101, 50)
    assert handshake.place(frame(7, 52)).part_id == 101
    handshake.lose_step()
    read(handshake, 101, 60.1)
    assert handshake.certain(frame(7, 52), 101) is False


def test_a_frame_waits_for_a_read_that_excludes_the_next_part() -> None:
    handshake = in_step()
    read(handshake, 101, 45)
    handshake.place(frame(7, 50))
    assert handshake.certain(frame(7, 50), 101) is None  # part 102 may have been triggered at 46
    read(handshake, 101, 49)
    assert handshake.certain(frame(7, 50), 101) is True  # 102 is triggered after 49, its frame comes after 50


def test_a_frame_that_may_show_the_next_part_is_in_doubt() -> None:
    handshake = in_step()
    read(handshake, 101, 45)
    read(handshake, 102, 49)
    assert handshake.certain(frame(7, 50), 101) is False


def test_a_frame_that_may_show_the_part_before_is_in_doubt() -> None:
    handshake = in_step()
    read(handshake, 101, 45)
    read(handshake, 102, 54)
    read(handshake, 102, 58)
    assert handshake.certain(frame(7, 55), 102) is False  # the frame of 101 comes until 55
    assert handshake.certain(frame(7, 55.1), 102) is True


def test_a_read_excludes_the_next_part_only_as_far_as_the_plc_counts_at_once() -> None:
    """Triggered in the last 5 ms before the read, it may not be counted yet."""
    handshake = Handshake(Timing(1 * MS, 10 * MS, count_lag_ns=5 * MS))
    for t in (20, 30, 40):
        read(handshake, 100, t)
    handshake._first_part = 0
    read(handshake, 101, 50)
    assert handshake.place(frame(7, 57)).part_id == 101
    read(handshake, 101, 60)
    assert handshake.certain(frame(7, 57), 101) is None
    read(handshake, 101, 61)
    assert handshake.certain(frame(7, 57), 101) is True


def test_times_of_parts_that_a_restarted_plc_has_forgotten_say_nothing_of_new_ones() -> None:
    handshake = in_step(count=0)
    for count, t in ((1, 50), (2, 70), (3, 90)):
        read(handshake, count, t)
    _, restarted = handshake.read(0, 110 * MS, 110 * MS)
    assert restarted
    assert handshake.window(2) is None
    read(handshake, 1, 130)
    read(handshake, 1, 136)
    handshake._first_part = 0
    assert handshake.certain(frame(9, 132), 1) is True


def test_a_frame_id_that_jumped_all_round_the_part_ids_is_in_doubt() -> None:
    """The part would fit."""
    handshake = in_step()
    handshake.place(frame(7, 52))
    assert "jumped by 65535" in handshake.place(frame(8 + PART_ID_MAX, 72)).doubt


def test_whoever_lost_step_has_to_see_an_empty_line_from_then_on() -> None:
    handshake = in_step()
    handshake.lose_step()
    read(handshake, 100, 55)
    assert not handshake.in_step
    read(handshake, 100, 65.1)
    assert handshake.in_step


def test_a_line_is_empty_when_the_plc_had_time_to_count_too() -> None:
    handshake = Handshake(Timing(1 * MS, 10 * MS, count_lag_ns=5 * MS))
    for t in (20, 35):
        read(handshake, 100, t)
    assert not handshake.in_step
    read(handshake, 100, 35.1)
    assert handshake.in_step


def test_frames_that_all_come_again_after_the_silence_are_all_known() -> None:
    handshake = in_step()
    for frame_id, t in ((5, 50), (6, 60), (7, 70)):
        handshake.place(frame(frame_id, t))
    handshake.lose_step()
    for t in (90, 105):
        read(handshake, 103, t)
    assert handshake.in_step
    assert [handshake.place(frame(frame_id, 110)).repeated for frame_id in (6, 7)] == [True, True]
    assert handshake.place(frame(8, 111)).part_id == 104


def test_more_frames_than_a_plc_can_be_behind_with_its_count_are_in_doubt() -> None:
    handshake = in_step()
    parts = [handshake.place(frame(n, 50 + n)).part_id for n in range(1, AHEAD + 2)]
    assert parts == [*range(101, 101 + AHEAD), 0]


def by_command() -> Handshake:
    handshake = Handshake(Timing(5 * MS, 10 * MS, by_command=True))
    for t in (20, 30, 41):
        read(handshake, 100, t)
    assert handshake.in_step
    handshake.commanded(100, 42 * MS)  # the first, whose time is over
    handshake.place(frame(1, 48))
    return handshake


def test_where_we_trigger_a_part_may_stand_there_as_soon_as_it_is_counted() -> None:
    """Its picture may be another's from then on, not only after the shortest latency."""
    handshake = by_command()
    read(handshake, 101, 60)
    handshake.commanded(101, 61 * MS)
    assert handshake.place(frame(2, 68)).part_id == 101
    read(handshake, 101, 64)
    assert handshake.certain(frame(2, 68), 101) is None
    read(handshake, 101, 68)
    assert handshake.certain(frame(2, 68), 101) is True


def test_where_we_trigger_the_frame_before_is_that_of_the_command_before() -> None:
    handshake = by_command()
    for part_id, t in ((101, 60), (102, 62), (103, 64)):
        read(handshake, part_id, t)
        if part_id != 102:
            handshake.commanded(part_id, (t + 1) * MS)
    assert handshake.place(frame(2, 69)).part_id == 101
    assert handshake.place(frame(3, 70.5)).part_id == 103
    read(handshake, 103, 72)
    assert handshake.certain(frame(3, 70.5), 103) is False  # it may be the first one, late


def test_a_part_may_have_come_until_the_answer_was_there_that_showed_it() -> None:
    handshake = in_step()
    handshake.read(101, 50 * MS, 58 * MS)
    handshake.read(102, 60 * MS, 61 * MS)
    assert handshake.place(frame(7, 55)).part_id == 101
    assert handshake.place(frame(8, 66)).part_id == 102
    assert handshake.certain(frame(8, 66), 102) is False  # it may be the frame of a part 101 that came at 57


def test_lost_frames_are_skipped_by_their_ids_and_repeated_ones_are_known() -> None:
    handshake = in_step()
    handshake.place(frame(7, 52))
    placed = handshake.place(frame(10, 80))
    assert (placed.part_id, placed.skipped) == (104, 2)
    assert handshake.place(frame(10, 81)).repeated
    assert handshake.place(frame(8, 82)).repeated
    assert handshake.place(frame(11, 90)).part_id == 105


def test_a_repeat_of_a_frame_from_before_the_silence_is_known() -> None:
    handshake = Handshake(TIMING)
    handshake.place(frame(5, 10))
    for t in (20, 30, 40):
        read(handshake, 100, t)
    assert handshake.place(frame(5, 50)).repeated
    assert handshake.place(frame(6, 60)).part_id == 101


@pytest.mark.parametrize("seen_since_in_step", [True, False])
def test_a_camera_that_counts_anew_is_in_doubt_once_and_then_in_step_again(seen_since_in_step: bool) -> None:
    """Its producer has connected it again, and nobody was told: every id from now on is below the last one."""
    handshake = in_step()
    handshake.place(frame(5000, 52))
    read(handshake, 101, 52.1)
    if not seen_since_in_step:
        handshake.lose_step()
        for t in (70, 85):
            read(handshake, 101, t)
    assert handshake.place(frame(1, 90)).doubt
    handshake.lose_step()
    for t in (110, 125):
        read(handshake, 102, t)
    assert handshake.place(frame(2, 130)).part_id == 103


def test_an_impossible_jump_of_the_frame_id_is_in_doubt() -> None:
    handshake = in_step()
    handshake.place(frame(7, 52))
    assert handshake.place(frame(9000, 80)).doubt


@pytest.mark.parametrize(
    ("before", "now", "plc_restarted", "parts", "restarted"),
    [
        (10, 10, False, [], False),
        (10, 12, False, [11, 12], False),
        (65_534, 1, False, [65_535, 1], False),
        (0, 2, False, [1, 2], False),
        (10, 0, False, [], True),
        (10, 2, False, [1, 2], True),
        (10, 12, True, [11, 12], True),
        (50_000, 50_002, True, [50_001, 50_002], True),
        (50_000, 3, True, [1, 2, 3], True),
        (0, 2, True, [1, 2], True),
    ],
)
def test_the_count_goes_on_wraps_or_starts_anew(
    before: int, now: int, plc_restarted: bool, parts: list[int], restarted: bool
) -> None:
    handshake = Handshake(TIMING)
    handshake.read(before, 0, 0)
    assert handshake.read(now, MS, MS, plc_restarted) == (parts, restarted)


def test_a_frame_is_overdue_only_when_the_plc_had_time_to_count() -> None:
    lagging = Handshake(Timing(1 * MS, 10 * MS, count_lag_ns=5 * MS))
    lagging.read(100, 54 * MS, 54 * MS)
    assert not lagging.overdue(frame(1, 50))
    lagging.read(100, 55 * MS, 55 * MS)
    assert lagging.overdue(frame(1, 50))
