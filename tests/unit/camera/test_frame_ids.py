from inspector.camera.frame_ids import FrameIds


def continued(*ids: int) -> list[int]:
    frame_ids = FrameIds()
    return [frame_ids.continued(frame_id) for frame_id in ids]


def test_ids_of_gige_vision_1_go_on_after_65535() -> None:
    assert continued(65_534, 65_535, 1, 2) == [65_534, 65_535, 65_536, 65_537]


def test_many_turns_add_up() -> None:
    frame_ids = FrameIds()
    raw = [(n - 1) % 65_535 + 1 for n in range(1, 200_000)]
    assert [frame_ids.continued(frame_id) for frame_id in raw] == list(range(1, 200_000))


def test_a_camera_that_counts_from_zero_has_one_more_id() -> None:
    assert continued(65_535, 0, 1) == [65_535, 65_536, 65_537]


def test_frames_lost_at_the_turn_leave_their_gap() -> None:
    assert continued(65_530, 4) == [65_530, 65_539]


def test_a_frame_from_before_the_turn_keeps_its_place() -> None:
    assert continued(65_534, 1, 65_535, 2) == [65_534, 65_536, 65_535, 65_537]


def test_wide_ids_are_left_alone() -> None:
    assert continued(65_535, 65_536, 65_537) == [65_535, 65_536, 65_537]


def test_a_step_back_that_is_no_turn_stays_a_step_back() -> None:
    assert continued(100, 99, 1) == [100, 99, 1]
