"""The command `inspector fit`: arguments in, pack, table and JSON out."""

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from inspector.errors import ModelError
from inspector.model.console import add_json, progress_bars, show_table, write_json
from inspector.model.options import BACKBONES, IMPORTED, MAXIMUM, METHODS, FitOptions, FrameOptions
from inspector.model.tune_table import show_tuning

if TYPE_CHECKING:
    from inspector.model.fit import FitResult
    from inspector.model.pack import HeldOut, KnownDefects, LearningPoint


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
        "--defects",
        type=Path,
        metavar="DIR",
        help="images of known defects, a sub-folder for each kind, named after it; 3 of each at least, 10 are good",
    )
    fit.add_argument(
        "--defect-masks",
        type=Path,
        metavar="DIR",
        help="where they are: NAME_mask.png or NAME.png, white on black, in the places of --defects (they do without)",
    )
    fit.add_argument(
        "--out", type=Path, metavar="PACK", help="the pack to write (default: models/NAME, named after DIR)"
    )
    fit.add_argument(
        "--method",
        choices=[*METHODS, IMPORTED],
        default=defaults.method,
        help="how a patch is compared, or a network that scores by itself (default: %(default)s)",
    )
    fit.add_argument(
        "--network",
        type=Path,
        metavar="FILE.onnx",
        help="that network: it maps one image, values 0 to 1, to a score or a map",
    )
    fit.add_argument(
        "--output",
        default="",
        metavar="NAME",
        help="its output to use, where it has several that could be it",
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
        help=f"the pretrained network: {', '.join(BACKBONES)}, or an ONNX file (default: %(default)s)",
    )
    fit.add_argument(
        "--taps",
        type=_taps,
        default=defaults.taps,
        metavar="T,T[/T,T]",
        help="values of the backbone to compare, '/' between those of several sizes (default: the backbone's own, 7,10,14)",
    )
    fit.add_argument(
        "--pooling",
        type=_pooling,
        default=defaults.pooling,
        metavar="max|P",
        help="how the heat map becomes the score: its maximum, or its power mean of exponent P (default: max)",
    )
    fit.add_argument(
        "--roi",
        type=_roi,
        metavar="X,Y,W,H",
        help="look at this region alone, in pixels (default: the whole image)",
    )
    fit.add_argument(
        "--mask",
        type=Path,
        metavar="FILE",
        help="ignore what is black in this picture of the images' size, or the polygons in this .json: [[[x, y], ...], ...]",
    )
    fit.add_argument(
        "--scale",
        type=float,
        metavar="F",
        help="scale by F instead of to an area, 1 for every pixel (default with --tiles: 1)",
    )
    fit.add_argument(
        "--tiles",
        type=_tiles,
        metavar="SIDE[,OVERLAP]",
        help="for fine defects in large images: look tile by tile; a defect up to OVERLAP is whole in one of them (512,64 suits most)",
    )
    fit.add_argument(
        "--align",
        type=_align,
        metavar="PIXELS,DEGREES",
        help="turn and shift each part to the pose of the reference; one farther from it is rejected (FRAME_BAD)",
    )
    fit.add_argument(
        "--reference",
        type=Path,
        metavar="FILE",
        help="the image whose pose --align takes (default: the most usual one)",
    )
    fit.add_argument(
        "--bits",
        type=int,
        choices=range(8, 17),
        metavar="N",
        help="depth of images that are stored in 16 bits (default: what they use)",
    )
    fit.add_argument(
        "--seed",
        type=int,
        default=defaults.seed,
        metavar="N",
        help="of everything random (default: %(default)s)",
    )
    fit.add_argument(
        "--tune",
        action="store_true",
        help="choose size, taps, method and pooling by trials on synthetic defects, laid on the images of good parts",
    )
    fit.add_argument(
        "--budget-ms",
        type=float,
        metavar="MS",
        help="time that scoring an image may take on this machine, for --tune (default: any)",
    )
    add_json(fit)
    fit.set_defaults(run=run_fit)


def run_fit(args: argparse.Namespace) -> int:
    """Fit, show what came of it, and what the threshold is worth."""
    from inspector.model.fit import fit

    options = FitOptions(
        false_reject_rate=args.false_reject_rate,
        bank=args.bank,
        sizes=args.size,
        taps=args.taps,
        seed=args.seed,
        method=args.method,
        pooling=args.pooling,
        backbone=args.backbone,
        network=args.network,
        output=args.output,
        frame=FrameOptions(
            args.roi, args.mask, args.scale, args.tiles, args.align, args.reference, args.bits
        ),
    )
    out = args.out or Path("models") / args.good.resolve().name
    with progress_bars() as progress:
        result = fit(
            args.good,
            out,
            options,
            progress,
            defects=args.defects,
            defect_masks=args.defect_masks,
            tune_within_ms=_tune_within_ms(args),
        )
    if result.tuning is not None:
        show_tuning(result.tuning)
    _show_fit(result)
    write_json(args.json, result.as_json())
    return 0


def _tune_within_ms(args: argparse.Namespace) -> float | None:
    if args.tune:
        return math.inf if args.budget_ms is None else float(args.budget_ms)
    if args.budget_ms is not None:
        raise ModelError("expected --tune beside --budget-ms, it is not there; only tuning keeps a budget")
    return None


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected pixels as in 256 or 160,384, got {text!r}") from error


def _numbers(text: str, count: int, example: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
        if len(found) == count:
            return found
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"expected {count} numbers as in {example}, got {text!r}")


def _roi(text: str) -> tuple[int, int, int, int]:
    x, y, width, height = (round(number) for number in _numbers(text, 4, "100,50,640,480"))
    if min(x, y) < 0 or min(width, height) < 1:
        raise argparse.ArgumentTypeError(f"expected a region as in 100,50,640,480, got {text!r}")
    return x, y, width, height


def _tiles(text: str) -> tuple[int, int]:
    side, overlap = (round(number) for number in _numbers(text if "," in text else f"{text},64", 2, "512,64"))
    return side, overlap


def _align(text: str) -> tuple[float, float]:
    pixels, degrees = _numbers(text.replace("px", "").replace("deg", ""), 2, "20,5")
    return pixels, degrees


def _taps(text: str) -> tuple[tuple[str, ...], ...]:
    taps = tuple(tuple(name.strip() for name in branch.split(",")) for branch in text.split("/"))
    if not all(name for branch in taps for name in branch):
        raise argparse.ArgumentTypeError(f"expected names of taps as in 7,10,14, got {text!r}")
    return taps


def _pooling(text: str) -> float:
    try:
        return MAXIMUM if text == "max" else float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected max or an exponent as in 8, got {text!r}") from error


def _show_fit(result: "FitResult") -> None:
    manifest = result.pack.manifest
    show_table(
        f"Model pack {result.pack.path}",
        [
            ("good images", f"{result.images}, {_batches(manifest.held_out)}"),
            (
                "input",
                f"{manifest.input.width} x {manifest.input.height}, {manifest.input.channels} channel(s)",
            ),
            ("method", f"{result.method}, keeps {result.bank}"),
            ("threshold", f"{result.threshold:.4f}, for {manifest.false_reject_rate:.2%} false rejects"),
            ("held-out images", f"{manifest.held_out.false_reject_rate:.2%} above it"),
            ("next batch", _outlook(manifest.held_out)),
            *(
                ("with more images" if point.foreseen else "with fewer", _learnt(point))
                for point in _others(manifest.held_out)
            ),
            *_known(manifest.defects),
            ("took", f"{result.seconds:.1f} s, at most {result.peak_rss_mb:.0f} MB"),
        ],
        result.warnings,
    )


def _known(defects: "KnownDefects | None") -> "Iterator[tuple[str, str]]":
    """Yield what each kind of known defect brought, by its held-out examples."""
    if defects is None:
        return
    for defect in defects.classes:
        yield (
            f"known: {defect.name}",
            f"{defect.examples} examples, {defect.recall:.0%} rejected when held out (without: {defect.recall_without:.0%})",
        )
    if defects.named_right is not None:
        yield (
            "known: all",
            f"{defects.recall:.0%} rejected (without: {defects.recall_without:.0%}), {defects.named_right:.0%} of them named right",
        )


_BATCHES_BY = {
    "folders": "{} batches (sub-folders)",
    "times": "{} batches (pauses in recording)",
    "likeness": "1 batch, {} groups of like images",
    "none": "1 batch",
}


def _batches(held_out: "HeldOut") -> str:
    return _BATCHES_BY[held_out.by].format(held_out.batches)


def _outlook(held_out: "HeldOut") -> str:
    if held_out.interval is None:
        return "nothing can be promised"
    low, high = held_out.interval
    share = f"{low:.1%} to {high:.1%} of {held_out.next_images} good parts rejected"
    return f"{share} (95 %)" if held_out.promised else f"no promise; {share} if like these"


def _others(held_out: "HeldOut") -> "list[LearningPoint]":
    """Return the points of the learning curve beside the one that holds."""
    return [point for point in held_out.learning if point.foreseen or point.images != held_out.images]


def _learnt(point: "LearningPoint") -> str:
    low, high = point.threshold
    threshold = f"{low:.3f}" if low == high else f"{low:.3f} to {high:.3f}"
    rate = "" if point.highest_rate is None else f", up to {point.highest_rate:.1%} rejected"
    return f"{point.images} images, {point.batches} batches: threshold {threshold}{rate}"
