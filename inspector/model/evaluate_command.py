"""The command `inspector evaluate`: a pack and labelled images in, table and JSON out."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from inspector.model.console import add_json, progress_bars, show_table, write_json

if TYPE_CHECKING:
    from inspector.model.pack import Pack

# How the figures of an evaluation are shown, by their published names: in a line engineer's words.
_FIGURES = {
    "auroc": ("good and bad told apart (AUROC)", ".4f"),
    "false_reject_rate": ("good parts rejected", ".2%"),
    "recall": ("bad parts rejected", ".2%"),
    "recall_by_defect": ("bad parts rejected:", ".2%"),
    "engine_ms": ("engine, ms", ".1f"),
    "auroc_pixel": ("defects found in the picture (AUROC)", ".4f"),
}


def add(evaluate: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    evaluate.add_argument("pack", type=Path, metavar="PACK", help="the model pack")
    evaluate.add_argument(
        "--good",
        type=Path,
        required=True,
        metavar="DIR",
        help="images of good parts that the model was not fitted on",
    )
    evaluate.add_argument(
        "--bad",
        type=Path,
        required=True,
        metavar="DIR",
        help="images of bad parts, one sub-folder for each kind of defect",
    )
    evaluate.add_argument(
        "--masks",
        type=Path,
        metavar="DIR",
        help="where the defects are: NAME_mask.png or NAME.png, white on black, in the places of --bad",
    )
    evaluate.add_argument(
        "--engine",
        choices=["auto", "openvino", "tensorrt"],
        default="auto",
        help="what runs the graph (default: %(default)s)",
    )
    add_json(evaluate)
    evaluate.set_defaults(run=run_evaluate)


def run_evaluate(args: argparse.Namespace) -> int:
    """Measure and show."""
    from inspector.model.evaluate import evaluate
    from inspector.model.pack import load_pack

    pack = load_pack(args.pack)
    with progress_bars() as progress:
        result = evaluate(pack, args.good, args.bad, args.masks, engine=args.engine, progress=progress)
    _show_evaluation(pack, result)
    write_json(args.json, result)
    return 0


def _show_evaluation(pack: "Pack", result: dict[str, object]) -> None:
    rows = []
    for name, value in result.items():
        label, form = _FIGURES.get(name, (name, ""))
        if isinstance(value, dict):
            rows += [(f"{label} {key}", format(entry, form)) for key, entry in value.items()]
        else:
            rows.append((label, format(value, form)))
    show_table(f"Model pack {pack.path}", rows, pack.manifest.warnings)
