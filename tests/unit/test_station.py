"""What the station makes of configuration and pack before anything runs."""

import hashlib
from pathlib import Path

import pytest

from inspector.config.loading import load
from inspector.model.pack import load_pack
from inspector.station import deciding_of, geometry_of

STATION = """\
station: {name: cell-1, budget_ms: 100}
camera:
  producer: a.cti
  device: {model: simcam}
  features: {PixelFormat: %s}
model: {pack: pack, threshold_factor: 1.25, recipe: 7}
"""


@pytest.mark.parametrize(
    ("pixel_format", "told"), [("BayerRG8", "BayerRG8"), ("Mono8", None), ("RGB8", None)]
)
def test_the_engine_is_told_of_a_bayer_camera(
    pixel_format: str, told: str | None, tmp_path: Path, pack: Path
) -> None:
    file = tmp_path / "station.yaml"
    file.write_text(STATION % pixel_format)
    assert geometry_of(load(file, check_files=False), load_pack(pack)).pixel_format == told


def test_what_decides_is_the_packs_threshold_times_the_factor_and_what_the_record_names(
    tmp_path: Path, pack: Path
) -> None:
    file = tmp_path / "station.yaml"
    file.write_text(STATION % "Mono8")
    model = load_pack(pack)
    deciding = deciding_of(load(file, check_files=False), model)
    assert deciding.threshold == 1.25 * model.threshold
    assert (deciding.recipe, deciding.model_sha256) == (7, model.model_hash)
    assert deciding.config_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
