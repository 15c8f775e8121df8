"""The command `inspector fit`: arguments in, pack, table and JSON out."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from inspector.model.console import add_json, progress_bars, show_table, write_json
from inspector.model.options import BACKBONES, MAXIMUM, METHODS, FitOptions

if TYPE_CHECKING:
    from inspector.model.fit import FitResult


def add(fit: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    defaults = FitOptions()
    fit.add_argument(
        "--good",
        type=Path,
        required=True,
        metavar="DIR",
        help="images of good parts, best one sub-folder for each batch",
    )
    fit.add_argument(
        "--out", type=Path, metavar="PACK", help="the pack to write (default: models/NAME, named after DIR)"
    )
    fit.add_argument(
        "--method",
        choices=list(METHODS),
        default=defaults.method,
        help="how a patch is compared (default: %(default)s)",
    )
    fit.add_argument(
        "--false-reject-rate",
        type=float,
        default=defaults.false_reject_rate,
        metavar="RATE",
        help="good parts that may be rejected (default: %(default)s)",
    )
    fit.add_argument(
        "--bank",
        type=int,
        default=defaults.bank,
        metavar="N",
        help="patches of good parts to keep (default: %(default)s)",
    )
    fit.add_argument(
        "--size",
        type=_sizes,
        default=defaults.sizes,
        metavar="PIXELS[,PIXELS]",
        help="scale images to an area of PIXELS x PIXELS; several are compared together (default: 256)",
    )
    fit.add_argument(
        "--backbone",
        default=defaults.backbone,
        metavar="NAME",
        help=f"the pretrained network: {', '.join(BACKBONES)} (default: %(default)s)",
    )
    fit.add_argument(
        "--taps",
        type=_taps,
        default=defaults.taps,
        metavar="T,T[/T,T]",
        help="values of the backbone to compare, '/' between those of several sizes (default: the backbone's own, 4,7,10)",
    )
    fit.add_argument(
        "--pooling",
        type=_pooling,
        default=defaults.pooling,
        metavar="max|P",
        help="how the heat map becomes the score: its maximum, or its power mean of exponent P (default: max)",
    )
    fit.add_argument(
        "--seed",
        type=int,
        default=defaults.seed,
        metavar="N",
        help="of everything random (default: %(default)s)",
    )
    add_json(fit)
    fit.set_defaults(run=run_fit)


def run_fit(args: argparse.Namespace) -> int:
    """Fit, show what came of it, and what the threshold is worth."""
    from inspector.model.fit import fit

    options = FitOptions(
        args.false_reject_rate,
        args.bank,
        args.size,
        args.taps,
        args.seed,
        args.method,
        args.pooling,
        args.backbone,
    )
    out = args.out or Path("models") / args.good.resolve().name
    with progress_bars() as progress:
        result = fit(args.good, out, options, progress)
    _show_fit(result)
    write_json(args.json, result.as_json())
    return 0


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected pixels as in 256 or 160,384, got {text!r}") from error


def _taps(text: str) -> tuple[tuple[str, ...], ...]:
    taps = tuple(tuple(name.strip() for name in branch.split(",")) for branch in text.split("/"))
    if not all(name for branch in taps for name in branch):
        raise argparse.ArgumentTypeError(f"expected names of taps as in 4,7,10, got {text!r}")
    return taps


def _pooling(text: str) -> float:
    try:
        return MAXIMUM if text == "max" else float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected max or an exponent as in 8, got {text!r}") from error


def _show_fit(result: "FitResult") -> None:
    manifest = result.pack.manifest
    low, high = manifest.held_out.interval
    show_table(
        f"Model pack {result.pack.path}",
        [
            ("good images", f"{result.images}, batches: {manifest.held_out.batches}"),
            (
                "input",
                f"{manifest.input.width} x {manifest.input.height}, {manifest.input.channels} channel(s)",
            ),
            ("method", f"{result.method}, keeps {result.bank}"),
            ("threshold", f"{result.threshold:.4f}"),
            (
                "false rejects",
                f"{manifest.held_out.false_reject_rate:.2%} of held-out images (95 %: {low:.2%} to {high:.2%})",
            ),
            ("took", f"{result.seconds:.1f} s, at most {result.peak_rss_mb:.0f} MB"),
        ],
        result.warnings,
    )
