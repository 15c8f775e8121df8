"""Runs the world of `world.py` through scripts: parts one after the other, and what goes wrong beside them."""

from functools import partial

from tests.property.scripts import MS, SOON_COUNTED_AGAIN, PartScript
from tests.property.world import World


def strike(
    world: World,
    kind: str,
    *,
    outage_ms: float | None = None,
    retains_count: bool = False,
    loses_request: bool = False,
) -> None:
    """Have this go wrong now; of what is gone for a while, `outage_ms` says for how long."""
    if kind.startswith("recipe "):
        world.ask_for(int(kind.removeprefix("recipe ")))
    if not world.station_up:
        return
    if kind == "camera":
        world.lose_camera(outage_ms or 120)
    elif kind == "engine":
        world.lose_engine()
    elif kind == "link":
        world.lose_link(outage_ms or 90)
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
        world.fresh_ids(forward=False)
    elif kind == "kill" and world.kept is not None:
        world.die(outage_ms or 130, loses_request=loses_request)
    elif kind == "stop" and world.kept is not None:
        world.stop()
    elif kind == "plc_restart" and (retains_count or world.count > SOON_COUNTED_AGAIN):
        world.restart_plc(retains_count=retains_count)


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
