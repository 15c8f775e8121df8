"""Shows an evaluation in a line engineer's words: one column for each pack, and what tells two packs apart."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inspector.model.console import show_table, show_warnings
from inspector.model.pack import Pack

# How the figures are shown, by their published names, in the order of the table.
_FIGURES = {
    "auroc": ("good and bad told apart (AUROC)", ".3f"),
    "false_reject_rate": ("good parts rejected", ".1%"),
    "recall": ("bad parts rejected", ".1%"),
    "recall_by_defect": ("- {}", ".1%"),
    "named_right": ("rejected known defects named right", ".1%"),
    "auroc_pixel": ("defects found in the picture (AUROC)", ".3f"),
    "aupro": ("the same by regions (AUPRO 30 %)", ".3f"),
    "stage_ms": ("{}", ".1f"),
    "engine_ms": ("ms from image to score", ".1f"),
}
_STAGES = {
    "read": "ms to read the file",
    "preprocess": "ms to scale and crop it",
    "graph": "ms to run the model",
}


def show(pack: Pack, against: Pack | None, result: Mapping[str, Any]) -> None:
    """Print the tables and warnings of what `evaluate` returned."""
    if against is None:
        show_table(f"Model pack {pack.path}", list(_column(pack, result).items()), ())
        _show_views("", result)
        _show_confusion("", result)
        show_warnings((*pack.manifest.warnings, *result["warnings"]))
        return
    other = result["against"]
    columns = [_column(pack, result), _column(against, other)]
    rows = [(label, *(column.get(label, "") for column in columns)) for label in labels(columns)]
    show_table("Two model packs", [("", f"this: {pack.path}", f"other: {against.path}"), *rows], ())
    show_table("Differences", list(_differences(other)), ())
    for which, model, figures in (("this", pack, result), ("other", against, other)):
        _show_views(f"{which}: ", figures)
        _show_confusion(f"{which}: ", figures)
        show_warnings([f"{which}: {text}" for text in (*model.manifest.warnings, *figures["warnings"])])


def labels(columns: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the labels of all columns in their common order: what only one has stands behind what it follows there."""
    found: list[str] = []
    for column in columns:
        place = 0
        for label in column:
            if label not in found[place:]:
                found.insert(place, label)
            place = found.index(label, place) + 1
    return found


def _column(pack: Pack, result: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of one pack by their labels, in order."""
    shown = {
        "images": f"{result['images']['good']} good, {result['images']['bad']} bad",
        "engine": result["engine"],
    }
    if "near_copies" in result:
        shown["near-copies of fitted images"] = "{good} good, {bad} bad".format(**result["near_copies"])
    for name in _FIGURES:
        if result.get(name) is not None:
            shown |= dict(_figure(name, result))
        if name == "false_reject_rate" and pack.manifest.held_out.interval is not None:
            shown["- as the pack foresaw"] = "{:.1%} to {:.1%}".format(*pack.manifest.held_out.interval)
    return shown


def _figure(name: str, result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the rows of one figure: one, or one for each defect or stage."""
    label, form = _FIGURES[name]
    value, interval = result[name], result.get(f"{name}_interval")
    if name == "engine_ms":
        yield label, _times(value, form)
    elif name == "stage_ms":
        for stage, times in value.items():
            yield label.format(_STAGES[stage]), _times(times, form)
    elif isinstance(value, dict):
        for key, share in value.items():
            yield label.format(key), _with_interval(share, interval and interval[key], form)
    else:
        total = result.get(f"{name}_of")
        counts = "" if total is None else f", {round(value * total)} of {total}"
        yield label, _with_interval(value, interval, form) + counts


def _times(times: Mapping[str, float], form: str) -> str:
    return f"{times['p50']:{form}} (p99 {times['p99']:{form}})"


def _with_interval(value: float, interval: Sequence[float] | None, form: str) -> str:
    if interval is None:
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


def _show_views(which: str, result: Mapping[str, Any]) -> None:
    if "by_view" in result:
        rows = list(_views(result["by_view"]))
        show_table(f"{which}what each view rejects by itself, and how many parts it decided", rows, ())


def _views(figures: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    yield ("", "AUROC", "good rejected", "bad rejected", "decided")
    for name, view in figures.items():
        decided = "{good} good, {bad} bad".format(**view["decided"])
        yield (
            name,
            f"{view['auroc']:.3f}",
            f"{view['false_reject_rate']:.1%}",
            f"{view['recall']:.1%}",
            decided,
        )


def _show_confusion(which: str, result: Mapping[str, Any]) -> None:
    if "confusion" in result:
        rows = list(_confusion(result["confusion"]))
        show_table(f"{which}rejected bad parts by the name they were given", rows, ())


def _confusion(counts: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[str, ...]]:
    names = list(next(iter(counts.values()), {}))
    yield ("", *names)
    for truth, row in counts.items():
        yield (truth, *(str(row[name]) for name in names))
