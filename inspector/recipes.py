"""What a product needs, as the configuration says it: model, threshold, camera features; and the engine of such a model."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from inspector.changeover import Recipe
from inspector.config.loading import LoadedConfig
from inspector.engine.base import Engine, open_engine
from inspector.errors import DisagreementError
from inspector.model.pack import Pack, load_pack, require_unchanged
from inspector.model.precision import give_up_half, settle
from inspector.model.probing import probe
from inspector.model.selftest import require_agreement
from inspector.part import Deciding
from inspector.service.kept import KeptNumbers

MAGIC = (
    b"INSPRCP1"  # of the file that keeps the recipe that the PLC asked for last, 0 where it asked for none
)
LOST = 1 << 16  # kept in its place where that cannot be read any more; the number of no recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedRecipe(Recipe):
    """A recipe with its model."""

    pack: Pack


def recipes_of(loaded: LoadedConfig) -> dict[int, PackedRecipe]:
    """Return all recipes by their number, the first of the configuration first. Raises PackError where a pack is not whole."""
    return {
        entry.number: recipe_of(loaded, entry.number, load_pack(loaded.resolve(entry.pack)))
        for entry in loaded.config.all_recipes
    }


def recipe_of(loaded: LoadedConfig, number: int, pack: Pack) -> PackedRecipe:
    """Return the recipe of this number with its model."""
    entry = next(entry for entry in loaded.config.all_recipes if entry.number == number)
    deciding = Deciding(
        threshold=pack.threshold * entry.threshold_factor,
        recipe=number,
        model_sha256=pack.model_hash,
        config_sha256=loaded.sha256,
        defects=pack.defects,
        views=pack.views,
    )
    return PackedRecipe(deciding, loaded.config.camera.features | entry.features, pack=pack)


def open_asked(path: Path) -> KeptNumbers:
    """Open the file that keeps what the PLC asked for last. Errors as `KeptNumbers.open`."""
    return KeptNumbers.open(path, MAGIC, 1, unknown=[LOST])


def keep_asked(kept: KeptNumbers, sync: Callable[[], None], number: int) -> None:
    """Keep what the PLC asks for, at each read; `sync` is to begin where that is another recipe than the one kept."""
    if kept.numbers != (number,):
        kept.write([number])
        sync()


def first_recipe(loaded: LoadedConfig, kept: KeptNumbers) -> tuple[int, bool]:
    """Return the recipe to begin with, and whether nobody knows if it is the right one (`Changeover`, `lost`).

    It is the one that the PLC asked an earlier run for: a PLC may take its request back once it is confirmed, and a station that began
    with the first recipe again would judge the parts of one product by the model of another. So where the file is damaged, or the
    configuration has that recipe no more, it is not for us to guess, and that stays so over restarts; but where the file is damaged
    and there is only one recipe, the PLC may be one that never asks.
    """
    (asked,) = kept.numbers
    known = {entry.number for entry in loaded.config.all_recipes}
    if asked in known:
        return asked, False
    return loaded.config.model.recipe, asked != 0 and (asked != LOST or len(known) > 1)


def open_recipe(kind: str, recipe: PackedRecipe) -> Engine:
    """Open the engine `kind` for this recipe. Errors as `open_unchanged`."""
    return open_unchanged(kind, recipe.pack)


def open_unchanged(kind: str, pack: Pack) -> Engine:
    """Open the engine on the very graph that the record names (I6), also after hours: the pack may have been replaced since.

    Raises ServiceError where it was, which ends the station: the next start takes the new graph with its own threshold.
    DisagreementError where the engine gives other scores than the pack's.
    """
    require_unchanged(pack)
    settle(kind, pack)
    probe(kind, pack)
    try:
        return _agreeing(kind, pack)
    except DisagreementError as error:
        if not give_up_half(pack, str(error)):
            raise
    return _agreeing(kind, pack)


def _agreeing(kind: str, pack: Pack) -> Engine:
    engine = open_engine(kind, pack.graph, pack.geometries)
    try:
        require_unchanged(pack)  # nor while the engine read it
        require_agreement(engine, pack)
    except BaseException:
        engine.close()
        raise
    return engine
