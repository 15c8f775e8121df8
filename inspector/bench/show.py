"""The page of `inspector bench`, for people, and its rows, for scripts."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from inspector.bench.machine import Machine, in_words
from inspector.bench.measuring import Page
from inspector.bench.quantiles import Quantiles, samples_needed
from inspector.bench.reckoning import STAGES, advice
from inspector.bench.stalls import stalled_ms


def show(page: Page, machine: Machine, *, fifo_priority: int) -> None:
    """Print the page."""
    console = Console(highlight=False)
    console.print(_stages(page))
    for line in _verdict(page):
        console.print(Text(line))
    if page.largest.side is not None or page.largest.bank is not None or page.tried:
        console.print(_largest(page))
    facts = machine.facts()
    for line in (*_stalls(page, machine), *in_words(facts).splitlines()):
        console.print(Text(line))
    said = advice(page.budget, page.found, page.largest, facts, fifo_priority=fifo_priority)
    if said:
        console.print(
            Text(
                "What would help:" if not page.found.fits(page.budget) else "To make it surer:", style="bold"
            )
        )
    for line in said:
        console.print(Text(f"- {line}"))
    for note in page.notes:
        console.print(Text.assemble(("note:", "yellow"), f" {note}"))


def summary_of(page: Page) -> dict[str, object]:
    """Return what the page says in single figures."""
    budget, found = page.budget, page.found
    needed_ms = budget.needed_ms(*found.needed)
    return {
        "station": page.station,
        "pack": str(page.pack.path),
        "engine": page.engine,
        "frame": f"{page.frame.width}x{page.frame.height} {page.frame.form.name}",
        **asdict(budget),
        "needed_ms": round(needed_ms, 3),
        "spare_ms": round(budget.left_ms - needed_ms, 3),
        "parts_per_second": round(found.parts_per_second, 1),
        "largest_side": page.largest.side,
        "largest_bank": page.largest.bank,
        "all_tried": not page.largest.cut,
        "notes": page.notes,
    }


def rows_of(page: Page) -> list[dict[str, object]]:
    """Return flat rows: each stage, then each image and bank that was tried."""
    rows: list[dict[str, object]] = [
        {"kind": "stage", "stage": name, **values.fields()} for name, values in page.found.stages.items()
    ]
    rows.append({"kind": "stage", "stage": "all", **page.found.whole.fields()})
    if page.found.answer is not None:
        rows.append({"kind": "plc", "stage": "answer", **page.found.answer.fields()})
    for kind, timed, needed_ms in page.tried:
        fits = needed_ms <= page.budget.left_ms
        rows.append(
            {
                "kind": kind,
                **asdict(timed),
                "engine_ms": round(timed.times * page.found.engine_ms, 3),
                "needed_ms": round(needed_ms, 3),
                "fits": fits,
            }
        )
    return rows


def _stages(page: Page) -> Table:
    frame, found = page.frame, page.found
    title = f"What a part costs on this PC, ms ({page.station}, {frame.width}x{frame.height} {frame.form.name}, {page.pack.path.name})"
    caption = f"p99: 99 of 100 parts take at most so long; {found.whole.samples:,} parts"
    missing = [
        (name, share)
        for name, share in (("p99", 0.99), ("p99.9", 0.999))
        if found.whole.samples < samples_needed(share)
    ]
    for name, share in missing:
        caption += f", {name} takes {samples_needed(share):,}"
    if missing:
        caption += " (--seconds)"
    table = Table(title=Text(title), title_justify="left", caption=caption, caption_justify="left")
    table.add_column("stage")
    rows = [
        (f"{STAGES[name]} ({page.engine})" if name == "scored" else STAGES[name], values)
        for name, values in found.stages.items()
    ]
    sections = [rows, [("from the frame to the verdict", found.whole)]]
    if found.answer is not None:
        sections.append([("answer of the real PLC (read)", found.answer)])
    add_times(table, sections)
    return table


def add_times(table: Table, sections: Sequence[Sequence[tuple[str, Quantiles]]]) -> None:
    """Add a column for each quantile, p99.9 only where one is known, and a row for each label."""
    columns = {"p50": "p50", "p99": "p99", "p99.9": "p999", "worst": "worst"}
    if all(values.p999 is None for rows in sections for _, values in rows):
        del columns["p99.9"]
    for name in columns:
        table.add_column(name, justify="right")
    for rows in sections:
        for label, values in rows:
            times = (getattr(values, field) for field in columns.values())
            table.add_row(label, *("-" if value is None else f"{value:.2f}" for value in times))
        table.add_section()


def _verdict(page: Page) -> Iterator[str]:
    budget, found = page.budget, page.found
    until_ms, write_ms = found.needed
    needed_ms = budget.needed_ms(until_ms, write_ms)
    spare_ms = budget.left_ms - needed_ms
    yield f"budget         {budget.budget_ms:7.1f} ms  from trigger to verdict (station.budget_ms)"
    yield f"camera         {-budget.camera_ms:7.1f} ms  not measured: " + (
        "camera.latency_ms.max"
        if budget.camera_is_stated
        else "half of it, as camera.latency_ms.max is not stated"
    )
    yield f"kept free      {-budget.budget_ms * budget.margin:7.1f} ms  {budget.margin:.0%} of the budget (--margin)"
    of = "p99 of" if found.whole.p99 is not None else "the worst of"
    yield f"until the score{-until_ms:7.1f} ms  {of} the first three stages"
    yield f"for the write  {-max(write_ms, budget.write_margin_ms):7.1f} ms  " + (
        (f"{of} the other two" if page.found.answer is None else "p99 by the real PLC's answers")
        if write_ms > budget.write_margin_ms
        else "kept for it: plc.write_margin_ms"
    )
    yield f"left           {spare_ms:7.1f} ms  " + ("IT FITS" if spare_ms >= 0 else "IT DOES NOT FIT")
    yield f"It keeps up with {found.parts_per_second:.0f} parts a second at most."


def _largest(page: Page) -> Table:
    table = Table(title="The largest that fits (graphs made and timed here)", title_justify="left")
    for name in ("", "now", "fits", "engine ms", "part ms"):
        table.add_column(name, justify="left" if not name else "right")
    own, bank = page.largest.own_side, page.largest.own_bank
    for kind, label, now, value in (
        ("image", f"image (--size) with a bank of {bank:,}", own, page.largest.side),
        ("bank", f"bank (--bank) with images of {own}", bank, page.largest.bank),
    ):
        tried = {
            (timed.side if kind == "image" else timed.bank): (timed, needed_ms)
            for of, timed, needed_ms in page.tried
            if of in {kind, "own"}
        }
        cut = kind in page.largest.cut
        if value is None or value not in tried:
            table.add_row(label, f"{now:,}", "not found" if cut else "none", "", "")
            continue
        timed, needed_ms = tried[value]
        engine_ms = timed.times * page.found.engine_ms
        table.add_row(
            label, f"{now:,}", f"{value:,}{' or more' if cut else ''}", f"{engine_ms:.1f}", f"{needed_ms:.1f}"
        )
    return table


def _stalls(page: Page, machine: Machine) -> Iterator[str]:
    stalls = machine.stalls
    met = [stalled_ms(stalls, part.t_arrival_ns, part.t_written_ns) for part in page.parts]
    if any(met):
        yield met_stalls([sum(part.stages_ms) for part in page.parts], met)


def met_stalls(times_ms: Sequence[float], met_ms: Sequence[float]) -> str:
    """Say how many parts met a stall, and how long the worst took without these, where that is less."""
    said = f"{sum(map(bool, met_ms))} of {len(met_ms)} parts met a stall of the machine, of up to {max(met_ms):.1f} ms"
    calm = [ms for ms, met in zip(times_ms, met_ms, strict=True) if not met]
    if calm and max(calm) < max(times_ms):
        said += f"; without these the worst took {max(calm):.1f} ms"
    return said
