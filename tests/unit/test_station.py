"""What the station makes of configuration and pack before anything runs."""

from pathlib import Path

import pytest

from inspector.config.loading import load
from inspector.model.pack import load_pack
from inspector.station import geometry_of

STATION = """\
station: {name: cell-1, budget_ms: 100}
camera:
  producer: a.cti
  device: {model: simcam}
  features: {PixelFormat: %s}
model: {pack: pack}
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
