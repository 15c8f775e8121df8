"""What goes wrong on the PLC's side while its network still answers: the daemon tells it apart, and shows it in the status block."""

import pytest

from inspector.plc.registers import State
from tests.conftest import Stand
from tests.support.daemon import Daemon, write_config
from tests.support.plc import PlainPlc
from tests.support.waiting import wait_for


def test_a_plc_program_that_stops_is_told_from_a_link_that_is_down(stand: Stand) -> None:
    with PlainPlc() as plc:
        daemon = stand.daemon(plc.port, plc={"port": plc.port, "heartbeat_timeout_ms": 400})
        wait_for(lambda: State.READY in plc.status.state, "the station to be ready")
        plc.beating = False
        wait_for(lambda: plc.status.error_code == 605, "the status to tell of the heartbeat")
        assert State.FAULT in plc.status.state
        plc.count_part()
        daemon.wait_for("verdict", reason="NOT_READY")
        plc.beating = True
        wait_for(lambda: plc.status.error_code == 0, "the fault to end")
        back = daemon.wait_for("heartbeat_back")
    assert back["still_ms"] > 400
    assert back["rejected"] == 1
    assert len(daemon.events("heartbeat_lost")) == 1
    assert daemon.wait_for("link_down")["code"] == "PLC-001"
    assert len(daemon.events("heartbeat_lost")) == 1


def test_two_stations_at_the_same_addresses_find_each_other(stand: Stand) -> None:
    with PlainPlc() as plc:
        daemon = stand.daemon(plc.port)
        wait_for(lambda: State.READY in plc.status.state, "the station to be ready")
        folder = stand.folder / "other"
        folder.mkdir()
        config = write_config(folder, producer=stand.producer, pack=stand.pack, port=plc.port)
        other = Daemon(config, daemon.more)
        other.start()
        try:
            for one in (daemon, other):
                one.wait_for("foreign_writer", code="PLC-006")
            plc.count_part()
            daemon.wait_for("verdict", reason="NOT_READY")
            wait_for(lambda: plc.status.error_code == 606, "the status to tell of it")
            assert other.end() == 0
        finally:
            other.close()
        daemon.wait_for("foreign_writer_gone")
        wait_for(lambda: State.READY in plc.status.state, "the station to be ready again")


def ask_for_the_second_recipe_and_die(plc: PlainPlc, daemon: Daemon) -> None:
    """The PLC takes its request back once it is confirmed."""
    wait_for(lambda: State.READY in plc.status.state, "the station to be ready")
    plc.set(recipe_request=2)
    wait_for(lambda: plc.status.active_recipe == 2, "the other recipe")
    plc.set(recipe_request=0)
    daemon.kill()


def test_a_station_that_lost_what_the_plc_asked_for_waits_for_a_number(stand: Stand) -> None:
    """With the first recipe it would judge the parts of one product by the model of another."""
    with PlainPlc() as plc:
        daemon = stand.daemon(plc.port, recipes=[{"number": 2, "pack": str(stand.pack)}])
        ask_for_the_second_recipe_and_die(plc, daemon)
        kept = [*stand.folder.rglob("*.recipe"), *stand.folder.rglob("*.recipe.synced")]
        assert len(kept) == 2, "of one the other would tell"
        for copy in kept:
            copy.write_bytes(b"?" * copy.stat().st_size)
        plc.forget_status()
        daemon.start()
        wait_for(lambda: plc.status.error_code == 607, "the status to tell of it")
        assert plc.status.active_recipe == 0
        assert State.READY not in plc.status.state
        plc.count_part()
        daemon.wait_for("verdict", reason="NOT_READY", part_id=1)
        plc.set(recipe_request=2)
        wait_for(lambda: State.READY in plc.status.state, "the station to be ready with what was asked for")
        assert (plc.status.active_recipe, plc.status.error_code) == (2, 0)
        assert daemon.end() == 0
    assert [entry["code"] for entry in daemon.events("recipe_lost")] == ["PLC-007"]


@pytest.mark.parametrize("lost", ["*.recipe", "*.recipe.synced"])
def test_one_copy_of_what_the_plc_asked_for_is_enough(stand: Stand, lost: str) -> None:
    """As after a loss of power, which leaves what was synced."""
    with PlainPlc() as plc:
        daemon = stand.daemon(plc.port, recipes=[{"number": 2, "pack": str(stand.pack)}])
        ask_for_the_second_recipe_and_die(plc, daemon)
        (copy,) = stand.folder.rglob(lost)
        copy.unlink()
        plc.forget_status()
        daemon.start()
        wait_for(lambda: State.READY in plc.status.state, "the station to be ready again")
        assert (plc.status.active_recipe, plc.status.error_code) == (2, 0)
