"""From one recipe to the next: never is a part scored by one model and held to another's threshold."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inspector.engine.worker import Load
from inspector.part import Deciding, Reason
from inspector.plc.registers import State
from tests.unit.desk.rig import DECIDING, Rig, score_of

OTHER = Deciding(threshold=10.0, recipe=4, model_sha256="00000004" + "f" * 56, config_sha256="c" * 64)
THIRD = Deciding(threshold=20.0, recipe=5, model_sha256="00000005" + "f" * 56, config_sha256="c" * 64)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, DECIDING, OTHER, THIRD)
    rig.ready()
    yield rig
    rig.close()


def decided(rig: Rig) -> list[tuple[int, Reason, int]]:
    return [(v.part_id, v.reason, v.deciding.recipe) for v in rig.desk.take_verdicts()]


def warm(rig: Rig, recipe: int) -> None:
    """Do what the engine thread does when the desk wants this engine."""
    load = rig.desk.next_load()
    assert load is not None
    assert load.recipe == recipe
    rig.engine_ready(recipe)


def shown(rig: Rig) -> tuple[int, int, bool]:
    status = rig.desk.status(1)
    return status.active_recipe, status.model_hash, State.READY in status.state


def test_a_cold_recipe_is_confirmed_when_its_engine_is_warm(rig: Rig) -> None:
    assert shown(rig) == (3, 0xA1B2C3D4, True)
    assert rig.desk.next_load() is None
    rig.read(recipe=4)
    assert shown(rig) == (0, 0, False)
    warm(rig, 4)
    assert shown(rig) == (4, 4, True)
    rig.count_part_with_frame(recipe=4)
    rig.score(9.0)
    assert decided(rig) == [(1, Reason.NONE, 4)]


def test_a_warm_recipe_is_active_with_the_read_that_asks_for_it(rig: Rig) -> None:
    rig.read(recipe=4)
    warm(rig, 4)
    rig.read(recipe=3)
    assert shown(rig) == (3, 0xA1B2C3D4, True)


def test_parts_counted_while_no_recipe_is_active_are_rejected(rig: Rig) -> None:
    rig.read(recipe=4)
    rig.clock.advance_ms(50)
    rig.read(new_parts=1, recipe=4)
    assert decided(rig) == [(1, Reason.NOT_READY, 0)]


def test_a_part_counted_with_the_request_in_one_read_is_rejected(rig: Rig) -> None:
    """Nobody knows which of the two came first."""
    rig.read(recipe=4)
    warm(rig, 4)
    rig.clock.advance_ms(50)
    rig.read(new_parts=1, recipe=3)
    assert decided(rig) == [(1, Reason.NOT_READY, 0)]
    assert shown(rig)[0] == 3


def test_a_part_that_is_open_at_the_change_is_decided_by_its_own_recipe(rig: Rig) -> None:
    rig.read(recipe=4)
    warm(rig, 4)
    rig.clock.advance_ms(50)
    rig.read(new_parts=1, recipe=4)
    rig.clock.advance_ms(5)
    rig.read(recipe=3)  # its frame comes after that
    rig.frame()
    rig.desk.on_tick()
    rig.clock.advance_ms(25)
    rig.read(recipe=3)
    job = rig.next_job()
    assert job.deciding is OTHER
    rig.desk.on_score(job, score_of(9.0), engine_ms=1.0)
    (verdict,) = rig.desk.take_verdicts()
    assert (verdict.part_id, verdict.reason, verdict.deciding) == (1, Reason.NONE, OTHER)
    assert verdict.finding.relative_score == 0.9
    rig.desk.on_written(verdict, 5)
    entry: dict[str, Any] = rig.recorder.entries[-1]
    assert (entry["recipe"], entry["threshold"], entry["model"]) == (4, 10.0, OTHER.model_sha256)


def test_a_frame_from_before_the_change_decides_no_part_counted_after_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path, DECIDING, OTHER, lag_ms=10.0)
    rig.ready()
    rig.read(recipe=4)
    warm(rig, 4)
    rig.clock.advance_ms(50)
    rig.frame()  # its part is counted late
    rig.desk.on_tick()
    rig.score(1.0)  # by the model of recipe 4
    rig.read(recipe=3)
    rig.read(new_parts=1, recipe=3)
    assert decided(rig) == [(1, Reason.NOT_READY, 4)]
    rig.close()


def test_a_new_engine_is_not_opened_while_a_part_waits_for_the_old_one(rig: Rig) -> None:
    rig.clock.advance_ms(50)
    rig.read(new_parts=1)
    rig.read(recipe=4)
    assert rig.desk.next_load() is None
    rig.frame()
    rig.clock.advance_ms(25)
    rig.desk.on_tick()
    rig.read(recipe=4)
    rig.score(1.0)
    assert decided(rig) == [(1, Reason.NONE, 3)]
    assert rig.desk.next_load() == Load(4)


def test_so_many_engines_are_kept_and_the_one_not_used_for_longest_makes_room(rig: Rig) -> None:
    rig.read(recipe=4)
    warm(rig, 4)
    rig.read(recipe=3)
    rig.read(recipe=5)
    assert rig.desk.next_load() == Load(5, close=(4,))
    assert rig.desk.next_load() == Load(5)  # asked again after a failure: nothing more to close
    rig.engine_ready(5)
    rig.read(recipe=3)
    assert shown(rig)[0] == 3
    rig.read(recipe=4)
    assert rig.desk.next_load() == Load(4, close=(5,))


def test_an_unknown_recipe_is_refused_until_the_plc_takes_it_back(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        rig.read(recipe=99)
    assert shown(rig) == (0, 0, False)
    assert rig.desk.status(1).error_code == 603
    assert rig.desk.next_load() is None
    rig.clock.advance_ms(50)
    rig.read(new_parts=1, recipe=99)
    assert decided(rig) == [(1, Reason.NOT_READY, 0)]
    (line,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "wants recipe 99, expected one of 3, 4, 5" in vars(line)["why"]
    rig.read(recipe=0)  # as it was
    assert shown(rig) == (3, 0xA1B2C3D4, True)
    assert rig.desk.status(1).error_code == 0


def test_a_station_that_starts_with_an_unknown_recipe_opens_its_first_engine_all_the_same(
    tmp_path: Path,
) -> None:
    """Else the service manager, which waits for an engine, would start it again and again."""
    rig = Rig(tmp_path, DECIDING, OTHER)
    rig.read(recipe=99)
    warm(rig, 3)
    rig.camera_up()
    rig.read(recipe=99)
    assert shown(rig) == (0, 0, False)
    rig.read(recipe=3)
    assert shown(rig)[0] == 3
    rig.close()


def test_no_part_passes_before_a_loss_of_power_could_not_make_the_station_forget_what_was_asked_for(
    rig: Rig,
) -> None:
    """The PLC takes its request back once the recipe is shown as active; which needs another look after the disk has answered."""
    rig.read(recipe=4)
    warm(rig, 4)
    kept: list[int] = []
    rig.changeover.keep = kept.append
    rig.changeover.is_kept = lambda: False
    rig.read(recipe=3)  # which is warm
    assert kept == [3]
    assert shown(rig) == (0, 0, False)
    rig.clock.advance_ms(50)
    rig.read(new_parts=1, recipe=3)
    assert decided(rig) == [(1, Reason.NOT_READY, 0)]
    rig.changeover.is_kept = lambda: True
    rig.read(recipe=3)
    assert shown(rig) == (3, 0xA1B2C3D4, True)


def test_where_the_request_is_lost_no_part_passes_until_the_plc_asks_by_number(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The first recipe is made ready, but it may be another product's."""
    rig = Rig(tmp_path, DECIDING, OTHER, lost=True)
    asked: list[int] = []
    rig.changeover.keep = asked.append
    rig.engine_ready(3)
    rig.camera_up()
    rig.get_in_step()
    assert shown(rig) == (0, 0, False)
    assert rig.desk.status(1).error_code == 607
    rig.count_part_with_frame()
    assert decided(rig) == [(1, Reason.NOT_READY, 0)]
    rig.read(recipe=99)
    assert rig.desk.status(1).error_code == 603
    rig.read(recipe=0)  # which says no more than before
    assert (shown(rig)[0], rig.desk.status(1).error_code) == (0, 607)
    assert [vars(r)["code"] for r in caplog.records if r.levelname == "ERROR"] == ["PLC-007", "PLC-003"]
    rig.read(recipe=3)
    assert (shown(rig)[0], rig.desk.status(1).error_code, asked) == (3, 0, [3])
    rig.read(recipe=0)
    rig.get_in_step()
    rig.count_part_with_frame()
    rig.score(1.0)
    assert decided(rig) == [(2, Reason.NONE, 3)]
    rig.close()


def test_a_request_that_is_taken_back_before_the_engine_is_warm_leaves_the_former_recipe(rig: Rig) -> None:
    rig.read(recipe=4)
    assert rig.desk.next_load() == Load(4)
    rig.read(recipe=3)
    assert shown(rig)[0] == 3
    rig.engine_ready(4)  # it was being opened
    assert shown(rig)[0] == 3


def test_no_request_keeps_the_recipe_that_was_asked_for_last(rig: Rig) -> None:
    rig.read(recipe=4)
    rig.read(recipe=0)
    warm(rig, 4)
    assert shown(rig)[0] == 4


def test_an_engine_that_cannot_be_opened_is_a_fault_until_another_recipe_is_active(rig: Rig) -> None:
    rig.read(recipe=4)
    rig.desk.on_engine(ready=False, why="ENG-008: other scores", recipe=4)
    assert (shown(rig), rig.desk.status(1).error_code) == ((0, 0, False), 508)
    rig.read(recipe=3)
    assert (shown(rig)[0], rig.desk.status(1).error_code) == (3, 0)


def test_when_all_engines_are_lost_the_wanted_one_is_opened_again(rig: Rig) -> None:
    rig.read(recipe=4)
    warm(rig, 4)
    rig.engines_lost()
    assert shown(rig) == (0, 0, False)
    warm(rig, 4)
    assert shown(rig) == (4, 4, True)


# -- recipes that the camera is set for -------------------------------------------------------------


@pytest.fixture
def lit(tmp_path: Path) -> Iterator[Rig]:
    """Recipe 4 has another exposure."""
    rig = Rig(tmp_path, DECIDING, OTHER, features={3: {"ExposureTime": 500}, 4: {"ExposureTime": 900}})
    rig.ready()
    yield rig
    rig.close()


def test_the_camera_is_set_before_the_recipe_is_active(lit: Rig) -> None:
    lit.read(recipe=4)
    assert lit.camera_told == [{"ExposureTime": 900}]
    assert not lit.ledger.in_step  # at once: what comes now may be of either exposure
    warm(lit, 4)
    assert shown(lit)[0] == 0
    lit.camera_up()  # the next generation, with the new exposure
    assert (shown(lit)[0], shown(lit)[2]) == (4, False)  # out of step
    lit.get_in_step(recipe=4)
    assert shown(lit)[2]


def test_frames_of_the_old_exposure_count_for_no_part_of_the_new_recipe(lit: Rig) -> None:
    lit.read(recipe=4)
    warm(lit, 4)
    lit.frame()
    lit.desk.on_tick()
    lit.clock.advance_ms(2)
    lit.read(new_parts=1, recipe=4)
    assert decided(lit) == [(1, Reason.NOT_READY, 0)]
    assert lit.desk.next_job() is None
    assert lit.held == 0


def test_the_camera_is_left_alone_while_a_part_waits_for_its_frame(lit: Rig) -> None:
    lit.clock.advance_ms(50)
    lit.read(new_parts=1)
    lit.read(recipe=4)
    assert lit.camera_told == []
    lit.frame()
    lit.clock.advance_ms(25)
    lit.read(recipe=4)
    lit.score(1.0)
    assert decided(lit) == [(1, Reason.NONE, 3)]
    lit.read(recipe=4)
    assert lit.camera_told == [{"ExposureTime": 900}]


def test_a_camera_that_restarts_on_its_way_to_the_new_features_is_waited_for(lit: Rig) -> None:
    lit.read(recipe=4)
    warm(lit, 4)
    lit.desk.on_down("CAM-005: silent")
    assert shown(lit)[0] == 0
    lit.camera_up()
    assert shown(lit)[0] == 4


def test_going_back_before_the_camera_changed_sets_it_back_all_the_same(lit: Rig) -> None:
    lit.read(recipe=4)
    lit.read(recipe=3)
    assert lit.camera_told == [{"ExposureTime": 900}, {"ExposureTime": 500}]
    lit.camera_up()  # that of the first change, which nobody wants any more
    assert shown(lit)[0] == 0
    lit.camera_up()
    assert shown(lit)[0] == 3
