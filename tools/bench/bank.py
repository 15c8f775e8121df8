"""The benchmark `tools/bench/bank`: the time of an image by the size of the bank, compared with every entry and searched in two passes.

Banks are random patches of good images; a bank larger than all of them is filled with the middles of two. Scores are those of images
that are in no bank, by the float32 comparison with every entry and by the search: `max_error` is the largest difference of a score
in shares of it, `off` the share of cells that differ by more than float32's rounding.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from inspector.clock import NS_PER_MS, SystemClock
from inspector.engine.base import Engine, Score
from inspector.engine.preprocess import to_input
from inspector.errors import InspectorError
from inspector.model.bank import Bank, squared_to_nearest
from inspector.model.framing import plan
from inspector.model.graph import features_graph, fused_graph, split_features
from inspector.model.images import list_images, read_frame, survey
from inspector.model.methods.base import Detector
from inspector.model.methods.nearest import NearestHead
from inspector.model.options import FitOptions
from inspector.model.patches import spec_for
from inspector.model.scoring import compiled, score_files
from inspector.model.spec import ModelSpec
from inspector.model.whitening import Moments, whitening
from tools.bench.arguments import add_good, at_least, spaced
from tools.bench.machine import Machine, Quantiles, add_json, finish

SIZES = (500, 1000, 3000, 10_000, 30_000, 100_000)
REFERENCE = 3000  # entries: the default, whose time the others are compared with
APART = 4000  # patches that say how far the entries of a bank lie apart
SHOWN = 24  # images that are scored; in no bank
IN_TURN = 10  # images that one engine scores before the next has its turn: its bank is then in the caches as it is on a line
ROUNDING = 1e-4  # of a distance, in float32
COLUMNS = {
    "bank": "entries",
    "form": "compared",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "times_of_3000": "of 3,000",
    "max_error": "max error",
    "off": "cells off",
}


@dataclass(frozen=True, slots=True)
class Patches:
    """Features of good images: `pool` float32 (n, d) for the banks, and the images that are scored, as the graph takes them."""

    spec: ModelSpec
    pool: NDArray[np.float32]
    shown: list[NDArray[np.uint8]]

    @classmethod
    def read(cls, folder: Path, size: int) -> "Patches":
        """Pass over the images below `folder`."""
        paths = list_images(folder)
        options = FitOptions(sizes=(size,))
        framing = plan(options.frame, survey(paths), paths, options.sizes)
        spec = spec_for(options, framing)
        chosen = np.random.default_rng(0).permutation(len(paths))
        shown, rest = chosen[:SHOWN], chosen[SHOWN:]
        with compiled(features_graph(spec), spec.geometry) as engine:
            answers = score_files(engine, [paths[index] for index in rest], spec.channels)
            pool = np.concatenate([split_features(spec, answer.heatmap)[0] for answer in answers])
        images = [to_input(read_frame(paths[index], spec.channels), spec.geometry).copy() for index in shown]
        return cls(spec, pool, images)

    def head(self, entries: int) -> NearestHead:
        """Return the method `nearest` with a random bank."""
        rng = np.random.default_rng(entries)
        white = whitening(Moments.of(self.pool))
        order = rng.permutation(len(self.pool))
        apart, some = self.pool[order[:APART]], self.pool[order[APART : APART + entries]]
        more = max(0, entries - len(some))
        middles = (self.pool[rng.integers(len(self.pool), size=(more, 2))]).mean(axis=1)
        bank = white.apply(np.concatenate([some, middles]))
        # Fitting takes the distances within the bank, which for the largest is a minute of products that say nothing here.
        spacing = np.sqrt(np.maximum(squared_to_nearest(bank, white.apply(apart)), 0))
        return NearestHead(white, Bank(bank, np.maximum(spacing, np.median(spacing) / 10)))


@dataclass(frozen=True, slots=True)
class Runner:
    """One engine, and the times of its images so far."""

    entries: int
    form: str
    engine: Engine
    times_ms: list[float]

    def run(self, images: Sequence[NDArray[np.uint8]], clock: SystemClock) -> None:
        """Score some images; the first fetches the bank into the caches and is not counted."""
        self.engine.score_prepared(images[0])
        for index in range(IN_TURN):
            start_ns = clock.now_ns()
            self.engine.score_prepared(images[index % len(images)])
            self.times_ms.append((clock.now_ns() - start_ns) / NS_PER_MS)

    def answers(self, images: Sequence[NDArray[np.uint8]]) -> list[Score]:
        """Return what it says of the images."""
        return [self.engine.score_prepared(image) for image in images]


def runners(patches: Patches, sizes: Sequence[int], stack: ExitStack) -> Iterator[Runner]:
    """Open each size's engines: compared with every entry, and searched where a bank of this size is."""
    for entries in sizes:
        head = patches.head(entries)
        every = replace(head, searched_from=entries + 1)
        for form, each in (("every", every), *((("searched", head),) if head.searched else ())):
            graph = fused_graph(patches.spec, Detector((each,)))
            engine = stack.enter_context(compiled(graph, patches.spec.geometry))
            yield Runner(entries, form, engine, [])


def rows_of(found: Sequence[Runner], images: Sequence[NDArray[np.uint8]]) -> Iterator[dict[str, object]]:
    """Yield a row for each engine."""
    reference = next((Quantiles.of(each.times_ms).p50 for each in found if each.entries == REFERENCE), None)
    exact: list[Score] = []
    for runner in found:
        answers = runner.answers(images)
        exact = answers if runner.form == "every" else exact
        times = Quantiles.of(runner.times_ms)
        yield {
            "bank": runner.entries,
            "form": runner.form,
            **times.fields(),
            "times_of_3000": None if reference is None else round(times.p50 / reference, 3),
            **differences(exact, answers),
        }


def differences(exact: Sequence[Score], found: Sequence[Score]) -> dict[str, float]:
    """Return the largest relative difference of a score and of a cell, and the share of cells that differ at all."""
    scores = [abs(f.value / e.value - 1) for e, f in zip(exact, found, strict=True)]
    cells = np.concatenate(
        [np.abs(f.heatmap / e.heatmap - 1).ravel() for e, f in zip(exact, found, strict=True)]
    )
    return {
        "max_error": max(scores),
        "max_cell_error": float(cells.max()),
        "off": float(np.mean(cells > ROUNDING)),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, show, write."""
    parser = argparse.ArgumentParser(
        prog="tools/bench/bank", description="Measure the time of an image by the size of the bank."
    )
    add_good(parser, area="the image's", turn=f"{IN_TURN} images")
    parser.add_argument(
        "--banks",
        type=at_least(1),
        nargs="+",
        default=SIZES,
        metavar="N",
        help=f"entries (default: {spaced(SIZES)})",
    )
    add_json(parser)
    args = parser.parse_args(argv)
    try:
        patches = Patches.read(args.good, args.size)
        with ExitStack() as stack:
            found = list(runners(patches, args.banks, stack))
            with Machine() as machine:
                for _ in range(args.turns):
                    for runner in found:
                        runner.run(patches.shown, SystemClock())
            rows = list(rows_of(found, patches.shown))
    except InspectorError as error:
        print(f"bank: {error}", file=sys.stderr)
        return 1
    filled = max(args.banks) > len(patches.pool)
    print(
        f"{patches.spec.width} x {patches.spec.height} pixels, {patches.spec.branches[0].depth} values a patch, "
        f"{len(patches.pool)} patches{', the largest banks filled with the middles of two' if filled else ''}"
    )
    finish(args.json, "The time of an image by the size of the bank", rows, machine, COLUMNS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
