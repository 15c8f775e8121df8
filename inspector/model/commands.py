"""The commands `inspector fit` and `inspector evaluate`: arguments in, tables and JSON out."""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from inspector.errors import ModelError
from inspector.model.options import METHOD, FitOptions

if TYPE_CHECKING:
    from inspector.model.fit import FitResult
    from inspector.model.pack import Pack
    from inspector.model.progress import Progress

# How the figures of an evaluation are shown, by their published names: in a line engineer's words.
_FIGURES = {
    "auroc": ("good and bad told apart (AUROC)", ".4f"),
    "false_reject_rate": ("good parts rejected", ".2%"),
    "recall": ("bad parts rejected", ".2%"),
    "recall_by_defect": ("bad parts rejected:", ".2%"),
    "engine_ms": ("engine, ms", ".1f"),
    "auroc_pixel": ("defects found in the picture (AUROC)", ".4f"),
}


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add both commands; each sets `run`, a function of the parsed arguments that returns the exit status."""
    _add_fit(subparsers.add_parser("fit", help="fit a model on good parts and write a model pack"))
    _add_evaluate(subparsers.add_parser("evaluate", help="measure a model pack on labelled images"))


def _add_fit(fit: argparse.ArgumentParser) -> None:
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
        choices=[METHOD],
        default=METHOD,
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
        type=int,
        default=defaults.pixels,
        metavar="PIXELS",
        help="scale images to an area of PIXELS x PIXELS (default: %(default)s)",
    )
    fit.add_argument(
        "--taps",
        type=_taps,
        default=defaults.taps,
        metavar="B,B,B",
        help="blocks of the backbone to read features from (default: 4,7,10)",
    )
    fit.add_argument(
        "--seed",
        type=int,
        default=defaults.seed,
        metavar="N",
        help="of everything random (default: %(default)s)",
    )
    _add_json(fit)
    fit.set_defaults(run=run_fit)


def _add_evaluate(evaluate: argparse.ArgumentParser) -> None:
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
    _add_json(evaluate)
    evaluate.set_defaults(run=run_evaluate)


def run_fit(args: argparse.Namespace) -> int:
    """Fit, show what came of it, and what the threshold is worth."""
    from inspector.model.fit import fit

    options = FitOptions(args.false_reject_rate, args.bank, args.size, args.taps, args.seed)
    out = args.out or Path("models") / args.good.resolve().name
    with _progress() as progress:
        result = fit(args.good, out, options, progress)
    _show_fit(result)
    _write_json(args.json, result.as_json())
    return 0


def run_evaluate(args: argparse.Namespace) -> int:
    """Measure and show."""
    from inspector.model.evaluate import evaluate
    from inspector.model.pack import load_pack

    pack = load_pack(args.pack)
    with _progress() as progress:
        result = evaluate(pack, args.good, args.bad, args.masks, engine=args.engine, progress=progress)
    _show_evaluation(pack, result)
    _write_json(args.json, result)
    return 0


def _taps(text: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected numbers of blocks as in 4,7,10, got {text!r}") from error


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as one JSON object")


def _write_json(path: Path | None, result: dict[str, object]) -> None:
    if path is None:
        return
    try:
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ModelError(
            f"{path}: the figures cannot be written, {error.strerror}; choose another --json"
        ) from error


@contextmanager
def _progress() -> "Iterator[Progress]":
    """Yield a reporter that draws one bar for each stage on stderr, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:16}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done)

        yield report


def _show_fit(result: "FitResult") -> None:
    manifest = result.pack.manifest
    low, high = manifest.held_out.interval
    _show_table(
        f"Model pack {result.pack.path}",
        [
            ("good images", f"{result.images}, batches: {manifest.held_out.batches}"),
            (
                "input",
                f"{manifest.geometry.width} x {manifest.geometry.height}, {manifest.geometry.channels} channel(s)",
            ),
            ("bank", f"{result.bank} patches"),
            ("threshold", f"{result.threshold:.4f}"),
            (
                "false rejects",
                f"{manifest.held_out.false_reject_rate:.2%} of held-out images (95 %: {low:.2%} to {high:.2%})",
            ),
            ("took", f"{result.seconds:.1f} s, at most {result.peak_rss_mb:.0f} MB"),
        ],
        result.warnings,
    )


def _show_evaluation(pack: "Pack", result: dict[str, object]) -> None:
    rows = []
    for name, value in result.items():
        label, form = _FIGURES.get(name, (name, ""))
        if isinstance(value, dict):
            rows += [(f"{label} {key}", format(entry, form)) for key, entry in value.items()]
        else:
            rows.append((label, format(value, form)))
    _show_table(f"Model pack {pack.path}", rows, pack.manifest.warnings)


def _show_table(title: str, rows: list[tuple[str, str]], warnings: tuple[str, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title=title, title_justify="left", show_header=False)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    for warning in warnings:
        console.print(f"[yellow]warning:[/yellow] {warning}", highlight=False)
