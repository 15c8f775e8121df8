"""The command `inspector evaluate`: a pack and labelled images in, table and JSON out."""

import argparse
from pathlib import Path

from inspector.model.console import add_json, check_json, progress_bars, write_json


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
    evaluate.add_argument(
        "--against",
        type=Path,
        metavar="PACK",
        help="another pack to measure on the same images, with tests of the differences",
    )
    add_json(evaluate)
    evaluate.set_defaults(run=run_evaluate)


def run_evaluate(args: argparse.Namespace) -> int:
    """Measure and show."""
    from inspector.model.evaluate import evaluate
    from inspector.model.evaluate_table import show
    from inspector.model.pack import load_pack

    check_json(args.json)
    pack = load_pack(args.pack)
    against = None if args.against is None else load_pack(args.against)
    with progress_bars() as progress:
        result = evaluate(
            pack, args.good, args.bad, args.masks, against=against, engine=args.engine, progress=progress
        )
    show(pack, against, result)
    write_json(args.json, result)
    return 0
