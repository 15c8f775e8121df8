"""The command `inspector evaluate`: a pack and labelled images in, table and JSON out."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inspector.model.console import add_json, check_json, progress_bars, show_table, show_warnings, write_json

if TYPE_CHECKING:
    from inspector.model.pack import Pack

# How the figures of an evaluation are shown, by their published names: in a line engineer's words.
_FIGURES = {
    "auroc": ("good and bad told apart (AUROC)", ".3f"),
    "false_reject_rate": ("good parts rejected", ".1%"),
    "recall": ("bad parts rejected", ".1%"),
    "recall_by_defect": ("- {}", ".1%"),
    "auroc_pixel": ("defects found in the picture (AUROC)", ".3f"),
    "aupro": ("the same by regions (AUPRO 30 %)", ".3f"),
    "named_right": ("rejected ones named right", ".1%"),
    "stage_ms": ("ms to {}", ".1f"),
    "engine_ms": ("ms of both", ".1f"),
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
    from inspector.model.pack import load_pack

    check_json(args.json)
    pack = load_pack(args.pack)
    against = None if args.against is None else load_pack(args.against)
    with progress_bars() as progress:
        result = evaluate(
            pack, args.good, args.bad, args.masks, against=against, engine=args.engine, progress=progress
        )
    _show(pack, against, result)
    write_json(args.json, result)
    return 0


def _show(pack: "Pack", against: "Pack | None", result: Mapping[str, Any]) -> None:
    columns = [_column(pack, result)]
    title = f"Model pack {pack.path}"
    if against is not None:
        columns.append(_column(against, result["against"]))
        title += f", against {against.path}"
    labels = list(dict.fromkeys(label for column in columns for label in column))
    rows = [(label, *(column.get(label, "") for column in columns)) for label in labels]
    show_table(title, rows, ())
    if against is not None:
        show_table("Differences", list(_differences(result["against"])), ())
    if "confusion" in result:
        show_table(
            "Rejected bad parts by the name they were given", list(_confusion(result["confusion"])), ()
        )
    show_warnings((*pack.manifest.warnings, *result["warnings"]))


def _column(pack: "Pack", result: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of one pack by their labels."""
    shown = {
        "images": f"{result['images']['good']} good, {result['images']['bad']} bad",
        "engine": result["engine"],
    }
    for name, (label, form) in _FIGURES.items():
        value = result.get(name)
        if value is None:
            continue
        interval = result.get(f"{name}_interval", {})
        if name.endswith("_ms"):
            stages = value if name == "stage_ms" else {"": value}
            for stage, times in stages.items():
                shown[label.format(stage)] = f"{times['p50']:{form}} (p99 {times['p99']:{form}})"
        elif isinstance(value, dict):
            for key, share in value.items():
                shown[label.format(key)] = _with_interval(share, interval[key], form)
        else:
            shown[label] = _with_interval(value, interval, form)
    held_out = pack.manifest.held_out
    if held_out.interval is not None:
        shown["- as the pack foresaw"] = "{:.1%} to {:.1%}".format(*held_out.interval)
    if "near_copies" in result:
        shown["near-copies of fitted images"] = "{good} good, {bad} bad".format(**result["near_copies"])
    return shown


def _with_interval(value: float, interval: Sequence[float], form: str) -> str:
    if not interval:
        return format(value, form)
    low, high = interval
    return f"{value:{form}} ({low:{form}} to {high:{form}})"


def _differences(against: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    low, high = against["auroc_difference_interval"]
    yield (
        "AUROC, this - other",
        f"{against['auroc_difference']:+.4f} ({low:+.4f} to {high:+.4f}), p = {against['auroc_difference_p']:.2g} (DeLong)",
    )
    for name, label in (("false_rejects", "good parts rejected"), ("recalled", "bad parts rejected")):
        counts = against[name]
        yield (
            label,
            f"{counts['only_this']} by this only, {counts['only_other']} by the other only, p = {counts['p']:.2g} (McNemar)",
        )


def _confusion(counts: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[str, ...]]:
    names = list(next(iter(counts.values()), {}))
    yield ("", *names)
    for truth, row in counts.items():
        yield (truth, *(str(row[name]) for name in names))
