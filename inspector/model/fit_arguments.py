"""The arguments of `inspector fit`, and the options that they make."""

import argparse
import math
from pathlib import Path

from inspector.errors import ModelError
from inspector.model.options import (
    BACKBONES,
    IMPORTED,
    MAXIMUM,
    METHODS,
    PRECISIONS,
    FitOptions,
    FrameOptions,
)

_DEFAULTS = FitOptions()


def add_arguments(fit: argparse.ArgumentParser) -> None:
    """Add all arguments but --json, in groups."""
    _add_images(fit.add_argument_group("images"))
    _add_model(fit.add_argument_group("model"))
    _add_frame(fit.add_argument_group("frame"))


def options_of(args: argparse.Namespace) -> FitOptions:
    """Return what the parsed arguments choose."""
    return FitOptions(
        false_reject_rate=args.false_reject_rate,
        bank=args.bank,
        sizes=args.size,
        taps=args.taps,
        seed=args.seed,
        method=args.method,
        pooling=args.pooling,
        backbone=args.backbone,
        precision=args.precision,
        network=args.network,
        output=args.output,
        frame=FrameOptions(
            args.roi, args.mask, args.scale, args.tiles, args.align, args.reference, args.bits
        ),
    )


def tune_within_ms(args: argparse.Namespace) -> float | None:
    """Return the budget of tuning, infinite for none; None without tuning. Raises ModelError for a budget alone."""
    if args.tune:
        return math.inf if args.budget_ms is None else float(args.budget_ms)
    if args.budget_ms is not None:
        raise ModelError("expected --tune beside --budget-ms, it is not there; only tuning keeps a budget")
    return None


def _add_images(group: "argparse._ArgumentGroup") -> None:
    """Add what it is fitted on, and where to."""
    group.add_argument(
        "--good",
        type=Path,
        required=True,
        metavar="DIR",
        help="images of good parts, best one sub-folder for each batch",
    )
    group.add_argument(
        "--defects",
        type=Path,
        metavar="DIR",
        help="images of known defects, a sub-folder for each kind, named after it (without any all are one kind); 3 of each at least, "
        "10 are good; the threshold still comes from good parts",
    )
    group.add_argument(
        "--defect-masks",
        type=Path,
        metavar="DIR",
        help="where they are: NAME_mask.png or NAME.png, white on black, in the places of --defects (they do without)",
    )
    group.add_argument(
        "--out", type=Path, metavar="PACK", help="the pack to write (default: models/NAME, named after DIR)"
    )
    group.add_argument(
        "--false-reject-rate",
        type=float,
        default=_DEFAULTS.false_reject_rate,
        metavar="RATE",
        help="good parts that may be rejected (default: %(default)s)",
    )
    group.add_argument(
        "--seed",
        type=int,
        default=_DEFAULTS.seed,
        metavar="N",
        help="of everything random (default: %(default)s)",
    )


def _add_model(group: "argparse._ArgumentGroup") -> None:
    """Add how parts are compared."""
    group.add_argument(
        "--method",
        choices=[*METHODS, IMPORTED],
        default=_DEFAULTS.method,
        help="how a patch is compared, or a network that scores by itself (default: %(default)s)",
    )
    group.add_argument(
        "--bank",
        type=int,
        default=_DEFAULTS.bank,
        metavar="N",
        help="patches of good parts to keep (default: %(default)s)",
    )
    group.add_argument(
        "--size",
        type=_sizes,
        default=_DEFAULTS.sizes,
        metavar="PIXELS[,PIXELS]",
        help="scale images to an area of PIXELS x PIXELS; several are compared together (default: 256)",
    )
    group.add_argument(
        "--backbone",
        default=_DEFAULTS.backbone,
        metavar="NAME",
        help=f"the pretrained network: {', '.join(BACKBONES)}, or an ONNX file (default: %(default)s)",
    )
    group.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=_DEFAULTS.precision,
        help="compute the backbone in int8 on a CPU: auto where scores on a sample agree with float32, int8 or fail (default: %(default)s)",
    )
    group.add_argument(
        "--taps",
        type=_taps,
        default=_DEFAULTS.taps,
        metavar="T,T[/T,T]",
        help="values of the backbone to compare, '/' between those of several sizes (default: the backbone's own, 7,10,14)",
    )
    group.add_argument(
        "--pooling",
        type=_pooling,
        default=_DEFAULTS.pooling,
        metavar="max|P",
        help="how the heat map becomes the score: its maximum, or its power mean of exponent P (default: %(default)g)",
    )
    group.add_argument(
        "--network",
        type=Path,
        metavar="FILE.onnx",
        help="that network: it maps one image, values 0 to 1, to a score or a map",
    )
    group.add_argument(
        "--output",
        default="",
        metavar="NAME",
        help="its output to use, where it has several that could be it",
    )
    group.add_argument(
        "--tune",
        action="store_true",
        help="choose size, taps and method by trials on synthetic defects, laid on the images of good parts",
    )
    group.add_argument(
        "--budget-ms",
        type=float,
        metavar="MS",
        help="time that scoring an image may take on this machine, for --tune (default: any)",
    )


def _add_frame(group: "argparse._ArgumentGroup") -> None:
    """Add what is looked at."""
    group.add_argument(
        "--roi",
        type=_roi,
        metavar="X,Y,W,H",
        help="look at this region alone, in pixels (default: the whole image)",
    )
    group.add_argument(
        "--mask",
        type=Path,
        metavar="FILE",
        help="ignore what is black in this picture of the images' size, or the polygons in this .json: [[[x, y], ...], ...]",
    )
    group.add_argument(
        "--scale",
        type=float,
        metavar="F",
        help="scale by F instead of to an area, 1 for every pixel (default with --tiles: 1)",
    )
    group.add_argument(
        "--tiles",
        type=_tiles,
        metavar="SIDE[,OVERLAP]",
        help="for fine defects in large images: look tile by tile; a defect up to OVERLAP is whole in one of them (512,64 suits most)",
    )
    group.add_argument(
        "--align",
        type=_align,
        metavar="PIXELS,DEGREES",
        help="turn and shift each part to the pose of the reference; one farther from it is rejected (FRAME_BAD)",
    )
    group.add_argument(
        "--reference",
        type=Path,
        metavar="FILE",
        help="the image whose pose --align takes (default: the most usual one)",
    )
    group.add_argument(
        "--bits",
        type=int,
        choices=range(8, 17),
        metavar="N",
        help="depth of images that are stored in 16 bits (default: what they use)",
    )


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected pixels as in 256 or 160,384, got {text!r}") from error


def _numbers(text: str, count: int, example: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
        if len(found) == count and all(map(math.isfinite, found)):
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
