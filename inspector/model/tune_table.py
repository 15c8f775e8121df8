"""What tuning tried, as a table for people."""

from typing import TYPE_CHECKING

from inspector.model.options import FitOptions, pooling_name

if TYPE_CHECKING:
    from inspector.model.trials import Trial
    from inspector.model.tune import Tuning

_LEAST_WIDTH = 130  # columns


def show_tuning(tuning: "Tuning") -> None:
    """Print a row for each trial: time per image, and how well each kind of synthetic defect was told from good parts (AUROC)."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    from inspector.model.synthetic import KINDS

    title = "Tried on synthetic defects: time per image, good and bad told apart (AUROC)"
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("model", no_wrap=True)
    for name in ("ms", "mean", *KINDS):
        table.add_column(name, justify="right", no_wrap=True)
    for trial in tuning.trials:
        table.add_row(*_cells(trial), style="bold green" if trial is tuning.chosen else None)
    # Wider than a narrow terminal or a file's 80 columns, where each figure would be cut.
    Console(width=max(_LEAST_WIDTH, Console().width)).print(table)


def described(candidate: FitOptions) -> str:
    """Return a candidate in a word or two: sizes, taps, and what is not plain."""
    sizes = "+".join(map(str, candidate.sizes))
    taps = " / ".join(",".join(names) for names in dict.fromkeys(candidate.taps))
    plain = FitOptions()
    others = [candidate.method] * (candidate.method != plain.method)
    others += [f"pooling {pooling_name(candidate.pooling)}"] * (candidate.pooling != plain.pooling)
    return " ".join([sizes, f"({taps})", *others])


def _cells(trial: "Trial") -> list[str]:
    start = [described(trial.candidate), f"{trial.milliseconds:.1f}"]
    if trial.outcome is None:
        return [*start, "too slow"]
    return [
        *start,
        f"{trial.outcome.worth:.3f}",
        *(f"{value:.2f}" for value in trial.outcome.by_kind.values()),
    ]
