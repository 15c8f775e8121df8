"""`inspector bench CONFIG`: what a part costs on this PC, stage by stage, and what fits into the station's budget."""

import argparse
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from inspector.config.argument import add_config
from inspector.config.loading import LoadedConfig, load
from inspector.config.schema import RecipeConfig
from inspector.errors import ConfigError, ServiceError
from inspector.model.console import add_json, check_json, progress_bars, write_json

EXIT_FITS = 0
EXIT_DOES_NOT_FIT = 1


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `bench`."""
    parser = subparsers.add_parser(
        "bench",
        help="measure on this PC what fits into a station's budget",
        description="Measure what a part costs on this PC from its frame to its verdict, by stage, and find the largest image and the "
        "largest bank that the station's budget holds. Camera and PLC are stand-ins on this PC: no real one is touched. Exit "
        "status 0: the station's model fits, 1: it does not.",
    )
    add_config(parser)
    parser.add_argument(
        "--recipe", type=int, metavar="N", help="number of the recipe (default: that of `model`)"
    )
    parser.add_argument(
        "--frame",
        type=_size,
        metavar="WxH",
        help="pixels of a frame (default: as camera.features or the model say)",
    )
    parser.add_argument(
        "--margin",
        type=_percent,
        default=10.0,
        metavar="PERCENT",
        help="of the budget to keep free (default: 10)",
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=60.0,
        metavar="S",
        help="measure so long, about, at most (default: 60)",
    )
    parser.add_argument(
        "--plc",
        action="store_true",
        help="also ask the configured PLC for its control block: reads only, nothing is written",
    )
    parser.add_argument(
        "--while-running", action="store_true", help="also while the station runs, whose parts will be late"
    )
    add_json(parser)
    parser.set_defaults(run=bench)


def bench(args: argparse.Namespace) -> int:
    """Measure and show; return the exit status. Raises InspectorError."""
    from inspector.bench.machine import Machine
    from inspector.bench.measuring import Wanted, measure
    from inspector.bench.show import rows_of, show, summary_of
    from inspector.service.realtime import use_cpus

    check_json(args.json)
    loaded = load(args.config, check_files=False)
    if not args.while_running:
        _require_stopped(loaded)
    wanted = Wanted(_recipe(loaded, args.recipe), args.frame, args.margin / 100, args.seconds, plc=args.plc)
    with _warnings_kept() as warnings, progress_bars() as progress:
        use_cpus(loaded.config.realtime.cpus)  # as the station does, before an engine is opened
        with Machine() as machine:
            page = measure(loaded, wanted, progress)
    page.notes += warnings
    facts = machine.facts()
    fits = page.found.fits(page.budget)
    show(page, machine, fifo_priority=loaded.config.realtime.fifo_priority)
    write_json(args.json, {**summary_of(page), "fits": fits, "rows": rows_of(page), "machine": facts})
    return EXIT_FITS if fits else EXIT_DOES_NOT_FIT


def _recipe(loaded: LoadedConfig, number: int | None) -> RecipeConfig:
    entries = {entry.number: entry for entry in loaded.config.all_recipes}
    wanted = loaded.config.model.recipe if number is None else number
    if wanted not in entries:
        known = ", ".join(map(str, entries))
        raise ConfigError(
            [f"{loaded.path}: expected a recipe among {known}, got {wanted}; choose another --recipe"]
        )
    return entries[wanted]


def _require_stopped(loaded: LoadedConfig) -> None:
    from inspector.service.lock import holder_of

    station = loaded.config.station
    holder = holder_of(loaded.resolve(station.state_folder) / f"{station.name}.lock")
    if holder:
        raise ServiceError(
            f"station {station.name} is running (pid {holder}), and measuring beside it would make its parts late; stop it first, or "
            "add --while-running"
        )


@contextmanager
def _warnings_kept() -> Iterator[list[str]]:
    """Yield the warnings that the rooms log meanwhile, as lines for people: what Linux refused, above all."""
    kept: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            fields = vars(record)
            line = ", ".join(
                str(fields[name]) for name in ("what", "why", "error", "needs") if name in fields
            )
            text = f"{record.getMessage().replace('_', ' ')}: {line}"
            if text not in kept:
                kept.append(text)

    handler, logger = Keep(logging.WARNING), logging.getLogger("inspector")
    logger.addHandler(handler)
    try:
        yield kept
    finally:
        logger.removeHandler(handler)


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text)
    if found is None or min(map(int, found.groups())) < 1:
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT in pixels, as 1920x1200, got {text}")
    return int(found[1]), int(found[2])


def _percent(text: str) -> float:
    return _number(text, 0, 90, "percent")


def _seconds(text: str) -> float:
    return _number(text, 5, 3600, "seconds")


def _number(text: str, least: float, most: float, unit: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"expected {least:g} to {most:g} {unit}, got {text}")
    return value
