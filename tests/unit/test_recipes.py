"""What the configuration and the packs make of a recipe."""

import hashlib
from pathlib import Path

import pytest

from inspector.config.loading import LoadedConfig, load
from inspector.model.pack import load_pack
from inspector.recipes import LOST, first_recipe, keep_asked, open_asked, recipes_of
from tests.support.power import Power

STATION = """\
station: {name: cell-1, budget_ms: 100}
camera:
  producer: a.cti
  device: {model: simcam}
  features: {TriggerMode: On, ExposureTime: 500}
model: {pack: %(pack)s, threshold_factor: 1.25, recipe: 7}
recipes:
  - {number: 9, pack: %(pack)s, features: {ExposureTime: 800}}
"""


def test_what_decides_is_the_packs_threshold_times_the_factor_and_what_the_record_names(
    tmp_path: Path, pack: Path
) -> None:
    file = tmp_path / "station.yaml"
    file.write_text(STATION % {"pack": pack})
    model = load_pack(pack)
    first, other = recipes_of(load(file, check_files=False)).values()
    assert (first.deciding.threshold, other.deciding.threshold) == (1.25 * model.threshold, model.threshold)
    assert (first.number, other.number) == (7, 9)
    for recipe in (first, other):
        assert recipe.deciding.model_sha256 == recipe.pack.model_hash == model.model_hash
        assert recipe.deciding.config_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_recipe_has_the_cameras_features_but_for_those_of_its_own(tmp_path: Path, pack: Path) -> None:
    file = tmp_path / "station.yaml"
    file.write_text(STATION % {"pack": pack})
    first, other = recipes_of(load(file, check_files=False)).values()
    assert dict(first.features) == {"TriggerMode": "On", "ExposureTime": 500}
    assert list(other.features.items()) == [("TriggerMode", "On"), ("ExposureTime", 800)]


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedConfig:
    file = tmp_path / "station.yaml"
    file.write_text(STATION % {"pack": "none"})
    return load(file, check_files=False)


def begun(loaded: LoadedConfig, *writes: int) -> tuple[int, bool]:
    """Start a station, which then keeps what the PLC asks for."""
    kept = open_asked(loaded.folder / "cell-1.recipe")
    found = first_recipe(loaded, kept)
    for number in writes:
        kept.write([number])
    kept.close()
    return found


def test_a_station_begins_with_the_first_recipe_or_with_the_one_that_was_asked_for_last(
    loaded: LoadedConfig,
) -> None:
    assert begun(loaded, 9) == (7, False)  # nobody ever asked
    assert begun(loaded) == (9, False)


def test_a_recipe_that_the_configuration_has_no_more_is_lost(loaded: LoadedConfig) -> None:
    begun(loaded, 8)
    assert begun(loaded) == (7, True)


def test_a_request_in_a_damaged_file_is_lost_over_restarts_until_there_is_another(
    loaded: LoadedConfig,
) -> None:
    begun(loaded, 7, 9)
    for file in (loaded.folder / "cell-1.recipe", loaded.folder / "cell-1.recipe.synced"):
        content = bytearray(file.read_bytes())
        content[8] ^= 1
        content[520] ^= 1
        file.write_bytes(content)
    assert begun(loaded) == (7, True)
    assert begun(loaded, 9) == (7, True)
    assert begun(loaded) == (9, False)


@pytest.mark.parametrize(("asked", "lost"), [(9, True), (7, False), (LOST, False), (None, False)])
def test_the_only_recipe_that_is_left_may_be_another_products(
    loaded: LoadedConfig, asked: int | None, *, lost: bool
) -> None:
    """But where nobody can tell whether the PLC ever asked, it may be one that never does."""
    begun(loaded, *([] if asked is None else [asked]))
    alone = loaded.path.read_text().partition("recipes:")[0]
    loaded.path.write_text(alone)
    assert begun(load(loaded.path, check_files=False)) == (7, lost)


@pytest.mark.parametrize("asked", [(9,), (7,), (9, 7)])
def test_a_request_that_was_synced_is_known_after_a_loss_of_power(
    loaded: LoadedConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: tuple[int, ...]
) -> None:
    power = Power(monkeypatch)
    kept = open_asked(loaded.folder / "cell-1.recipe")
    for number in asked:
        for _ in range(3):  # each read shows it again
            keep_asked(kept, kept.sync, number)
    assert power.syncs == 2 + len(asked)
    left = power.lost(loaded.folder, tmp_path / "after")
    kept.close()
    again = open_asked(left / "cell-1.recipe")
    assert again.numbers == asked[-1:]
    assert first_recipe(loaded, again) == (asked[-1], False)
    again.close()
