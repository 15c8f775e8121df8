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


def test_the_line_names_the_views(tmp_path: Path) -> None:
    views = [
        {
            "name": name,
            "roi": [0, 0, 9, 9],
            "picture": None,
            "limit": 1.0,
            "grey": [1.0, 2.0],
            "false_reject_rate": 0.0,
        }
        for name in ("pins", "label")
    ]
    references = [{"file": "reference/best.png", "score": 0.5, "views": [0.5, 0.4]}]
    pack = save_pack(tmp_path / "board", facts(views=views, references=references), FILES)
    assert "input 96x64 for each of pins, label, bank 2 x 50, " in line_of(pack)


def test_the_line_names_what_the_backbone_is_computed_in(tmp_path: Path) -> None:
    taken = {"taken": "int8", "why": "", "deviation_bound": 0.03, "flip_bound": 0.06, "found": None}
    pack = save_pack(tmp_path / "quick", {**facts(), "precision": taken}, FILES)
    assert ", nearest, int8, input 96x64, " in line_of(pack)
