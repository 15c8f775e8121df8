"""What the configuration and the packs make of a recipe."""

import hashlib
from pathlib import Path

from inspector.config.loading import load
from inspector.model.pack import load_pack
from inspector.recipes import MAGIC, first_recipe, recipes_of
from inspector.service.kept import KeptNumbers

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


def test_a_station_begins_with_the_recipe_that_was_asked_for_last_or_with_the_first(tmp_path: Path) -> None:
    file = tmp_path / "station.yaml"
    file.write_text(STATION % {"pack": "none"})
    loaded = load(file, check_files=False)
    kept = KeptNumbers.open(tmp_path / "cell-1.recipe", MAGIC, 1)
    assert first_recipe(loaded, kept) == 7  # nobody ever asked
    kept.write([9])
    assert first_recipe(loaded, kept) == 9
    kept.write([8])  # the configuration has it no more
    assert first_recipe(loaded, kept) == 7
    kept.close()
