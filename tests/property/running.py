"""Runs the world of `world.py` through scripts: parts one after the other, and what goes wrong beside them."""

from functools import partial

from tests.property.scripts import MS, SOON_COUNTED_AGAIN, PartScript
from tests.property.world import World


def strike(world: World, kind: str) -> None:
    """Have this go wrong now."""
    if kind.startswith("recipe "):
        world.ask_for(int(kind.removeprefix("recipe ")))
    if not world.station_up:
        return
    if kind == "camera":
        world.camera_up = False
        world.got(world.ledger.on_camera_down(world.now))
        world.at(120 * MS, world.camera_back)
    elif kind == "link":
        world.link_up = False
        world.got(world.ledger.on_link_down(world.now))
        world.at(90 * MS, lambda: setattr(world, "link_up", True))
    elif kind == "stall":  # the machine holds the PLC thread up; the link itself is fine
        world.stalled = True
        world.at(45 * MS, lambda: setattr(world, "stalled", False))
    elif kind == "disable":
        world.enabled = False
        world.at(70 * MS, lambda: setattr(world, "enabled", True))
    elif kind == "challenge":
        world.challenge_mode = True
        world.at(world.now // MS % 300 * MS, lambda: setattr(world, "challenge_mode", False))
    elif kind == "frame_ids":
        world.frame_id -= 2000  # never one that was used: the judge tells frames apart by them
    elif kind == "kill" and world.kept is not None:
        world.station_up = world.reading = False
        world.starts += 1
        world.at(130 * MS, world.start_again)
    elif kind == "plc_restart" and world.prompt and world.count > SOON_COUNTED_AGAIN:
        world.read()  # what the PLC forgets before anybody saw it, nobody can account for
        world.link_up = False
        world.epoch += 1
        world.count = world.visible_count = 0
        world.plc_restarted = True
        world.got(world.ledger.on_link_down(world.now))
        world.at(60 * MS, lambda: setattr(world, "link_up", True))


def run(scripts: list[PartScript], **world_settings: object) -> World:
    world = World(**world_settings)  # type: ignore[arg-type]
    world.at(0, world.poll)
    t = world.now + 100 * MS
    for script in scripts:
        world.at(t - world.now, partial(world.trigger, script))
        if script.line_fault != "none":
            world.at(t - world.now + 7 * MS, partial(strike, world, script.line_fault))
        t += round(script.gap_ms * MS)
    world.run_until(t + 500 * MS)
    return world
