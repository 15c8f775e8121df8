"""The benchmark `tools/bench/engine`: milliseconds of the CPU engine by image size, bank and precision, beside what this CPU can do.

Graphs are written as fitting writes them, but their banks are random patches with noise: what they would say of a part is of no use, what they
cost is. `at_peak_ms` is the time that their arithmetic would take at the speed of plain matrix products in float32 and int8, measured in the
same minute, in turn with the graph; `share_of_peak` is that over the graph's own time, of the best runs of both, since a machine that
stalls or is throttled meanwhile is not the engine's doing.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import product as pairs
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from inspector.clock import NS_PER_MS, NS_PER_S, SystemClock
from inspector.engine.base import Engine
from inspector.engine.preprocess import Geometry
from inspector.errors import InspectorError
from inspector.model.backbone import open_backbone
from inspector.model.bank import Bank
from inspector.model.graph import features_graph, fused_graph, split_features
from inspector.model.int8 import quantised
from inspector.model.methods.base import Detector
from inspector.model.methods.nearest import SEARCHED_FROM_INT8, NearestHead
from inspector.model.options import BACKBONES, FLOAT32, INT8
from inspector.model.scoring import compiled
from inspector.model.spec import ModelSpec, model_spec
from inspector.model.whitening import Moments, whitening
from tools.bench.arguments import above_zero, at_least, in_steps, spaced
from tools.bench.arithmetic import SIDE, Work, product, work_of
from tools.bench.machine import Machine, Quantiles, add_json, finish, write_rows

STEP = 32  # pixels: the stride of the backbone
SIDES = (160, 256, 384, 512, 768, 1024)
BANKS = (500, 3000, 10_000, 30_000, 100_000)
DEFAULT_SIDE, DEFAULT_BANK = 256, 3000
IN_TURN = 10  # runs of the graph before the products have their turn
LEAST_RUNS = 30
_NOISE = 0.3  # of a bank's patches, in units of the whitened features' deviation
COLUMNS = {
    "side": "side",
    "bank": "entries",
    "precision": "backbone",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "best_ms": "best ms",
    "at_peak_ms": "at peak ms",
    "share_of_peak": "share of peak",
    "peak_float32_gflops": "peak GFLOP/s",
    "peak_int8_gops": "peak int8 GOP/s",
}


@dataclass(frozen=True, slots=True)
class Peaks:
    """The two matrix products, ready to run, and their arithmetic."""

    runs: tuple[Callable[[], float], Callable[[], float]]
    work: tuple[Work, Work]

    @classmethod
    def opened(cls, stack: ExitStack) -> "Peaks":
        """Compile both."""
        image = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 1), np.uint8)
        models = [product(int8=False), product(int8=True)]
        geometry = Geometry(channels=1, height=SIDE, width=SIDE)
        engines = [stack.enter_context(compiled(model, geometry)) for model, _ in models]
        runs = tuple(timed(engine, image) for engine in engines)
        return cls((runs[0], runs[1]), (models[0][1], models[1][1]))


def timed(engine: Engine, image: NDArray[np.uint8]) -> Callable[[], float]:
    """Return a function that runs the engine once and says what that took, in ms."""
    clock = SystemClock()

    def run() -> float:
        start_ns = clock.now_ns()
        engine.score_prepared(image)
        return (clock.now_ns() - start_ns) / NS_PER_MS

    return run


def textures(side: int, count: int = 8) -> list[NDArray[np.uint8]]:
    """Return images like a brushed surface, as graph inputs: smooth lines and grain."""
    rng = np.random.default_rng(side)
    lines = np.cumsum(rng.normal(0, 4, (count, side, 1)), axis=1)
    grain = rng.normal(0, 12, (count, side, side))
    return list(np.clip(127 + lines + grain, 0, 255).astype(np.uint8)[:, None, :, :, None])


def detector(spec: ModelSpec, images: list[NDArray[np.uint8]], entries: int) -> Detector:
    """Return the method `nearest` with a bank of the images' own patches and noise."""
    with compiled(features_graph(spec), spec.geometry) as engine:
        rows = [split_features(spec, engine.score_prepared(image).heatmap)[0] for image in images]
    patches, rng = np.concatenate(rows), np.random.default_rng(entries)
    white = whitening(Moments.of(patches))
    some = white.apply(patches[rng.integers(len(patches), size=entries)])
    noise = rng.normal(0, _NOISE, some.shape).astype(np.float32)
    spacing = rng.uniform(0.8, 1.2, entries).astype(np.float32) * np.float32(np.sqrt(some.shape[1]))
    return Detector((NearestHead(white, Bank(some + noise, spacing)),))


def searched(heads: Detector) -> Detector:
    """Return the detector as a fit in int8 writes it: small banks are searched too."""
    found = (
        replace(head, searched_from=SEARCHED_FROM_INT8) if isinstance(head, NearestHead) else head
        for head in heads.heads
    )
    return replace(heads, heads=tuple(found))


def row(
    side: int, entries: int, precision: str, backbone: str, *, peaks: Peaks, runs: int, seconds: float
) -> dict[str, object]:
    """Time one graph, in turn with the products: so many runs, or as many as so much time allows."""
    images = textures(side)
    spec = model_spec(open_backbone(backbone), 1, [(side, side)])
    heads = detector(spec, images, entries)
    if precision == INT8:
        spec = quantised(spec, images)
        heads = searched(heads)
    model = fused_graph(spec, heads)
    work = work_of(model)
    times: list[float] = []
    products: tuple[list[float], list[float]] = [], []
    with compiled(model, spec.geometry) as engine:
        run, clock = timed(engine, images[0]), SystemClock()
        end_ns = clock.now_ns() + round(seconds * NS_PER_S)
        while len(times) < runs and (clock.now_ns() < end_ns or len(times) < LEAST_RUNS):
            times += [run() for _ in range(IN_TURN)]
            for each, found in zip(peaks.runs, products, strict=True):
                found.append(each())
    best = [min(found) for found in products]
    peak = Work(1e3 * peaks.work[0].float32 / best[0], 1e3 * peaks.work[1].int8 / best[1])
    return {
        "side": side,
        "bank": entries,
        "precision": precision,
        "backbone": backbone,
        **Quantiles.of(times).fields(),
        "best_ms": round(min(times), 4),
        "at_peak_ms": round(work.ms_at(peak), 4),
        "share_of_peak": round(work.ms_at(peak) / min(times), 3),
        "gflop_float32": round(work.float32, 4),
        "gop_int8": round(work.int8, 4),
        "peak_float32_gflops": round(peak.float32, 1),
        "peak_int8_gops": round(peak.int8, 1),
    }


def cases(sides: list[int], banks: list[int]) -> Iterator[tuple[int, int]]:
    """Yield each size with the default bank, then each other bank at the default size: their product would take an hour."""
    bank = DEFAULT_BANK if DEFAULT_BANK in banks else banks[0]
    side = DEFAULT_SIDE if DEFAULT_SIDE in sides else sides[0]
    yield from ((each, bank) for each in sides)
    yield from ((side, each) for each in banks if each != bank)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, show, write."""
    parser = argparse.ArgumentParser(
        prog="tools/bench/engine", description="Measure the CPU engine by image size, bank and precision."
    )
    parser.add_argument(
        "--sides",
        type=in_steps(STEP),
        nargs="+",
        default=SIDES,
        metavar="N",
        help=f"of square images, in steps of {STEP} (default: {spaced(SIDES)})",
    )
    parser.add_argument(
        "--banks",
        type=at_least(1),
        nargs="+",
        default=BANKS,
        metavar="N",
        help=f"entries (default: {spaced(BANKS)})",
    )
    parser.add_argument(
        "--precision", nargs="+", default=(FLOAT32, INT8), choices=(FLOAT32, INT8), help="(default: both)"
    )
    parser.add_argument(
        "--backbone", default="lite0", choices=tuple(BACKBONES), help="(default: %(default)s)"
    )
    parser.add_argument(
        "--runs",
        type=at_least(1),
        default=300,
        metavar="N",
        help="of each graph (default: %(default)s, enough for p99)",
    )
    parser.add_argument(
        "--seconds",
        type=above_zero,
        default=8.0,
        metavar="S",
        help=f"of each graph at most, but {LEAST_RUNS} runs (default: %(default)s, so that the whole table takes four minutes)",
    )
    add_json(parser)
    args = parser.parse_args(argv)
    rows: list[dict[str, object]] = []
    try:
        with ExitStack() as stack, Machine() as machine:
            peaks = Peaks.opened(stack)
            for (side, bank), precision in pairs(cases(args.sides, args.banks), args.precision):
                limits = {"runs": args.runs, "seconds": args.seconds}
                rows.append(row(side, bank, precision, args.backbone, peaks=peaks, **limits))
                write_rows(args.json, rows, machine)
    except InspectorError as error:
        print(f"engine: {error}", file=sys.stderr)
        return 1
    finish(args.json, "The engine by image size, bank and precision", rows, machine, COLUMNS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
