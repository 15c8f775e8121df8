"""What was asked for: everything is read and checked here, before anything is written, removed or fitted."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inspector.config.loading import load
from inspector.config.schema import Config
from inspector.errors import ServiceError
from inspector.model.images import list_images, read_image
from inspector.model.pack import Pack, load_pack
from tools.rehearsal import folders, station
from tools.rehearsal.faults import FaultPlan, plan_faults

EXAMPLE = station.ROOT / "config" / "station.example.yaml"
FIT_SHARE = 0.7
RATE_MAX_HZ = 1000
BUDGET_MIN_MS, BUDGET_MAX_MS = 2, 60_000  # of station.budget_ms


@dataclass(frozen=True, slots=True)
class Asked:
    """A rehearsal that can be run as it was asked for."""

    base: Config
    packs: Mapping[int, Pack]  # by recipe, the first one first; empty where a model is to be fitted
    fitted: Sequence[Path]  # the good images to fit it on
    shown: Sequence[folders.Shown]
    faults: FaultPlan | None


def read_asked(arguments: argparse.Namespace) -> Asked:
    """Return what the arguments ask for. Raises InspectorError, one line, for the first thing that cannot be used."""
    _check_figures(arguments)
    if arguments.faults and arguments.parts:
        plan_faults(arguments.faults, arguments.parts)  # before the images are read, which may take long
    bad = list_images(arguments.bad)
    fitted: list[Path] = []
    packs: dict[int, Pack] = {}
    if arguments.config is None:
        fitted, good = folders.split(arguments.good, FIT_SHARE, arguments.seed)
        base = station.suit_to_rate(load(EXAMPLE, check_files=False).config, arguments.rate)
    else:
        good = list_images(arguments.good)
        loaded = load(arguments.config, check_files=False)
        base = loaded.config
        packs = {recipe.number: load_pack(loaded.resolve(recipe.pack)) for recipe in base.all_recipes}
    station.check_slots(base, arguments.budget_ms or base.station.budget_ms, arguments.rate)
    named = folders.name_images(good, arguments.good, bad, arguments.bad)
    shown = folders.choose(named, arguments.parts, arguments.seed)
    faults = plan_faults(arguments.faults, arguments.parts or len(shown)) if arguments.faults else None
    for path in (*fitted, *(each.path for each in shown)):
        read_image(path, 1)  # one that cannot be read is named now
    return Asked(base, packs, fitted, shown, faults)


def _check_figures(arguments: argparse.Namespace) -> None:
    if arguments.parts is not None and arguments.parts < 1:
        raise ServiceError(f"expected --parts to be at least 1, got {arguments.parts}")
    if not 0 < arguments.rate <= RATE_MAX_HZ:
        raise ServiceError(f"expected --rate above 0 and at most {RATE_MAX_HZ}, got {arguments.rate:g}")
    if arguments.budget_ms is not None and not BUDGET_MIN_MS <= arguments.budget_ms <= BUDGET_MAX_MS:
        raise ServiceError(
            f"expected --budget-ms from {BUDGET_MIN_MS} to {BUDGET_MAX_MS}, got {arguments.budget_ms:g}"
        )
