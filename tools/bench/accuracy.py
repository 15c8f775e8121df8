"""The benchmark `tools/bench/accuracy`: AUROC on real photographs, of every method and scale, of the default, and of what tuning chooses.

Sets: magnetic tiles (Huang, Qiu and Yuan 2020; a folder with train/good, test/good and test/DEFECT, whose split is taken as it is) and
the solar cells of elpv-dataset, mono and poly (random splits, 70 % of the good ones to fit, one split for each seed). Bad images are never fitted on.
"""

import argparse
import importlib.util
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from inspector.clock import NS_PER_MS, SystemClock
from inspector.errors import ImagesError, InspectorError
from inspector.model.batches import find_batches
from inspector.model.collect import collect
from inspector.model.detector import fit_detector
from inspector.model.folds import choose_folds
from inspector.model.framing import plan
from inspector.model.graph import fused_graph
from inspector.model.images import batch_of, list_images, read_frame, survey
from inspector.model.methods.base import method_named
from inspector.model.options import METHODS, FitOptions, pooling_name
from inspector.model.patches import spec_for
from inspector.model.progress import uncounted
from inspector.model.scoring import compiled
from inspector.model.tune import tune
from tools.bench.machine import Machine, add_json, in_words, write_rows

SIZES = (96, 160, 256, 384)
TAPS = (("4", "7", "10"), ("7", "10", "14"))
_FIT_SHARE = 0.7
_QUICK = 60  # images of each kind


@dataclass(frozen=True, slots=True)
class Split:
    """What is fitted on, below the folder `root`, and what is told apart."""

    name: str
    seed: int
    root: Path
    fit: list[Path]
    good: list[Path]
    bad: list[Path]


@dataclass(frozen=True, slots=True)
class Measured:
    """Scores of the good and the bad images, and the median time of one image, in ms."""

    good: NDArray[np.float64]
    bad: NDArray[np.float64]
    milliseconds: float


def tiles(folder: Path, seeds: Sequence[int]) -> Iterator[Split]:
    """Yield the magnetic tiles, once for each seed: the split is always the same, banks are not."""
    fit, good = list_images(folder / "train" / "good"), list_images(folder / "test" / "good")
    bad = [path for path in list_images(folder / "test") if batch_of(path, folder / "test") != "good"]
    for seed in seeds:
        yield Split("magnetic tiles", seed, folder / "train" / "good", fit, good, bad)


def solar(kind: str, seeds: Sequence[int]) -> Iterator[Split]:
    """Yield random splits of the solar cells of one kind, mono or poly; cells whose label is between 0 and 1 are left out."""
    found = importlib.util.find_spec("elpv_dataset")  # not imported: its reader wants more packages
    if found is None or found.origin is None:
        raise ImagesError("expected the package elpv-dataset; run `sh tools/setup demo` first")
    data = Path(found.origin).parent / "data"
    cells: dict[str, list[Path]] = {"0.0": [], "1.0": []}
    for line in (data / "labels.csv").read_text().splitlines():
        name, probability, of_kind = line.split()
        if of_kind == kind and probability in cells:
            cells[probability].append(data / name)
    good, bad = cells["0.0"], cells["1.0"]
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(len(good))
        size = round(_FIT_SHARE * len(good))
        fit = [good[int(index)] for index in np.sort(order[:size])]
        rest = [good[int(index)] for index in np.sort(order[size:])]
        yield Split(f"solar {kind}", seed, data, fit, rest, bad)


def measure(split: Split, options: FitOptions) -> Measured:
    """Fit on the split's good images and score the others."""
    found = survey(split.fit)
    spec = spec_for(options, plan(options.frame, found, split.fit, options.sizes))
    method = method_named(options.method, bank=options.bank, seed=options.seed)
    collected = collect(
        spec,
        split.fit,
        np.zeros(len(split.fit), np.int64),
        seed=options.seed,
        positions=method.positions,
        advance=uncounted,
    )
    graph = fused_graph(spec, fit_detector(spec, method, collected.without(None), uncounted))
    clock, took, scores = SystemClock(), [], []
    with compiled(graph, replace(spec.geometry, aspect=None)) as engine:
        for path in (*split.good, *split.bad):
            image = read_frame(path, spec.channels)
            started_ns = clock.now_ns()
            scores.append(engine.score(image).value)
            took.append((clock.now_ns() - started_ns) / NS_PER_MS)
    values = np.array(scores)
    return Measured(values[: len(split.good)], values[len(split.good) :], float(np.median(took)))


def auroc_with_error(good: NDArray[np.float64], bad: NDArray[np.float64]) -> tuple[float, float]:
    """Return the AUROC and its standard error (DeLong, DeLong and Clarke-Pearson, Biometrics 1988)."""
    of_bad = _share_below(np.sort(good), bad)
    of_good = 1 - _share_below(np.sort(bad), good)
    error = math.sqrt(of_bad.var(ddof=1) / len(bad) + of_good.var(ddof=1) / len(good))
    return float(of_bad.mean()), error


def _share_below(ordered: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each of `values` the share of the others that it is above, ties half."""
    ranks = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    shares: NDArray[np.float64] = ranks / (2 * len(ordered))
    return shares


def candidates(*, quick: bool) -> Iterator[tuple[str, FitOptions]]:
    """Yield what is measured: the default, then every size and depth by `nearest`, then every other method at two sizes."""
    yield "default", FitOptions()
    plain = FitOptions(method="nearest", pooling=math.inf)
    for size in SIZES[:2] if quick else SIZES:
        for taps in TAPS:
            yield "fixed", replace(plain, sizes=(size,), taps=(taps,))
    for method in METHODS:
        if method != "nearest":
            for size in (160,) if quick else (160, 256):
                yield "fixed", replace(plain, method=method, sizes=(size,), taps=(TAPS[1],))


def rows_of(split: Split, *, quick: bool, tuned: bool) -> Iterator[dict[str, object]]:
    """Yield one flat row for each candidate, and for what tuning chooses from the good images alone."""
    for what, options in candidates(quick=quick):
        yield row_of(split, what, replace(options, seed=split.seed))
    if tuned:
        yield row_of(split, "tuned", chosen_for(split))


def chosen_for(split: Split) -> FitOptions:
    """Return what tuning chooses from the split's good images."""
    found = survey(split.fit)
    batches = find_batches(split.fit, split.root, found.thumbnails)
    folds = choose_folds(batches, np.random.default_rng(split.seed))
    return tune(split.fit, folds, FitOptions(seed=split.seed), found).chosen.candidate


def row_of(split: Split, what: str, options: FitOptions) -> dict[str, object]:
    """Measure one candidate."""
    measured = measure(split, options)
    auroc, error = auroc_with_error(measured.good, measured.bad)
    return {
        "set": split.name,
        "seed": split.seed,
        "what": what,
        "method": options.method,
        "sizes": "+".join(map(str, options.sizes)),
        "taps": " / ".join(",".join(names) for names in options.taps) or "default",
        "pooling": pooling_name(options.pooling),
        "backbone": options.backbone,
        "auroc": auroc,
        "auroc_se": error,
        "engine_ms": measured.milliseconds,
        "fitted_on": len(split.fit),
        "good": len(split.good),
        "bad": len(split.bad),
    }


def quickly(split: Split, images: int = _QUICK) -> Split:
    """Return a share of the split, about so many images of each kind at most twice over: to see that all runs."""
    steps = [max(1, len(paths) // images) for paths in (split.fit, split.good, split.bad)]
    return replace(
        split,
        fit=split.fit[:: steps[0]],
        good=split.good[:: steps[1]],
        bad=split.bad[:: steps[2]],
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit status."""
    args = _parser().parse_args(arguments)
    seeds = range(max(1, args.seeds))
    try:
        splits = [*(tiles(args.tiles, seeds) if args.tiles else ())]
        if args.solar:
            splits += [*solar("mono", seeds), *solar("poly", seeds)]
        if not splits:
            raise ImagesError(
                "expected photographs to measure on, got --no-solar without --tiles; leave out one"
            )
        rows = []
        with Machine() as machine:
            for split in splits:
                for row in rows_of(
                    quickly(split) if args.quick else split, quick=args.quick, tuned=args.tuned
                ):
                    rows.append(row)
                    _show(row)
                    write_rows(args.json, rows, machine, quick=args.quick)
        print(in_words(machine.facts()))
    except InspectorError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tools/bench/accuracy", description=__doc__)
    parser.add_argument("--tiles", type=Path, metavar="DIR", help="the magnetic tiles; left out without")
    parser.add_argument(
        "--solar",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="the solar cells of elpv-dataset",
    )
    parser.add_argument(
        "--tuned", action=argparse.BooleanOptionalAction, default=True, help="also what tuning chooses"
    )
    parser.add_argument(
        "--seeds", type=int, default=1, metavar="N", help="random splits and banks (default: 1)"
    )
    parser.add_argument("--quick", action="store_true", help="few images and candidates: does it run?")
    add_json(parser)
    return parser


def _show(row: dict[str, object]) -> None:
    print(
        f"{row['set']:14} {row['seed']} {row['what']:8} {row['method']:18} {row['sizes']:>8} px  {row['taps']:20} "
        f"{row['pooling']!s:5} AUROC {row['auroc']:.3f} +- {row['auroc_se']:.3f} {row['engine_ms']:6.1f} ms",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
