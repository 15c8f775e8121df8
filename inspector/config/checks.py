"""Faults that no key shows alone: what one value demands of another, and of the files it names."""

import ipaddress
import math
import re
from collections.abc import Iterator
from pathlib import Path

from inspector.config.document import KeyPath
from inspector.config.schema import Config, PlcConfig, resolve
from inspector.part import PART_ID_MAX
from inspector.plc.registers import WORD_MAX, RegisterMap

Finding = tuple[KeyPath, str]
STATUS_MS_MAX = 500.0


def contradictions(config: Config) -> Iterator[Finding]:
    """Yield each value that another value forbids, with its key."""
    yield from _recipes(config)
    yield from _trigger(config)
    yield from _latencies(config)
    yield from _intervals(config)
    yield from _backoff(config)
    left = PART_ID_MAX % config.plc.registers.slots
    if 0 < left < config.plc.registers.slots // 2:
        yield (
            ("plc", "registers", "slots"),
            (
                f"expected a number that goes into {PART_ID_MAX} with most of it left or nothing, as powers of two do, came "
                f"{config.plc.registers.slots}; after part {PART_ID_MAX} a slot would be needed again {left} parts later"
            ),
        )
    if re.fullmatch(r"[0-9.]+", config.plc.host) and not _is_address(config.plc.host):
        yield (
            ("plc", "host"),
            f"expected an IP address (four numbers of 0 to 255) or a host name, came {config.plc.host}",
        )
    yield from _exposures(config)
    registers = RegisterMap(**config.plc.registers.model_dump())
    for text in registers.problems(server=config.plc.role == "server"):
        yield ("plc", "registers"), f"expected blocks that stand apart, came: {text}"
    if config.station.simulated and not config.plc.allow_simulated:
        yield from _real_plcs(config.plc)
    if config.plc.direct.coil is not None:
        yield from _direct(config)
        yield from _encoder(config, registers)


def missing_files(config: Config, folder: Path) -> Iterator[Finding]:
    """Yield each file or folder that the configuration names and this machine lacks."""
    producer = resolve(folder, config.camera.producer)
    if config.camera.backend == "replay":
        if not producer.is_dir():
            yield (
                ("camera", "producer"),
                f"expected a folder of images to replay, but there is no folder {producer}",
            )
    elif not producer.is_file():
        hint = "; for the simulated camera run tools/simcam/build" if producer.name == "simcam.cti" else ""
        yield (
            ("camera", "producer"),
            f"expected a GenTL producer (.cti file), but there is no file {producer}{hint}",
        )
    for key, pack in packs(config, folder):
        if not pack.is_dir():
            hint = f"make it with `inspector fit --good DIR --out {pack}`"
            yield key, f"expected a model pack, but there is no folder {pack}; {hint}"


def packs(config: Config, folder: Path) -> list[tuple[KeyPath, Path]]:
    """Return the model pack of each recipe, with its key."""
    others = [
        (("recipes", i, "pack"), resolve(folder, recipe.pack)) for i, recipe in enumerate(config.recipes)
    ]
    return [(("model", "pack"), resolve(folder, config.model.pack)), *others]


def frame_sizes(config: Config) -> list[tuple[int, int] | None]:
    """Return the (width, height) of the frames of each recipe, None where the configuration does not set both."""
    sizes: list[tuple[int, int] | None] = []
    for recipe in config.all_recipes:
        features = config.camera.features | recipe.features
        width, height = features.get("Width"), features.get("Height")
        both = isinstance(width, int) and isinstance(height, int) and min(width, height) > 0
        sizes.append((int(width), int(height)) if both and width and height else None)
    return sizes


def _real_plcs(plc: PlcConfig) -> Iterator[Finding]:
    """Yield each PLC of another machine."""
    named: list[tuple[KeyPath, str]] = [(("plc", "host"), plc.host)]
    if plc.role == "server":
        named = [(("plc", "server", "peers"), peer) for peer in plc.server.peers]
    for key, host in named:
        if not is_loopback(host):
            yield (
                key,
                (
                    f"expected a PLC of this machine, since the station is simulated, came {host}; "
                    "a simulated verdict must not move a real gate: set plc.allow_simulated: true only if it may"
                ),
            )


def is_loopback(host: str) -> bool:
    """Return whether `host` can only be this machine, without asking a name server."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_network(host, strict=False).is_loopback
    except ValueError:
        return False


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _exposures(config: Config) -> Iterator[Finding]:
    """Yield the exposure (microseconds, SFNC) that is longer than a frame may take to arrive."""
    for i, recipe in enumerate(config.all_recipes):
        exposure = recipe.features.get(
            "ExposureTime", None if i else config.camera.features.get("ExposureTime")
        )
        if isinstance(exposure, int | float) and exposure / 1000 >= config.latency_max_ms:
            section: KeyPath = ("recipes", i - 1) if i else ("camera",)
            yield (
                (*section, "features", "ExposureTime"),
                (
                    f"expected less than camera.latency_ms.max ({config.latency_max_ms:g} ms) in microseconds, came {exposure:g} "
                    f"({exposure / 1000:g} ms); every frame would come too late"
                ),
            )


def _recipes(config: Config) -> Iterator[Finding]:
    taken = {config.model.recipe: "model.recipe"}
    for i, recipe in enumerate(config.recipes):
        if recipe.number in taken:
            yield (
                ("recipes", i, "number"),
                f"expected a number that no other recipe has, came {recipe.number}, as in {taken[recipe.number]}",
            )
        taken.setdefault(recipe.number, f"recipes[{i}].number")
        for name in recipe.features:
            if name not in config.camera.features:
                yield (
                    ("recipes", i, "features", name),
                    (
                        f"expected a feature that camera.features sets as well, came {name}; set it there: "
                        "going back to another recipe sets it back to that"
                    ),
                )


def _trigger(config: Config) -> Iterator[Finding]:
    camera = config.camera
    if camera.trigger != "software":
        yield from _never_triggered(config)
        return
    if config.station.part_source != "plc_count":
        yield (
            ("camera", "trigger"),
            "expected line, since without a part count (station.part_source) nothing says when, came software",
        )
    if camera.silence_ms is not None:
        yield (
            ("camera", "silence_ms"),
            f"expected none with trigger: software, since such a camera is silent between parts, came {camera.silence_ms:g}",
        )
    wanted = {"TriggerMode": "On", "TriggerSource": "Software"} if camera.backend == "genicam" else {}
    for recipe in config.all_recipes:
        features = camera.features | recipe.features
        for name, value in wanted.items():
            came = features.get(name)
            if str(came) != value and not (value == "On" and came is True):
                yield (
                    ("camera", "trigger"),
                    f"expected {name}: {value} in camera.features with trigger: software, came {came or 'nothing'}",
                )
                return


def _never_triggered(config: Config) -> Iterator[Finding]:
    """Yield where the camera waits for a software trigger that nobody sends."""
    waits = {"TriggerMode": ("On", "True"), "TriggerSource": ("Software",)}
    for recipe in config.all_recipes:
        features = config.camera.features | recipe.features
        if all(str(features.get(name)) in values for name, values in waits.items()):
            yield (
                ("camera", "trigger"),
                "expected software with TriggerSource: Software in camera.features, came line; nobody would trigger the camera",
            )
            return


def _latencies(config: Config) -> Iterator[Finding]:
    budget, plc, latency = config.station.budget_ms, config.plc, config.camera.latency_ms
    if latency.max is None and latency.min >= budget / 2:
        yield (
            ("camera", "latency_ms", "min"),
            (
                f"expected below latency_ms.max, which is half of station.budget_ms ({budget / 2:g}) unless stated, "
                f"came {latency.min:g}"
            ),
        )
    if config.latency_max_ms >= budget:
        yield (
            ("camera", "latency_ms", "max"),
            (
                f"expected below station.budget_ms ({budget:g}), came {config.latency_max_ms:g}; "
                "a frame that late cannot be scored in time"
            ),
        )
    elif config.latency_max_ms + plc.write_margin_ms >= budget:
        left = budget - config.latency_max_ms
        yield (
            ("plc", "write_margin_ms"),
            (
                f"expected less than what station.budget_ms leaves after camera.latency_ms.max ({left:g}), "
                f"came {plc.write_margin_ms:g}; no time would be left to score"
            ),
        )
    if config.camera.silence_ms is not None and config.camera.silence_ms <= config.latency_max_ms:
        yield (
            ("camera", "silence_ms"),
            f"expected more than camera.latency_ms.max ({config.latency_max_ms:g}), came {config.camera.silence_ms:g}",
        )


def _intervals(config: Config) -> Iterator[Finding]:
    budget, plc = config.station.budget_ms, config.plc
    if plc.timeout_ms is not None and plc.timeout_ms > budget / 2:
        yield (
            ("plc", "timeout_ms"),
            (
                f"expected at most half of station.budget_ms ({budget / 2:g}), came {plc.timeout_ms:g}; "
                "leave it out for exactly that"
            ),
        )
    if plc.poll_ms > budget / 2:
        yield (
            ("plc", "poll_ms"),
            (
                f"expected at most half of station.budget_ms ({budget / 2:g}), came {plc.poll_ms:g}; a part's time is "
                "taken to begin at the last read that did not show it, so that most would be late"
            ),
        )
    if plc.status_ms > STATUS_MS_MAX:
        yield (
            ("plc", "status_ms"),
            (
                f"expected at most {STATUS_MS_MAX:g}, came {plc.status_ms:g}; a PLC takes a heartbeat that stands still "
                "for a second for a station that is gone"
            ),
        )
    if plc.heartbeat_timeout_ms <= plc.poll_ms:
        yield (
            ("plc", "heartbeat_timeout_ms"),
            f"expected more than plc.poll_ms ({plc.poll_ms:g}), came {plc.heartbeat_timeout_ms:g}",
        )


def _direct(config: Config) -> Iterator[Finding]:
    budget, delay_ms = config.station.budget_ms, config.plc.direct.delay_ms
    if config.plc.role == "server":
        yield (
            ("plc", "direct", "coil"),
            "expected plc.role: client, since a coil is written by a client; leave it out in the server role",
        )
    if delay_ms is not None and delay_ms < budget:
        yield (
            ("plc", "direct", "delay_ms"),
            (
                f"expected at least station.budget_ms ({budget:g}), came {delay_ms:g}; a part would be at the gate before "
                "its verdict is due"
            ),
        )


def _encoder(config: Config, registers: RegisterMap) -> Iterator[Finding]:
    """Yield where the encoder's words cannot be the PLC's: beyond the last address, or among what we write ourselves."""
    address, words = config.plc.direct.encoder_address, config.plc.direct.encoder_words
    if address is None:
        return
    key = ("plc", "direct", "encoder_address")
    if address + words > WORD_MAX + 1:
        yield key, f"expected {words} words up to address {WORD_MAX}, came {address} for the first"
    for name, block in registers.blocks().items():
        if address < block.stop and block.start < address + words:
            yield (
                key,
                f"expected words outside of the {name} block ({block.start}..{block.stop - 1}), came {address}",
            )


def _backoff(config: Config) -> Iterator[Finding]:
    for section, name in (("camera", "restart"), ("plc", "reconnect")):
        values = getattr(config, section)
        first, most = getattr(values, f"{name}_first_ms"), getattr(values, f"{name}_max_ms")
        if not math.isfinite(most) or first > most:
            yield (
                (section, f"{name}_first_ms"),
                f"expected at most {name}_max_ms ({most:g}), came {first:g}",
            )
