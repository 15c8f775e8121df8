"""The command `inspector fit`: arguments in, pack, table and JSON out."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from inspector.errors import ModelError
from inspector.model.console import add_json, check_json, progress_bars, show_table, tell, write_json
from inspector.model.fit_arguments import add_arguments, grow_options, options_of, tune_within_ms
from inspector.model.options import INT8
from inspector.model.tune_table import show_tuning
from inspector.model.wording import banks, counted

if TYPE_CHECKING:
    from inspector.model.fit import FitResult
    from inspector.model.manifest import HeldOut, KnownDefects, LearningPoint, PrecisionEntry, ViewEntry


def add(fit: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_arguments(fit)
    add_json(fit)
    fit.set_defaults(run=run_fit)


def run_fit(args: argparse.Namespace) -> int:
    """Fit, or let a bank grow, show what came of it, and what the threshold is worth."""
    check_json(args.json)
    result = _fitted(args) if args.add is None else _grown(args)
    if result.tuning is not None:
        show_tuning(result.tuning)
    _show_fit(result)
    write_json(args.json, result.as_json())
    return 0


def _fitted(args: argparse.Namespace) -> "FitResult":
    from inspector.model.checkpoint import unfinished
    from inspector.model.fit import fit, stages

    if args.pack is not None:
        raise ModelError(
            f"expected --add DIR beside --pack {args.pack}, there is --good; --out names a new pack"
        )
    options, within_ms = options_of(args), tune_within_ms(args)
    out = args.out or Path("models") / args.good.resolve().name
    plan = stages(options.method, defects=args.defects is not None)
    try:
        with progress_bars(plan) as progress:
            return fit(
                args.good,
                out,
                options,
                progress,
                defects=args.defects,
                defect_masks=args.defect_masks,
                tune_within_ms=within_ms,
                tell=tell,
            )
    except KeyboardInterrupt:
        if unfinished(out).exists():
            tell(f"{unfinished(out)} has what is done so far: the same command goes on from there")
        raise


def _grown(args: argparse.Namespace) -> "FitResult":
    from inspector.model.grow import STAGES, grow

    old, out, wanted = grow_options(args)
    with progress_bars(STAGES) as progress:
        return grow(args.add, old, out, progress, **wanted)


def _show_fit(result: "FitResult") -> None:
    manifest = result.pack.manifest
    show_table(
        f"Model pack {result.pack.path}",
        [
            ("good images", f"{result.images}, {_batches(manifest.held_out)}"),
            (
                "input",
                f"{manifest.input.width} pixels wide, {manifest.input.height} high, {_COLOUR[manifest.input.channels]}",
            ),
            *((f"view {view.name}", _view(view)) for view in manifest.views),
            *_backbone(manifest.precision),
            ("method", f"{result.method}, keeps {banks(result.bank, len(manifest.views))}"),
            ("threshold", f"{result.threshold:.4f}, for {manifest.false_reject_rate:.2%} false rejects"),
            ("held-out images", f"{manifest.held_out.false_reject_rate:.2%} above it"),
            ("next batch", _outlook(manifest.held_out)),
            *_curve(manifest.held_out).items(),
            *_known(manifest.defects),
            ("took", f"{result.seconds:.1f} s, at most {result.peak_rss_mb:.0f} MB"),
        ],
        result.warnings,
    )


def _backbone(precision: "PrecisionEntry | None") -> "Iterator[tuple[str, str]]":
    """Yield what the backbone is computed in, why, and what follows for a GPU."""
    if precision is not None:
        stays = "; the pack stays on the CPU, a GPU wants --precision float32" * (precision.taken == INT8)
        yield "backbone", f"{precision.taken}, because {precision.why}{stays}"


def _view(view: "ViewEntry") -> str:
    x, y, width, height = view.roi
    rejected = f"{view.false_reject_rate:.2%} of the held-out images above it"
    return f"{width} x {height} pixels at {x}, {y}; a limit of its own, {view.limit:.4f}, {rejected}"


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


_REAL = frozenset({"folders", "times"})  # where batches come from that are more than likeness
_COLOUR = {1: "grey", 3: "colour"}
_BATCHES_BY = {
    "folders": "{} batches (sub-folders)",
    "times": "{} batches (pauses in recording)",
    "likeness": "1 batch, {} families (images as alike as copies)",
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


def _curve(held_out: "HeldOut") -> dict[str, str]:
    """Return the rows of the learning curve; of two parts that came out as large, one."""
    return dict(_learnt(point, held_out) for point in _others(held_out))


def _others(held_out: "HeldOut") -> "list[LearningPoint]":
    """Return the points of the learning curve that say something beside the one that holds.

    What more images would bring is known only of batches that people or time set apart: of one, more of the same would be foreseen.
    """
    known = held_out.by in _REAL
    return [
        point
        for point in held_out.learning
        if (known and point.highest_rate is not None if point.foreseen else point.images != held_out.images)
    ]


def _learnt(point: "LearningPoint", held_out: "HeldOut") -> tuple[str, str]:
    low, high = point.threshold
    threshold = f"threshold {low:.3f}" if low == high else f"threshold {low:.3f} to {high:.3f}"
    rate = "" if point.highest_rate is None else f", up to {point.highest_rate:.1%} of a next batch rejected"
    batches = f" in {counted(point.batches, 'batch', 'batches')}" if held_out.by in _REAL else ""
    # A part of the images may lie in as many batches as all of them: a row must not read as if it counted what there is.
    beginning, foreseen = ("with", " (foreseen)") if point.foreseen else ("with only", "")
    return f"{beginning} {counted(point.images, 'image')}{batches}", f"{threshold}{rate}{foreseen}"
