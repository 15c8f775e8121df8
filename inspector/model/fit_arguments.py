"""The arguments of `inspector fit`, and the options that they make."""

import argparse
import math
from pathlib import Path
from typing import Any

from inspector.errors import ModelError
from inspector.model import fit_values
from inspector.model.options import (
    BACKBONES,
    IMPORTED,
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
    _add_networks(fit.add_argument_group("networks"))
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
        views=tuple(args.view),
    )


def grow_options(args: argparse.Namespace) -> tuple[Path, Path, dict[str, Any]]:
    """Return the pack that grows, the pack to write, and what else may be chosen for --add. Raises ModelError."""
    if args.pack is None or args.out is None:
        raise ModelError("expected --pack OLD and --out NEW beside --add, one is missing; name both packs")
    chosen = options_of(args)
    free = {name: getattr(chosen, name) for name in ("bank", "false_reject_rate", "backbone")}
    if rest := _beside(args, {"add", "pack", "out", *free}):
        raise ModelError(
            f"expected no more than --bank, --false-reject-rate and --backbone beside --add, got {', '.join(rest)}; "
            f"leave {'it' if len(rest) == 1 else 'them'} out: all else stays as the pack has it"
        )
    # What is not chosen is the old pack's.
    wanted = {name: None if value == getattr(_DEFAULTS, name) else value for name, value in free.items()}
    return args.pack, args.out, wanted


def _beside(args: argparse.Namespace, free: set[str]) -> list[str]:
    """Return the options that were given a value other than their default, but for those that are free."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    usual = vars(parser.parse_args(["--add", "."]))
    return [
        f"--{name.replace('_', '-')}"
        for name, value in usual.items()
        if name not in free and getattr(args, name) != value
    ]


def tune_within_ms(args: argparse.Namespace) -> float | None:
    """Return the budget of tuning, infinite for none; None without tuning. Raises ModelError for a budget alone."""
    if args.tune:
        return math.inf if args.budget_ms is None else float(args.budget_ms)
    if args.budget_ms is not None:
        raise ModelError("expected --tune beside --budget-ms, it is not there; only tuning keeps a budget")
    return None


def _add_images(group: "argparse._ArgumentGroup") -> None:
    """Add what it is fitted on, and where to."""
    shown = group.add_mutually_exclusive_group(required=True)
    _add_folder(shown, "--good", "images of good parts, best one sub-folder for each batch")
    _add_folder(
        shown,
        "--add",
        "more images of good parts, for a pack that there is; the images it was fitted on are not needed",
    )
    group.add_argument(
        "--pack", type=Path, metavar="PACK", help="the pack whose bank grows by --add; it stays as it is"
    )
    _add_folder(
        group,
        "--defects",
        "images of known defects, a sub-folder for each kind, named after it (without any all are one kind); 3 of each at least, "
        "10 are good; the threshold still comes from good parts",
    )
    _add_folder(
        group,
        "--defect-masks",
        "where they are: NAME_mask.png or NAME.png, white on black, in the places of --defects (they do without)",
    )
    group.add_argument(
        "--out",
        type=Path,
        metavar="PACK",
        help="the pack to write (default: models/NAME, named after --good)",
    )
    _add_number(
        group, "--false-reject-rate", _DEFAULTS.false_reject_rate, "RATE", "good parts that may be rejected"
    )
    _add_number(group, "--seed", _DEFAULTS.seed, "N", "of everything random")


def _add_folder(group: "argparse._ActionsContainer", name: str, told: str) -> None:
    group.add_argument(name, type=Path, metavar="DIR", help=told)


def _add_number(group: "argparse._ArgumentGroup", name: str, default: float, metavar: str, told: str) -> None:
    """Add a number of the default's type."""
    group.add_argument(
        name, type=type(default), default=default, metavar=metavar, help=f"{told} (default: %(default)s)"
    )


def _add_model(group: "argparse._ArgumentGroup") -> None:
    """Add how parts are compared."""
    group.add_argument(
        "--method",
        choices=[*METHODS, IMPORTED],
        default=_DEFAULTS.method,
        help="how a patch is compared, or a network that scores by itself (default: %(default)s)",
    )
    _add_number(group, "--bank", _DEFAULTS.bank, "N", "patches of good parts to keep")
    group.add_argument(
        "--size",
        type=fit_values.sizes,
        default=_DEFAULTS.sizes,
        metavar="PIXELS[,PIXELS]",
        help="scale images, or each --view of them, to an area of PIXELS x PIXELS; several are compared together (default: 256)",
    )
    group.add_argument(
        "--pooling",
        type=fit_values.pooling,
        default=_DEFAULTS.pooling,
        metavar="max|P",
        help="how the heat map becomes the score: its maximum, or its power mean of exponent P (default: %(default)g)",
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


def _add_networks(group: "argparse._ArgumentGroup") -> None:
    """Add the network whose values are compared, and the one that scores by itself."""
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
        type=fit_values.taps,
        default=_DEFAULTS.taps,
        metavar="T,T[/T,T]",
        help="values of the backbone to compare, '/' between those of several sizes (default: the backbone's own, 7,10,14)",
    )
    group.add_argument(
        "--network",
        type=Path,
        metavar="FILE.onnx",
        help=f"for --method {IMPORTED}: it maps one image, values 0 to 1, to a score or a map",
    )
    group.add_argument(
        "--output",
        default="",
        metavar="NAME",
        help="its output to use, where it has several that could be it",
    )


def _add_frame(group: "argparse._ArgumentGroup") -> None:
    """Add what is looked at."""
    group.add_argument(
        "--roi",
        type=fit_values.roi,
        metavar="X,Y,W,H",
        help="look at this region alone, in pixels (default: the whole image)",
    )
    group.add_argument(
        "--view",
        "--views",
        type=fit_values.view,
        action="extend",
        nargs="+",
        default=[],
        metavar="NAME=X,Y,W,H",
        help="for a part with several places unlike each other, a region for each: every one is scaled to the area of --size, has its own "
        f"bank and limit, and all are scored in one go; not with --roi, --tiles, --tune, --defects, --method {IMPORTED} or "
        "--precision auto and int8, and such a pack does not grow by --add",
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
        type=fit_values.tiles,
        metavar="SIDE[,OVERLAP]",
        help="for fine defects in large images: look tile by tile; a defect up to OVERLAP is whole in one of them (512,64 suits most)",
    )
    group.add_argument(
        "--align",
        type=fit_values.align,
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
