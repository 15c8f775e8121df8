"""A pack in one line names its hash as the PLC and the log do."""

from pathlib import Path

from inspector.model.pack import save_pack
from inspector.model.pack_line import line_of
from tests.unit.model.test_pack import FILES, facts


def test_the_line_says_what_is_compared_with_the_plc(tmp_path: Path) -> None:
    pack = save_pack(tmp_path / "tile", facts(), FILES)
    short = pack.model_hash[:8]
    assert line_of(pack) == (
        f"model_hash 16#{short.upper()} (in the log {short}...), nearest, input 96x64, bank 100, threshold 1.25, "
        "fitted 2026-01-01 00:00 UTC on 20 images"
    )
